"""Applications: their life cycle, their answers, and the prescreening. All pure: each step returns a new value.

    draft ─► in_progress ─► submitted ─► screened ─► shortlisted | rejected | hired
                                                     shortlisted ─► rejected | hired
    any of these, as long as nothing is decided ─► withdrawn

The first answer takes a draft to `in_progress`. What is submitted is screened at once: its answers are scored by the
rules of `domain/scoring.py`.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, Field, JsonValue

from tertulia.domain import scoring
from tertulia.domain.conversation import Payload
from tertulia.domain.errors import InvalidInput, Refused, TransitionRefused
from tertulia.domain.ids import ApplicationId, JobId, SessionId, TenantId
from tertulia.domain.recruiting.jobs import Job, JobStatus
from tertulia.domain.recruiting.profiles import Profile
from tertulia.domain.slots import NotUnderstood, Slot, Understood, accept

Kind = Literal["created", "continued", "answered", "moved"]


class ApplicationStatus(StrEnum):
    """Where an application stands."""

    DRAFT = "draft"
    IN_PROGRESS = "in_progress"
    SUBMITTED = "submitted"
    SCREENED = "screened"
    SHORTLISTED = "shortlisted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    HIRED = "hired"


MAY_FOLLOW: Mapping[ApplicationStatus, tuple[ApplicationStatus, ...]] = {
    ApplicationStatus.DRAFT: (ApplicationStatus.IN_PROGRESS, ApplicationStatus.WITHDRAWN),
    ApplicationStatus.IN_PROGRESS: (ApplicationStatus.SUBMITTED, ApplicationStatus.WITHDRAWN),
    ApplicationStatus.SUBMITTED: (ApplicationStatus.SCREENED, ApplicationStatus.WITHDRAWN),
    ApplicationStatus.SCREENED: (
        ApplicationStatus.SHORTLISTED,
        ApplicationStatus.REJECTED,
        ApplicationStatus.WITHDRAWN,
        ApplicationStatus.HIRED,
    ),
    ApplicationStatus.SHORTLISTED: (
        ApplicationStatus.REJECTED,
        ApplicationStatus.WITHDRAWN,
        ApplicationStatus.HIRED,
    ),
    ApplicationStatus.REJECTED: (),
    ApplicationStatus.WITHDRAWN: (),
    ApplicationStatus.HIRED: (),
}
DECIDED = frozenset(status for status, following in MAY_FOLLOW.items() if not following)
_ANSWERABLE = frozenset({ApplicationStatus.DRAFT, ApplicationStatus.IN_PROGRESS})


class Actor(StrEnum):
    """Who did something to an application."""

    CANDIDATE = "candidate"
    RECRUITER = "recruiter"
    SYSTEM = "system"


class Points(Payload):
    """A question's part of a score, in points of 100."""

    earned: float
    most: float


class Prescreen(Payload):
    """How the answers fit the job.

    Attributes:
        jd_match_score: In [0, 100], one decimal; 100 where no question has a weight.
        must_have_failed: The must-haves that are not met, by qid.
        points: What each weighted question brings to the score, and the most it could.
    """

    jd_match_score: float = Field(ge=0, le=100)
    must_have_failed: tuple[str, ...]
    points: dict[str, Points]
    at: AwareDatetime


class Application(Payload):
    """A person's application for a job.

    Attributes:
        session_id: The chat in which it is filled in now, where there is one.
        answers: By qid, each as its question's rules have read it.
        prescreen: None until it has been screened.
    """

    application_id: ApplicationId
    job_id: JobId
    user_id: str
    session_id: SessionId | None = None
    status: ApplicationStatus = ApplicationStatus.DRAFT
    answers: dict[str, JsonValue] = {}
    prescreen: Prescreen | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class TimelineEntry(Payload):
    """Something that happened to an application. It names questions, and quotes no answer.

    Attributes:
        status: Where the application stood afterwards.
        qids: The questions that were answered.
    """

    at: AwareDatetime
    by: Actor
    kind: Kind
    status: ApplicationStatus
    qids: tuple[str, ...] = ()
    reason: str = ""


class Numbered(TimelineEntry):
    """An entry in its place; `seq` counts the application's entries from 1 without gaps."""

    seq: int


class Step(NamedTuple):
    """An application after something happened to it, and what happened, in order; nothing where nothing changed."""

    application: Application
    entries: tuple[TimelineEntry, ...] = ()


class ApplicationFilter(Payload):
    """Which applications to list; None matches all."""

    job_id: str | None = None
    user_id: str | None = None
    status: ApplicationStatus | None = None


class ApplicationPage(Payload):
    """A page of applications, newest first; `next` is the cursor of the page behind it, None at the end."""

    applications: tuple[Application, ...]
    next: str | None = None


