"""Lists the open jobs for a recruiter."""

from tertulia.domain.errands import ListJobs
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_JOBS = r"(?:jobs|positions|vacancies)"


def _does(_: Situation) -> Do:
    return Do(ListJobs())


SKILL = Skill(
    summary="lists the open jobs for a recruiter",
    recognises=requests(
        rf"(?:show|list|see|view)(?: me)? (?:(?:all|the|our|my|open) )*{_JOBS}(?: (?:that are )?open)?",
        rf"(?:what|which)(?: open)? {_JOBS} (?:are (?:there|open)|do we have|have we got)(?: open)?",
    ),
    does=_does,
    words={
        "found": "Open jobs:\n{lines}",
        "nothing": "No job is open.",
        "line": "{number}. {title} ({location|anywhere}), questions: {questions}",
    },
)
