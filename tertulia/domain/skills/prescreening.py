"""Asks the questions of a job. The states do it: this leads to the first of them."""

from tertulia.domain.skills.skill import Skill, requests

_GO = r"ask me|go (?:on )?to|go on with|continue(?: with)?|move on to|(?:start|begin)(?: with)?|answer|see|show me"

SKILL = Skill(
    summary="goes on to the questions about the job",
    recognises=requests(
        rf"(?:{_GO}) (?:(?:the|your|all|some|next|job'?s?|screening) )*(?:questions?|(?:pre)?screening|interview)"
        r"(?: about .{1,60})?",
        r"(?:what|where) are (?:the|your) questions",
    ),
    is_led=True,
)