class Candidate(Payload):
    """An application with what is known of the person."""

    application: Application
    profile: Profile


class CandidatePage(Payload):
    """A page of a job's candidates, best score first; `next` is the cursor of the page behind it, None at the end."""

    candidates: tuple[Candidate, ...]
    next: str | None = None


class Followed(NamedTuple):
    """An application after a step that a chat has brought, with its job, and whose it is."""

    tenant: TenantId
    application: Application
    job: Job


class ToApply(Payload):
    """Who applies for what.

    Attributes:
        application_id: The new application's.
    """

    application_id: ApplicationId
    user_id: str
    session_id: SessionId | None = None


def created(order: ToApply, job: Job, profile: Profile, by: Actor, now: datetime) -> Step:
    """Begin an application, with the answers that the person has given in earlier ones and that are valid here.

    Raises:
        Refused: The job takes no applications any more.
    """
    _must_take_applications(job)
    known = {qid: value for qid, value in profile.answers.items() if qid in job.slots}
    answers = dict(_readings(job.slots, known, now).valid)
    application = Application(**order.model_dump(), job_id=job.job_id, answers=answers, created_at=now, updated_at=now)
    return Step(application, (_entry("created", application, by, now, qids=answers),))


def continued(application: Application, session_id: SessionId, now: datetime) -> Step:
    """Go on with an application in another chat."""
    if application.session_id == session_id:
        return Step(application)
    after = application.model_copy(update={"session_id": session_id, "updated_at": now})
    return Step(after, (_entry("continued", after, Actor.CANDIDATE, now),))


def answered(application: Application, job: Job, answers: Mapping[str, JsonValue], by: Actor, now: datetime) -> Step:
    """Take answers, all or none of them; None takes one back.

    Args:
        answers: By qid, in a person's words or as plain values.

    Raises:
        Refused: The application has been submitted, or is over.
        InvalidInput: An answer is to no question of the job, or is not valid; the problem says which and why.
    """
    if application.status not in _ANSWERABLE:
        raise Refused(f"the application is {application.status}; its answers stay as they are")
    readings = _readings(job.slots, {qid: value for qid, value in answers.items() if value is not None}, now)
    problems = {qid: "is no question of this job" for qid in answers if qid not in job.slots} | readings.problems
    if problems:
        said = "; ".join(f"{qid}: {problem}" for qid, problem in sorted(problems.items()))
        raise InvalidInput(said, field="body.answers")
    after = _with_answers(application.answers, {**answers, **readings.valid})
    if after == application.answers and application.status is not ApplicationStatus.DRAFT:
        return Step(application)
    changed = application.model_copy(
        update={"answers": after, "status": ApplicationStatus.IN_PROGRESS, "updated_at": now}
    )
    return Step(changed, (_entry("answered", changed, by, now, qids=answers),))


def moved(
    application: Application, to: ApplicationStatus, job: Job, by: Actor, now: datetime, reason: str = ""
) -> Step:
    """Take an application along its life cycle. One that is submitted is screened in the same step.

    Raises:
        TransitionRefused: The life cycle has no such transition, or a required answer is missing; says what is allowed.
        Refused: It would be submitted for a job that takes no applications any more.
    """
    _must_be_allowed(application, to)
    if to is ApplicationStatus.SUBMITTED:
        _must_take_applications(job)
        _must_be_complete(application, job)
    after = application.model_copy(update={"status": to, "updated_at": now})
    if to is ApplicationStatus.SCREENED:
        after = after.model_copy(update={"prescreen": prescreen(job, after.answers, now)})
    step = Step(after, (_entry("moved", after, by, now, reason=reason),))
    if to is not ApplicationStatus.SUBMITTED:
        return step
    return _then(step, ApplicationStatus.SCREENED, job, Actor.SYSTEM, now)


def filled(
    application: Application, job: Job, slots: Mapping[str, JsonValue], news: Collection[str], now: datetime
) -> Step:
    """Take what a turn of a chat has brought: a slot answers the question of its name, if its rules let it pass.

    A chat that has worked out its score is through with its questions, so what is complete by then is submitted. What
    is corrected afterwards is screened again, for as long as nobody has decided anything.

    Args:
        slots: All that the chat knows.
        news: The slots that have another value than before the turn, or none any more; the others may have been
            changed elsewhere meanwhile.
    """
    told = {qid: slots.get(qid) for qid in news if qid in job.slots and application.answers.get(qid) != slots.get(qid)}
    taken_back = {qid: None for qid, value in told.items() if value is None}
    answers = taken_back | _readings(job.slots, {qid: told[qid] for qid in told.keys() - taken_back}, now).valid
    if application.status is ApplicationStatus.SCREENED and answers:
        return _screened_again(application, job, answers, now)
    if application.status not in _ANSWERABLE:
        return Step(application)
    step = answered(application, job, answers, Actor.CANDIDATE, now) if answers else Step(application)
    if scoring.SCORE not in slots or job.status is not JobStatus.OPEN or unanswered(step.application, job):
        return step
    if step.application.status is ApplicationStatus.DRAFT:
        step = _then(step, ApplicationStatus.IN_PROGRESS, job, Actor.CANDIDATE, now)
    return _then(step, ApplicationStatus.SUBMITTED, job, Actor.CANDIDATE, now)


