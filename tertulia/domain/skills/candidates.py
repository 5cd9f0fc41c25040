"""Shows a recruiter who has applied for a job, with scores and what they are made of."""

from tertulia.domain.errands import FindCandidates
from tertulia.domain.skills.jobs_of_recruiters import FOR_JOB, JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_CANDIDATES = r"(?:(?:all|the|our|my|best|top) )*(?:candidates?|applicants?|applications?)"


def _does(situation: Situation) -> Do:
    return Do(FindCandidates(job=job_of(situation)))


SKILL = Skill(
    summary="shows who has applied for a job, with scores and reasons",
    recognises=requests(
        rf"(?:(?:show|list|see|view|rank)(?: me)? {_CANDIDATES}|(?:who (?:is|are)|what about) {_CANDIDATES}"
        rf"|who (?:has|have) applied){FOR_JOB}"
    ),
    does=_does,
    words={
        "found": "Candidates for {title}, the best score first:\n{lines}",
        "nothing": "Nobody has applied for {title} yet.",
        "line": (
            "{number}. {name|somebody without a name}: {score|no score yet}, {status}."
            " Points: {points|none yet}. Must-haves not met: {failed|none}."
        ),
        "status_draft": "begun",
        "status_in_progress": "in progress",
        **WORDS,
    },
    needs=(JOB,),
    gives=(JOB, JOB_TITLE),
    is_led=True,
)
