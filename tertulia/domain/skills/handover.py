"""Lets a person ask for a human. The state that it leads to says why, and hands over."""

from tertulia.domain.skills.skill import Skill, requests

_HUMAN = r"(?:a |an |another )?(?:real |live |actual )*(?:human(?: being)?|person)"
_SOMEBODY = (
    r"(?:a |an |the |some |any |another |one of your )?(?:real |live |human )*"
    r"(?:human(?: being)?|person|people|agent|operator|recruiter|colleague|someone|somebody|anyone|anybody)s?"
)
_CONNECT = r"(?:speak|talk|chat) (?:to|with)|(?:connect|transfer|put) me (?:to|with|through to)|get me|i want|i need"

SKILL = Skill(
    summary="connects the person with a human, who takes over the conversation",
    recognises=requests(
        # A bare noun may be an answer: "recruiter" is a position to apply for.
        rf"{_HUMAN}",
        rf"(?:{_CONNECT}) {_SOMEBODY}(?: real| human| in person)?",
        rf"(?:is|are) there {_SOMEBODY}(?: there| here)?(?: i can (?:talk|speak) to)?",
        r"hand (?:me )?over(?: to .{1,20})?",
    ),
    is_led=True,
)
