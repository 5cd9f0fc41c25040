"""Jobs, and what is asked of whoever applies for one."""

from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tertulia.domain.conversation import Payload
from tertulia.domain.errors import InvalidInput, NotFound, Refused
from tertulia.domain.ids import JobId
from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tertulia.domain.slots import Slot, choices_of

# More than anybody answers; a candidate's answers are one small value.
MOST_QUESTIONS = 50
QUESTION_CHARS = 500
# A question is also a slot, whose name prompts and conditions can mention.
QID_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

_SLOT: TypeAdapter[Slot] = TypeAdapter(Slot)

# Strict, for otherwise `true` is a number.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class QuestionType(StrEnum):
    """What kind of answer a question has; each is read by the rules of the slot of that name."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    LOCATION = "location"


class ValidationRule(Payload):
    """What an answer has to keep to; None leaves it free. There is no pattern, for matching one may take for ever.

    Attributes:
        min_length: Of a text, characters; so is `max_length`.
        unit: Of a number; other units of time are converted to "days", "weeks", "months" or "years".
        min: Of a number or an amount of money; so is `max`.
        integer: Whether a number has to be whole.
        currency: Of an amount of money, three letters; it needs one.
        per: What an amount of money is for.
        not_before: The first day that can be; so is `not_after` the last.
        min_choices: Of several choices, how many have to be taken.
    """

    model_config = ConfigDict(extra="forbid")

    min_length: int | None = None
    max_length: int | None = None
    unit: str | None = Field(default=None, pattern=r"^[\w %/.-]{1,40}$")
    min: Number | None = None
    max: Number | None = None
    integer: bool | None = None
    currency: str | None = None
    per: Literal["month", "year"] | None = None
    not_before: Literal["today"] | date | None = None
    not_after: Literal["today"] | date | None = None
    min_choices: int | None = None


class Fit(Payload):
    """What a good answer is; `domain/scoring.py` says how it counts. Left empty, any valid answer is worth everything.

    Attributes:
        best: For numbers, money and dates (days from the day of scoring): what is worth everything.
        worst: What is worth nothing. Lower than `best`: more is better; higher: less is better.
        worth: For choices: what each is worth; one that is not listed is worth nothing.
        expected: For yes or no: the answer that is worth everything, `true` unless it is given.
    """

    model_config = ConfigDict(extra="forbid")

    best: Number | None = None
    worst: Number | None = None
    worth: dict[str, Share] | None = None
    expected: bool | None = None


class Question(Payload):
    """One question of a job.

    Attributes:
        qid: Names the question within its job. Jobs that give the same name to a question share its answer.
        required: An application can't be submitted without an answer.
        must_have: Without a fitting answer the screening fails, whatever the score.
        weight: Share of the score relative to the other weights.
        choices: What can be chosen, for the types that have choices.
    """

    qid: str = Field(pattern=QID_PATTERN)
    text: str = Field(min_length=1, max_length=QUESTION_CHARS)
    type: QuestionType
    required: bool = True
    must_have: bool = False
    weight: Share = 0.0
    validation_rule: ValidationRule = ValidationRule()
    fit: Fit = Fit()
    choices: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        try:
            problems = list(_problems(slot_of(self)))
            if self.qid in (SCORE, MUST_HAVE_FAILED):
                problems.append(f"{self.qid!r} is where the result of scoring goes; rename the question")
        except ValidationError as error:
            problems = [_in_words(found) for found in error.errors(include_input=False)]
        if problems:
            raise PydanticCustomError("unsound", "{problems}", {"problems": "; ".join(problems)})
        return self


def slot_of(question: Question) -> Slot:
    """Write a question as a slot, so that it is asked, read and scored by the same rules as any other.

    Raises:
        ValidationError: What the question says does not go with its type.
    """
    written: dict[str, Any] = {
        "type": question.type,
        "ask": question.text,
        "required": question.required,
        "score": {
            "weight": question.weight,
            "must_have": question.must_have,
            **question.fit.model_dump(exclude_none=True),
        },
        **question.validation_rule.model_dump(exclude_none=True),
    }
    if question.choices:
        written["choices"] = question.choices
    return _SLOT.validate_python(written)


def _in_words(found: Mapping[str, Any]) -> str:
    # The first part of the place is the slot's kind, which is the question's type.
    field = ".".join(str(part) for part in found["loc"][1:])
    if found["type"] == "extra_forbidden":
        return f"{field} does not go with this type"
    return f"{field}: {found['msg']}"


def _problems(slot: Slot) -> Iterator[str]:
    """Find what a slot can be written with, but makes no sense."""
    criterion = slot.score
    assert criterion is not None
    if (criterion.best is None) != (criterion.worst is None):
        yield "`best` and `worst` belong together; give both"
    elif criterion.best is not None and criterion.best == criterion.worst:
        yield "`best` and `worst` are the same, so nothing could be between them"
    elif criterion.best is not None and slot.type not in ("number", "money", "date"):
        yield f"`best` and `worst` do not go with the type {slot.type}"
    if not criterion.worth.keys() <= {choice.value for choice in choices_of(slot)}:
        yield "`worth` names what is not among the choices"
    if not criterion.expected and slot.type != "boolean":
        yield f"`expected` does not go with the type {slot.type}"


class JobStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"  # takes no applications any more


class Job(Payload):
    """A job that people can apply for.

    Attributes:
        skills: What it takes, for the suggestion of questions.
        currency: In which its salaries are, three letters.
        questions: In the order in which they are asked.
    """

    job_id: JobId
    title: str
    description: str = ""
    location: str = ""
    skills: tuple[str, ...] = ()
    currency: str = "EUR"
    status: JobStatus = JobStatus.OPEN
    questions: tuple[Question, ...] = ()
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def slots(self) -> dict[str, Slot]:
        """The questions as slots, by qid."""
        return {question.qid: slot_of(question) for question in self.questions}


class JobFilter(Payload):
    """Which jobs to list; None matches all."""

    status: JobStatus | None = None


class JobPage(Payload):
    """A page of jobs, newest first; `next` is the cursor of the page behind it, None at the end."""

    jobs: tuple[Job, ...]
    next: str | None = None


def updated(job: Job, changes: Mapping[str, Any], now: AwareDatetime) -> Job:
    """Change fields of a job, by name.

    Raises:
        Refused: The job is closed.
    """
    _must_be_open(job)
    return job.model_copy(update={**changes, "updated_at": now})


def closed(job: Job, now: AwareDatetime) -> Job:
    """Close a job; one that is closed stays as it is."""
    return job if job.status is JobStatus.CLOSED else updated(job, {"status": JobStatus.CLOSED}, now)


def with_question(job: Job, question: Question, now: AwareDatetime) -> Job:
    """Put a question in the place of the one of its name, or at the end.

    Raises:
        Refused: The job is closed.
        InvalidInput: It has as many questions as a job can have.
    """
    questions = {each.qid: each for each in job.questions} | {question.qid: question}
    if len(questions) > MOST_QUESTIONS:
        raise InvalidInput(f"a job has at most {MOST_QUESTIONS} questions", field="path.qid")
    return updated(job, {"questions": tuple(questions.values())}, now)


def without_question(job: Job, qid: str, now: AwareDatetime) -> Job:
    """Remove a question.

    Raises:
        Refused: The job is closed.
        NotFound: It has none of that name.
    """
    questions = tuple(question for question in job.questions if question.qid != qid)
    if len(questions) == len(job.questions):
        raise NotFound("question", qid)
    return updated(job, {"questions": questions}, now)


def _must_be_open(job: Job) -> None:
    if job.status is not JobStatus.OPEN:
        raise Refused("the job is closed")
