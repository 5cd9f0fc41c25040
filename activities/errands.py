"""What skills have done: reads and writes of jobs, applications and profiles. Each errand can be repeated."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from pydantic import AwareDatetime, ValidationError
from temporalio import activity

from tertulia.domain.conversation import RECRUITER, Payload
from tertulia.domain.errands import (
    ITEM_CHARS,
    MOST_ITEMS,
    AboutJob,
    AnyRequest,
    ChangeProfile,
    ChooseJob,
    CloseJob,
    CreateJob,
    Errand,
    FindApplications,
    FindCandidates,
    FindJobs,
    Item,
    ListJobs,
    Outcome,
    ReadProfile,
    SuggestQuestions,
    WriteQuestions,
)
from tertulia.domain.errors import InvalidInput, NotFound, Refused, TertuliaError, Unavailable
from tertulia.domain.ids import JobId, SessionId, TenantId, is_identifier
from tertulia.domain.recruiting import job_search, jobs, profiles, question_bank, question_drafts
from tertulia.domain.recruiting.applications import Application, ApplicationFilter, Candidate, Points
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobStatus, Question
from tertulia.ports import Applications, Candidates, Jobs, QuestionSuggester

# What only recruiters may have done.
_RECRUITING = (ListJobs, CreateJob, AboutJob)
# As many as a message in a chat can show; who wants all of them reads them by HTTP.
_SHOWN = 10
# Jobs that are looked at: the newest. A search over more would want an index.
_SEARCHED = 100
_TEXT_CHARS = 300
_FIELDS = ("name", "email", "phone", "location", "experience_years", "skills")


class ErrandOrder(Payload):
    """An errand with who wants it, in which turn, and when.

    Attributes:
        role: Of the person in the session.
    """

    session_id: SessionId
    turn: int
    tenant: TenantId
    user_id: str
    role: str
    errand: Errand
    at: AwareDatetime


class Errands:
    """Runs errands over the ports. What can't be done is an outcome, too; only storage that is away is an error.

    Args:
        suggester: Suggests questions for a job; the usual ones are suggested where there is none, or it is away.
    """

    def __init__(
        self,
        jobs: Jobs,
        applications: Applications,
        candidates: Candidates,
        suggester: QuestionSuggester | None = None,
    ) -> None:
        self._jobs = jobs
        self._applications = applications
        self._candidates = candidates
        self._suggester = suggester

    @activity.defn
    async def run_errand(self, order: ErrandOrder) -> Outcome:
        """Do what a skill wants.

        Raises:
            Unavailable: Storage can't be reached.
        """
        request = order.errand.request
        if isinstance(request, _RECRUITING) and order.role != RECRUITER:
            return Outcome(said="refused", values={"reason": "only recruiters can do this"})
        try:
            return await self._run(order, request)
        except NotFound as error:
            if isinstance(request, AboutJob):
                return await self._which_job(order.tenant)
            return _refused(error)
        except (InvalidInput, Refused) as error:
            return _refused(error)

    async def _run(self, order: ErrandOrder, request: AnyRequest) -> Outcome:
        match request:
            case FindJobs():
                return await self._find_jobs(order, request)
            case FindApplications():
                return await self._find_applications(order)
            case ReadProfile():
                profile = await self._candidates.profile(order.tenant, order.user_id)
                return _profile("found", profile.model_dump(include=set(_FIELDS)))
            case ChangeProfile():
                return await self._change_profile(order, request)
            case ListJobs():
                items = _listed(await self._open_jobs(order.tenant))
                return Outcome(said="found" if items else "nothing", items=items)
            case CreateJob():
                return await self._create_job(order, request)
            case ChooseJob():
                return _about(await self._job(order.tenant, request.job), "done")
            case CloseJob():
                job = await self._job(order.tenant, request.job)
                after = await self._jobs.change(order.tenant, job.job_id, lambda before: jobs.closed(before, order.at))
                return _about(after, "done")
            case SuggestQuestions():
                return await self._suggest_questions(order.tenant, request)
            case WriteQuestions():
                return await self._write_questions(order, request)
            case FindCandidates():
                return await self._find_candidates(order.tenant, request)

    # --- for whoever applies ------------------------------------------------------------------------------------------

    async def _find_jobs(self, order: ErrandOrder, request: FindJobs) -> Outcome:
        profile = await self._candidates.profile(order.tenant, order.user_id)
        fits = job_search.fitting(await self._open_jobs(order.tenant), profile, request.wanted, order.at)
        best = [fit for fit in fits if fit.points] or fits
        items = tuple(
            _item(job_id=fit.job.job_id, title=fit.job.title, location=fit.job.location, matched=", ".join(fit.matched))
            for fit in best[:_SHOWN]
        )
        if not items:
            return Outcome(said="nothing")
        return Outcome(said="found" if best[0].points else "others", items=items)

    async def _find_applications(self, order: ErrandOrder) -> Outcome:
        page = await self._applications.find(order.tenant, ApplicationFilter(user_id=order.user_id), limit=_SHOWN)
        items = [await self._application(order.tenant, application) for application in page.applications]
        return Outcome(said="found" if items else "nothing", items=tuple(items))

    async def _application(self, tenant: TenantId, application: Application) -> Item:
        job = await self._jobs.get(tenant, application.job_id)
        day = application.updated_at.date().isoformat()
        return _item(job_id=job.job_id, title=job.title, status=application.status, day=day)

    async def _change_profile(self, order: ErrandOrder, request: ChangeProfile) -> Outcome:
        changes = {field: value for field, value in request.changes.items() if field in _FIELDS}
        try:
            await self._candidates.change(
                order.tenant, order.user_id, lambda before: profiles.corrected(before, changes, order.at)
            )
        except ValidationError as error:
            raise InvalidInput("it is not of the right kind", field=", ".join(changes)) from error
        return _profile("done", changes)

    # --- for recruiters -----------------------------------------------------------------------------------------------

    async def _create_job(self, order: ErrandOrder, request: CreateJob) -> Outcome:
        new = Job(
            job_id=_job_id(order),
            created_at=order.at,
            updated_at=order.at,
            **request.model_dump(exclude={"kind"}),
        )
        return _about(await self._jobs.create(order.tenant, new), "done")

    async def _suggest_questions(self, tenant: TenantId, request: SuggestQuestions) -> Outcome:
        job = await self._job(tenant, request.job)
        items = _suggestions(await self._suggestions_for(tenant, job))
        return _about(job, "found" if items else "nothing", items, suggested=len(items))

    async def _suggestions_for(self, tenant: TenantId, job: Job) -> Sequence[Question]:
        """Ask for suggestions; the usual questions are always there."""
        if self._suggester is None:
            return question_bank.suggest(job)
        try:
            return await self._suggester.suggest(tenant, job)
        except Unavailable:
            return question_bank.suggest(job)

    async def _write_questions(self, order: ErrandOrder, request: WriteQuestions) -> Outcome:
        job = await self._job(order.tenant, request.job)
        questions = [question_drafts.finished(job, draft) for draft in request.questions]

        def change(before: Job) -> Job:
            for question in questions:
                before = jobs.with_question(before, question, order.at)
            return before

        return _about(await self._jobs.change(order.tenant, job.job_id, change), "done")

    async def _find_candidates(self, tenant: TenantId, request: FindCandidates) -> Outcome:
        job = await self._job(tenant, request.job)
        page = await self._applications.candidates(tenant, job.job_id, limit=_SHOWN)
        items = tuple(_candidate(each) for each in page.candidates)
        return _about(job, "found" if items else "nothing", items)

    async def _job(self, tenant: TenantId, said: str) -> Job:
        """Find the job that a recruiter means by an id or by a title, open ones first.

        Raises:
            NotFound: There is none, or it could be several.
        """
        if is_identifier(said):
            try:
                return await self._jobs.get(tenant, JobId(said))
            except NotFound:
                pass  # It may be a title of one word.
        everything = (await self._jobs.find(tenant, JobFilter(), limit=_SEARCHED)).jobs
        still_open = [job for job in everything if job.status is JobStatus.OPEN]
        job = job_search.meant(still_open, said) or job_search.meant(everything, said)
        if job is None:
            raise NotFound("job", said)
        return job

    async def _which_job(self, tenant: TenantId) -> Outcome:
        items = _listed(await self._open_jobs(tenant))
        return Outcome(said="no_job" if items else "no_jobs", items=items, again=("job",))

    async def _open_jobs(self, tenant: TenantId) -> Sequence[Job]:
        return (await self._jobs.find(tenant, JobFilter(status=JobStatus.OPEN), limit=_SEARCHED)).jobs


def _job_id(order: ErrandOrder) -> JobId:
    """Name the job that a turn creates, so that the turn creates it once however often it is run."""
    return JobId(hashlib.sha256(f"{order.session_id}/{order.turn}".encode()).hexdigest()[:16])


def _refused(error: TertuliaError) -> Outcome:
    return Outcome(said="refused", values={"reason": _short(str(error))})


def _about(job: Job, said: str, items: tuple[Item, ...] = (), **slots: int) -> Outcome:
    """Tell something about a job, and remember that it is the one the conversation is about."""
    return Outcome(
        said=said,
        items=items,
        values=_item(title=job.title, questions=str(len(job.questions))),
        slots={"job": job.job_id, "job_title": _short(job.title), **slots},
    )


def _listed(found: Iterable[Job]) -> tuple[Item, ...]:
    return tuple(
        _item(job_id=job.job_id, title=job.title, location=job.location, questions=str(len(job.questions)))
        for job in tuple(found)[:_SHOWN]
    )


def _suggestions(questions: Sequence[Question]) -> tuple[Item, ...]:
    """List questions with all that is needed to write them, but for those that are too long to be carried along."""
    items = (
        _item(
            text=question.text,
            type=question.type.replace("_", " "),
            weight=f"{question.weight:g}",
            must="have" if question.must_have else "",
        )
        | {"question": question.model_dump_json(exclude_defaults=True)}
        for question in questions
    )
    return tuple(item for item in items if len(item["question"]) <= ITEM_CHARS)[:MOST_ITEMS]


def _candidate(candidate: Candidate) -> Item:
    application, result = candidate.application, candidate.application.prescreen
    shown = _item(name=candidate.profile.name or application.user_id, status=application.status)
    if result is None:
        return shown
    best_first = sorted(result.points.items(), key=lambda each: (-each[1].most, each[0]))
    points = ", ".join(f"{qid} {_of(points)}" for qid, points in best_first)
    failed = ", ".join(result.must_have_failed)
    return shown | _item(score=f"{result.jd_match_score:g} of 100", points=points, failed=failed)


def _of(points: Points) -> str:
    return f"{points.earned:g} of {points.most:g}"


def _profile(said: str, fields: Mapping[str, object]) -> Outcome:
    shown = {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    items = tuple(_item(field=name, value=str(value)) for name, value in shown.items() if value)
    return Outcome(said=said if items else "nothing", items=items)


def _item(**texts: str) -> Item:
    """Collect the texts that say something, each short enough for a line."""
    return {name: _short(text) for name, text in texts.items() if text}


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else f"{text[: _TEXT_CHARS - 1]}…"
