"""Lets a recruiter say which job the conversation is about."""

from tertulia.domain.errands import ChooseJob
from tertulia.domain.skills.jobs_of_recruiters import JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import Do, Heard, Situation, Skill, requests

_NAMED = requests(
    r"(?:work on|switch to|change to|go to|choose|take|use|it(?:'s| is) about) (?:the )?(?:job|position)(?: number)?"
    r" (?P<job>.+)"
)
_ANOTHER = requests(
    r"(?:(?:choose|switch to|work on|take|change to) )?(?:another|a different|the other) (?:job|position)"
)


def _recognises(text: str) -> Heard | None:
    return {JOB: None} if _ANOTHER(text) is not None else _NAMED(text)


def _does(situation: Situation) -> Do:
    return Do(ChooseJob(job=job_of(situation)))


SKILL = Skill(
    summary="changes to another job, so that what follows is about that one",
    recognises=_recognises,
    does=_does,
    words={"done": "All right, this is about {title}.", **WORDS},
    needs=(JOB,),
    gives=(JOB, JOB_TITLE),
    is_led=True,
)
