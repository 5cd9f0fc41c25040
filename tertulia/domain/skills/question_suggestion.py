"""Suggests questions for a job. None is written before the recruiter has chosen."""

from tertulia.domain.errands import SuggestQuestions
from tertulia.domain.skills.jobs_of_recruiters import FOR_JOB, JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import Do, Situation, Skill, requests


def _does(situation: Situation) -> Do:
    return Do(SuggestQuestions(job=job_of(situation)))


SKILL = Skill(
    summary="suggests questions for a job",
    recognises=requests(
        r"(?:(?:suggest|propose|recommend|find|give me|think of)(?: me)?(?: some| more| the| a few)* questions"
        rf"|(?:which|what) questions (?:should|could|can|would|do) (?:i|we|you) (?:ask|suggest|recommend)){FOR_JOB}"
    ),
    does=_does,
    words={
        "found": "Questions for {title}:\n{lines}",
        "nothing": "I have no more questions to suggest for {title}.",
        "line": "{number}. {text} ({type}, weight {weight}{must})",
        "must_have": ", must-have",
        **WORDS,
    },
    needs=(JOB,),
    gives=(JOB, JOB_TITLE, "suggested"),
    is_led=True,
)
