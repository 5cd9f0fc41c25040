"""Gets to know a person. The states do it: what is known already is passed over, the rest is asked."""

from tertulia.domain.skills.skill import Skill, requests

SKILL = Skill(
    summary="gets to know the person: name, contact and the like",
    recognises=requests(
        r"(?:apply|sign (?:me )?up|register(?: me)?|begin|get started|start)(?: (?:for|to|with) .{1,60})?"
        r"(?: (?:an|my|the) (?:application|registration|sign-?up))?",
        r"how (?:do|can) i (?:apply|register|sign up)(?: for .{1,60})?",
    ),
    is_led=True,
)
