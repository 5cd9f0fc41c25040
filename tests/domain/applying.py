"""Jobs and applications to test with."""

from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from tertulia.domain.ids import ApplicationId, JobId
from tertulia.domain.recruiting.applications import (
    Actor,
    Application,
    ApplicationStatus,
    ToApply,
    answered,
    created,
    moved,
)
from tertulia.domain.recruiting.jobs import Job, Question
from tertulia.domain.recruiting.profiles import Profile

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
ADA = Profile(user_id="ada")


def question(qid: str = "years", kind: str = "number", **given: Any) -> Question:
    return Question.model_validate({"qid": qid, "text": "How much?", "type": kind, **given})


def job(*questions: Question, job_id: str = "j-1", **given: Any) -> Job:
    stands = {"job_id": JobId(job_id), "title": "Engineer", "created_at": NOON, "updated_at": NOON}
    return Job.model_validate({**stands, **given, "questions": questions})


def applied(to: Job, application_id: str = "a-1", *, profile: Profile = ADA) -> Application:
    """A new application."""
    order = ToApply(application_id=ApplicationId(application_id), user_id=profile.user_id)
    return created(order, to, profile, Actor.CANDIDATE, NOON).application


def answering(application: Application, to: Job, **answers: JsonValue) -> Application:
    return answered(application, to, answers, Actor.CANDIDATE, NOON).application


def submitted(to: Job, **answers: JsonValue) -> Application:
    """An application that has been submitted with answers, and so been screened."""
    return moved(
        answering(applied(to), to, **answers), ApplicationStatus.SUBMITTED, to, Actor.CANDIDATE, NOON
    ).application
