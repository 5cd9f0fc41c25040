"""Lists the open jobs that fit a person, by what they have said and by what is kept of them."""

from tertulia.domain.errands import FindJobs
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_JOBS = r"(?:jobs?|positions?|openings?|vacanc(?:y|ies)|roles?)"

# What a person is looking for and knows about, where a definition asks for it.
_TELLING = ("role", "skills", "location")


def _does(situation: Situation) -> Do:
    return Do(FindJobs(wanted=tuple(said for slot in _TELLING if (said := situation.text_of(slot)))))


SKILL = Skill(
    summary="lists the open jobs that fit the person best",
    recognises=requests(
        rf"(?:show|list|see|find|give|tell)(?: me)?(?: about)? (?:(?:all|the|your|other|open|some|more|me|a) )*{_JOBS}"
        r"(?: (?:that|which) .{1,40}| for me| you have| available| open)?",
        rf"(?:what|which)(?: (?:other|open|kind of))* {_JOBS} .{{1,40}}",
        rf"(?:are there|do you have|have you got) (?:(?:any|other|open|more) )*{_JOBS}(?: .{{1,40}})?",
        rf"what(?: {_JOBS})? (?:fits?|suits?|would (?:fit|suit)) me(?: best)?",
    ),
    does=_does,
    words={
        "found": "These open jobs fit you best:\n{lines}",
        "others": "None of the open jobs fits what I know of you. These are open:\n{lines}",
        "nothing": "There are no open jobs at the moment.",
        "line": "{number}. {title} ({location|anywhere}). What fits: {matched|nothing that I know of}.",
    },
)
