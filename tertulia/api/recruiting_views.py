"""What clients get about jobs, applications and candidates, where it is not a value of the domain as it stands."""

from enum import StrEnum
from typing import Literal, Self

from tertulia.api.views import View
from tertulia.domain.recruiting import applications
from tertulia.domain.recruiting.applications import Application, ApplicationStatus, Numbered
from tertulia.domain.recruiting.jobs import Job, Question


class FileFormat(StrEnum):
    """What a list is written as."""

    JSON = "json"
    CSV = "csv"


class QuestionList(View):
    """The questions of a job, in the order in which they are asked."""

    questions: tuple[Question, ...]


class SuggestedQuestions(View):
    """Questions that a job could ask; none is stored.

    Attributes:
        source: Who suggests them: a provider that has read the job, or the bank of the usual ones.
    """

    questions: tuple[Question, ...]
    source: Literal["provider", "bank"]


class ApplicationDetail(Application):
    """An application, and what can be done with it.

    Attributes:
        allowed: What it may be moved to.
        unanswered: The required questions that have no answer yet.
    """

    allowed: tuple[ApplicationStatus, ...]
    unanswered: tuple[str, ...]

    @classmethod
    def of(cls, application: Application, job: Job) -> Self:
        """View an application for a job."""
        return cls(
            **dict(application),
            allowed=applications.MAY_FOLLOW[application.status],
            unanswered=applications.unanswered(application, job),
        )


class Timeline(View):
    """A piece of what happened to an application, oldest first; `next` is the `after` of the piece behind it."""

    entries: tuple[Numbered, ...]
    next: int | None = None
