"""Questions as a recruiter writes them in a chat; what a question needs besides is made up."""

import re
from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from tertulia.domain.errors import InvalidInput
from tertulia.domain.recruiting.jobs import Job, Question, QuestionType

_WORD = re.compile(r"[a-z0-9]+")
_WORDS, _CHARS = 6, 60


def finished(job: Job, draft: Mapping[str, JsonValue]) -> Question:
    """Turn a draft into a question of a job.

    Args:
        draft: As `Question` has it; without a `qid` its first words make one, and money is in the job's currency.

    Raises:
        InvalidInput: It makes no sense as a question; says why.
    """
    given = {name: value for name, value in draft.items() if value is not None}
    given.setdefault("qid", _name(str(given.get("text", ""))))
    if given.get("type") == QuestionType.MONEY:
        given.setdefault("validation_rule", {"currency": job.currency})
    try:
        return Question.model_validate(given)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, found['loc']))}: {found['msg']}".lstrip(": ") for found in error.errors())
        raise InvalidInput("; ".join(problems), field="question") from error


def _name(text: str) -> str:
    """Name a question by its first words, so that the same question gets the same name."""
    return f"q_{'_'.join(_WORD.findall(text.lower())[:_WORDS])}"[:_CHARS].rstrip("_")
