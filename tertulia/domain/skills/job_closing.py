"""Closes a job, when a recruiter is sure about it."""

from tertulia.domain.errands import CloseJob
from tertulia.domain.skills.jobs_of_recruiters import JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import Do, Move, Situation, Skill, Tell, requests

SURE = "sure"


def _does(situation: Situation) -> Move:
    return Do(CloseJob(job=job_of(situation))) if situation.known.get(SURE) is True else Tell("kept")


SKILL = Skill(
    summary="closes a job, so that nobody can apply for it any more",
    recognises=requests(
        r"(?:close|end|finish|take down) (?:the |this |a )?(?:job|position|vacancy)(?: number)?(?: (?P<job>.+))?"
    ),
    does=_does,
    words={
        "done": "{title} is closed. It takes no applications any more.",
        "kept": "All right, it stays open.",
        **WORDS,
    },
    needs=(JOB, SURE),
    gives=(JOB, JOB_TITLE),
    spends=(SURE,),
    is_led=True,
)
