"""Writes those of the suggested questions that a recruiter has chosen."""

import json
import re

from pydantic import JsonValue

from tertulia.domain.errands import Item, WriteQuestions
from tertulia.domain.skills.jobs_of_recruiters import JOB, JOB_TITLE, WORDS, job_of
from tertulia.domain.skills.skill import AskFor, Do, Move, Situation, Skill, Tell, requests

ADOPTED = "adopted"

_ALL = re.compile(
    r"(?:please )?(?:add |take |use )?(?:all|every one|everything)(?: of (?:them|these))?(?: \d+)?", re.IGNORECASE
)
_NONE = re.compile(r"(?:none|no|nothing|not any)(?: of (?:them|these))?(?:,? thanks?(?: you)?)?", re.IGNORECASE)
_NUMBERS = re.compile(r"[\d\s,;&.#-]|\b(?:and|numbers?|questions?|add|take|the|to|please)\b", re.IGNORECASE)
_RANGE = re.compile(r"(\d{1,3})(?:\s*(?:-|to)\s*(\d{1,3}))?")


def _chosen(said: str, count: int) -> list[int] | None:
    """Read which of so many are meant, counted from 1; None where that is not clear."""
    if _ALL.fullmatch(said):
        return list(range(1, count + 1))
    if _NONE.fullmatch(said):
        return []
    if _NUMBERS.sub("", said).strip():
        return None
    found = [(int(first), int(last or first)) for first, last in _RANGE.findall(said)]
    numbers = [number for first, last in found for number in range(first, last + 1)]
    return list(dict.fromkeys(numbers)) if numbers and min(numbers) >= 1 and max(numbers) <= count else None


def _does(situation: Situation) -> Move:
    questions = [question for item in situation.listed if (question := _question(item)) is not None]
    numbers = _chosen(situation.text_of(ADOPTED).strip(" .!"), len(questions))
    if not questions:
        return Tell("nothing")
    if numbers is None:
        return AskFor((ADOPTED,), "unclear")
    if not numbers:
        return Tell("none")
    return Do(WriteQuestions(job=job_of(situation), questions=tuple(questions[number - 1] for number in numbers)))


def _question(item: Item) -> dict[str, JsonValue] | None:
    """Read a question out of a line of suggestions; None where the list was of something else."""
    try:
        question = json.loads(item.get("question", ""))
    except (ValueError, RecursionError):
        return None
    return question if isinstance(question, dict) else None


SKILL = Skill(
    summary="adds some of the suggested questions to the job",
    recognises=requests(rf"(?:add|take|use) (?:the )?(?:questions? |numbers? )(?P<{ADOPTED}>[\d ,and-]+)"),
    does=_does,
    words={
        "done": "Written: {title} has {questions} questions now.",
        "none": "All right, I have added none.",
        "nothing": "Nothing has been suggested yet.",
        "unclear": "Please name them by their numbers, such as: 1, 3 and 5. Or say all, or none.",
        **WORDS,
    },
    needs=(JOB, ADOPTED),
    gives=(JOB, JOB_TITLE),
    spends=(ADOPTED,),
    is_led=True,
)