def withdrawn(step: Step, job: Job, now: datetime) -> Step:
    """Withdraw an application at its person's wish; one that is decided stays as it is."""
    if ApplicationStatus.WITHDRAWN not in MAY_FOLLOW[step.application.status]:
        return step
    return _then(step, ApplicationStatus.WITHDRAWN, job, Actor.CANDIDATE, now)


def _screened_again(application: Application, job: Job, answers: Mapping[str, JsonValue], now: datetime) -> Step:
    after = _with_answers(application.answers, answers)
    again = {"answers": after, "prescreen": prescreen(job, after, now), "updated_at": now}
    changed = application.model_copy(update=again)
    return Step(changed, (_entry("answered", changed, Actor.CANDIDATE, now, qids=answers),))


def _with_answers(before: Mapping[str, JsonValue], answers: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {qid: value for qid, value in {**before, **answers}.items() if value is not None}


def _then(step: Step, to: ApplicationStatus, job: Job, by: Actor, now: datetime) -> Step:
    following = moved(step.application, to, job, by, now)
    return Step(following.application, step.entries + following.entries)


def prescreen(job: Job, answers: Mapping[str, JsonValue], now: datetime) -> Prescreen:
    """Score answers by the weights and must-haves of the job's questions."""
    slots = job.slots
    read = {qid: value for qid, value in answers.items() if qid in slots and _can_be_scored(slots[qid], value)}
    result = scoring.score(slots, read, now)
    weights = {question.qid: question.weight for question in job.questions if question.weight}
    most = {qid: 100 * weight / sum(weights.values()) for qid, weight in weights.items()}
    worth = {qid: scoring.score({qid: slots[qid]}, read, now).total / 100 for qid in weights}
    return Prescreen(
        jd_match_score=result.total,
        must_have_failed=result.failed,
        points={qid: Points(earned=round(worth[qid] * most[qid], 1), most=round(most[qid], 1)) for qid in weights},
        at=now,
    )


def unanswered(application: Application, job: Job) -> tuple[str, ...]:
    """Name the required questions that have no answer yet, in their order."""
    return tuple(
        question.qid for question in job.questions if question.required and question.qid not in application.answers
    )


def _can_be_scored(slot: Slot, value: JsonValue) -> bool:
    """Tell whether an answer is still one after its question was given another type."""
    if slot.type != "date":
        return True
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return False
    return True


class _Readings(NamedTuple):
    valid: dict[str, JsonValue]
    problems: dict[str, str]


def _readings(slots: Mapping[str, Slot], answers: Mapping[str, JsonValue], now: datetime) -> _Readings:
    """Read answers by the rules of their questions."""
    outcomes = {qid: accept(slots[qid], value, now) for qid, value in answers.items() if qid in slots}
    return _Readings(
        valid={qid: outcome.value for qid, outcome in outcomes.items() if isinstance(outcome, Understood)},
        problems={
            qid: f"is not valid ({outcome.reason.replace('_', ' ')})"
            for qid, outcome in outcomes.items()
            if isinstance(outcome, NotUnderstood)
        },
    )


def _must_take_applications(job: Job) -> None:
    if job.status is not JobStatus.OPEN:
        raise Refused("the job takes no applications any more")


def _must_be_allowed(application: Application, to: ApplicationStatus) -> None:
    allowed = MAY_FOLLOW[application.status]
    if to not in allowed:
        named = ", ".join(allowed) or "nothing: it is decided"
        raise TransitionRefused(f"{to} may not follow {application.status}; allowed: {named}", allowed)


def _must_be_complete(application: Application, job: Job) -> None:
    missing = unanswered(application, job)
    if missing:
        others = tuple(status for status in MAY_FOLLOW[application.status] if status != ApplicationStatus.SUBMITTED)
        raise TransitionRefused(f"still to be answered: {', '.join(missing)}", others)


def _entry(
    kind: Kind,
    after: Application,
    by: Actor,
    now: datetime,
    *,
    qids: Mapping[str, JsonValue] | None = None,
    reason: str = "",
) -> TimelineEntry:
    return TimelineEntry(at=now, by=by, kind=kind, status=after.status, qids=tuple(sorted(qids or ())), reason=reason)
