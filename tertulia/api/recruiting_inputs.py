"""What clients may send about jobs, applications and candidates."""

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import ConfigDict, Field, ValidationError

from tertulia.api.inputs import MAX_NUMBER, Context, Given, Note, PageOfSessions, PersonName, Text
from tertulia.api.recruiting_views import FileFormat
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ID_PATTERN, ApplicationId, Identifier, JobId, SessionId
from tertulia.domain.recruiting.applications import Actor, ApplicationStatus
from tertulia.domain.recruiting.jobs import (
    QID_PATTERN,
    Fit,
    JobStatus,
    Number,
    Question,
    QuestionType,
    Share,
    ValidationRule,
)

Line = Annotated[Note, Field(min_length=1)]
Lines = Annotated[tuple[Annotated[Line, Field(max_length=100)], ...], Field(max_length=100)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]

JobInPath = Annotated[JobId, Path(pattern=ID_PATTERN, description="The job's id")]
QuestionInPath = Annotated[str, Path(pattern=QID_PATTERN, description="The question's name within its job")]
ApplicationInPath = Annotated[ApplicationId, Path(pattern=ID_PATTERN, description="The application's id")]


class CreateJob(Given):
    """A new job.

    Attributes:
        skills: What it takes, the most important first.
        currency: In which its salaries are.
        job_id: Chosen by the client, so that a repeated call finds the first one's job.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Backend engineer", "location": "Spain", "skills": ["Python", "PostgreSQL"]}]
        }
    )

    title: Line
    description: Text | Literal[""] = ""
    location: Note = ""
    skills: Lines = ()
    currency: Currency = "EUR"
    job_id: Identifier | None = None


class UpdateJob(Given):
    """The fields of a job to change; the others stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Senior backend engineer"}]})

    title: Line = "?"
    description: Text | Literal[""] = ""
    location: Note = ""
    skills: Lines = ()
    currency: Currency = "EUR"

    def changes(self) -> dict[str, Any]:
        """Return what was given, by name."""
        return self.model_dump(exclude_unset=True)


class FindJobs(PageOfSessions):
    """Which jobs to list; what is left out matches all."""

    status: JobStatus | None = None


class PutQuestion(Given):
    """A question of a job.

    Attributes:
        required: An application can't be submitted without an answer.
        must_have: Without a fitting answer the screening fails, whatever the score.
        weight: Share of the score relative to the other weights, in [0, 1].
        validation_rule: What an answer has to keep to; which fields there are depends on the type.
        fit: What a good answer is.
        choices: What can be chosen, for the types that have choices.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "text": "How long is your notice period?",
                    "type": "number",
                    "weight": 0.6,
                    "validation_rule": {"unit": "days", "min": 0, "max": 365, "integer": True},
                    "fit": {"best": 0, "worst": 90},
                }
            ]
        }
    )

    text: Line
    type: QuestionType
    required: bool = True
    must_have: bool = False
    weight: Share = 0.0
    validation_rule: ValidationRule = ValidationRule()
    fit: Fit = Fit()
    choices: Annotated[tuple[Annotated[Line, Field(max_length=200)], ...], Field(max_length=50)] = ()

    def question(self, qid: str) -> Question:
        """Make the question.

        Raises:
            InvalidInput: What it says does not go together.
        """
        try:
            return Question(qid=qid, **dict(self))
        except ValidationError as error:
            raise InvalidInput("; ".join(found["msg"] for found in error.errors()), field="body") from None


class FindCandidates(PageOfSessions):
    """Which page of a job's candidates; as CSV, all of them."""

    format: FileFormat = FileFormat.JSON


class Apply(Given):
    """Who applies for what.

    Attributes:
        session_id: The chat in which the application is filled in, where there is one.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_id": "backend-1", "user_id": "candidate-17"}]})

    job_id: Identifier
    user_id: PersonName
    session_id: SessionId | None = Field(default=None, pattern=ID_PATTERN)


class FindApplications(PageOfSessions):
    """Which applications to list; what is left out matches all."""

    job_id: Identifier | None = None
    user_id: PersonName | None = None
    status: ApplicationStatus | None = None


class GiveAnswers(Given):
    """Answers by the names of their questions, in a person's words or as plain values; null takes one back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"answers": {"notice_period": "4 weeks", "work_authorisation": True}}]}
    )

    answers: Annotated[Context, Field(min_length=1)]
    by: Literal[Actor.CANDIDATE, Actor.RECRUITER] = Actor.CANDIDATE


class MoveApplication(Given):
    """A step of an application's life cycle."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "shortlisted", "reason": "the best answers", "by": "recruiter"}]}
    )

    to: ApplicationStatus
    reason: Note = ""
    by: Literal[Actor.CANDIDATE, Actor.RECRUITER] = Actor.RECRUITER


class PageOfTimeline(Given):
    """Which entries: those behind `after`."""

    after: int = Field(0, ge=0, le=MAX_NUMBER, description="The `seq` behind which to begin")
    limit: int = Field(100, ge=1, le=500)


class UpdateProfile(Given):
    """The fields of a profile to change; the others stay, and null empties one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada Lovelace", "email": "ada@example.org"}]})

    name: Line | None = None
    email: Annotated[Line, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Annotated[Line, Field(pattern=r"^\+[1-9]\d{6,14}$")] | None = None
    location: Line | None = None
    links: Annotated[tuple[Annotated[Line, Field(pattern=r"^https?://\S+$")], ...], Field(max_length=50)] = ()
    experience_years: Annotated[Number, Field(ge=0, le=80)] | None = None
    skills: Lines = ()

    def changes(self) -> dict[str, Any]:
        """Return what was given, by name."""
        return self.model_dump(exclude_unset=True)
