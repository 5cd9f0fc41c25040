"""Tells a person where their applications stand."""

from tertulia.domain.errands import FindApplications
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_MINE = r"(?:my|the) (?:job )?applications?"


def _does(_: Situation) -> Do:
    return Do(FindApplications())


SKILL = Skill(
    summary="tells where the person's applications stand",
    recognises=requests(
        rf"(?:what(?:'s| is) the (?:status|state) of|what about|what happened to) {_MINE}",
        rf"how (?:is|are) {_MINE}(?: doing| going)?",
        rf"where (?:does|do|is|are) {_MINE}(?: stand)?",
        rf"(?:show|list|check|see)(?: me)? (?:the (?:status|state) of )?{_MINE}(?:'s?)?(?: status)?",
        r"(?:my )?application status",
        r"have i (?:already )?applied(?: .{1,40})?",
        r"(?:have you|did you) (?:get|got|receive|received|read) my application",
    ),
    does=_does,
    words={
        "found": "Your applications:\n{lines}",
        "nothing": "I know of no application of yours.",
        "line": "{number}. {title}: {status}, since {day}.",
        "status_draft": "begun",
        "status_in_progress": "begun, with questions left to answer",
        "status_submitted": "received",
        "status_screened": "received, and being read by our recruiters",
        "status_shortlisted": "on the shortlist",
        "status_rejected": "closed: somebody else was chosen",
        "status_withdrawn": "withdrawn",
        "status_hired": "accepted",
    },
)
