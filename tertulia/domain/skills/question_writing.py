"""Writes a question of a recruiter's own, with what kind of answer it has and how that counts."""

import re

from pydantic import JsonValue

from tertulia.domain.errands import WriteQuestions
from tertulia.domain.skills.jobs_of_recruiters import JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_APART = re.compile(r"\s*[,;\n]\s*")
_WITH_CHOICES = frozenset({"choice", "multi_choice"})


def _does(situation: Situation) -> Do:
    known = situation.known
    question: dict[str, JsonValue] = {
        "text": situation.text_of("question"),
        "type": situation.text_of("question_type"),
        "must_have": known.get("must_have") is True,
        "weight": known.get("weight"),
    }
    if question["type"] in _WITH_CHOICES:
        question["choices"] = [choice for choice in _APART.split(situation.text_of("choices")) if choice]
    return Do(WriteQuestions(job=job_of(situation), questions=(question,)))


SKILL = Skill(
    summary="writes a question for a job, with its type, its weight, and whether it is a must-have",
    recognises=requests(
        r"(?:write|add|create|ask|make) (?:a |an |another |one more )?(?:new |own )?question"
        r"(?: (?:for|to) (?:the |this )?(?:job|position))?",
        r"(?:a )?new question",
    ),
    does=_does,
    words={"done": "Written: {title} has {questions} questions now.", **WORDS},
    needs=("question", "question_type", "choices", "must_have", "weight", JOB),
    gives=(JOB, JOB_TITLE),
    spends=("question", "question_type", "choices", "must_have", "weight"),
    is_led=True,
)
