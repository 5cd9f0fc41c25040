"""Jobs: write them and their questions, and see who has applied."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.responses import StreamingResponse

from tertulia.api.access import Tenant, allow
from tertulia.api.export import csv_lines
from tertulia.api.ids import new_id
from tertulia.api.inputs import chosen_id
from tertulia.api.problems import documented
from tertulia.api.recruiting_inputs import (
    CreateJob,
    FindCandidates,
    FindJobs,
    JobInPath,
    PutQuestion,
    QuestionInPath,
    UpdateJob,
)
from tertulia.api.recruiting_ports import Recruiting, RecruitingPorts
from tertulia.api.recruiting_views import FileFormat, QuestionList, SuggestedQuestions
from tertulia.domain.access import Scope
from tertulia.domain.errors import Refused, Unavailable
from tertulia.domain.ids import JobId, TenantId
from tertulia.domain.recruiting import jobs, question_bank
from tertulia.domain.recruiting.applications import Candidate, CandidatePage
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobPage, Question

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[allow(Scope.OPERATE)])

_PAGE = 200
_COLUMNS = ("application_id", "user_id", "name", "email", "phone", "status", "jd_match_score", "must_have_failed")


@router.post("", status_code=201, responses=documented("refused", body=True))
async def create_job(
    body: CreateJob,
    ports: Recruiting,
    tenant: Tenant,
    response: Response,
    idempotency_key: Annotated[str | None, Header(description="The job's id, chosen by the client")] = None,
) -> Job:
    """Create a job, without questions yet. With an id of the client's choice the call can be repeated."""
    job_id = JobId(chosen_id(body.job_id, idempotency_key) or new_id())
    now = datetime.now(UTC)
    new = Job(**body.model_dump(exclude={"job_id"}), job_id=job_id, created_at=now, updated_at=now)
    stored = await ports.jobs.create(tenant, new)
    if stored.title != new.title:
        raise Refused("another job has this id already")
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return stored


@router.get("", responses=documented())
async def list_jobs(query: Annotated[FindJobs, Query()], ports: Recruiting, tenant: Tenant) -> JobPage:
    """List jobs, newest first."""
    return await ports.jobs.find(tenant, JobFilter(status=query.status), cursor=query.cursor, limit=query.limit)


@router.get("/{job_id}", responses=documented("not_found"))
async def read_job(job_id: JobInPath, ports: Recruiting, tenant: Tenant) -> Job:
    """Read a job with its questions."""
    return await ports.jobs.get(tenant, job_id)


@router.patch("/{job_id}", responses=documented("not_found", "refused", body=True))
async def update_job(job_id: JobInPath, body: UpdateJob, ports: Recruiting, tenant: Tenant) -> Job:
    """Change fields of an open job."""
    now = datetime.now(UTC)
    return await ports.jobs.change(tenant, job_id, lambda job: jobs.updated(job, body.changes(), now))


@router.post("/{job_id}/close", responses=documented("not_found"))
async def close_job(job_id: JobInPath, ports: Recruiting, tenant: Tenant) -> Job:
    """Close a job for good: it takes no applications any more. One that is closed stays as it is."""
    now = datetime.now(UTC)
    return await ports.jobs.change(tenant, job_id, lambda job: jobs.closed(job, now))


@router.get("/{job_id}/questions", responses=documented("not_found"))
async def list_questions(job_id: JobInPath, ports: Recruiting, tenant: Tenant) -> QuestionList:
    """List the questions of a job, in the order in which they are asked."""
    return QuestionList(questions=(await ports.jobs.get(tenant, job_id)).questions)


@router.put("/{job_id}/questions/{qid}", responses=documented("not_found", "refused", body=True))
async def put_question(
    job_id: JobInPath, qid: QuestionInPath, body: PutQuestion, ports: Recruiting, tenant: Tenant
) -> Question:
    """Put a question in the place of the one of its name, or behind the others."""
    question, now = body.question(qid), datetime.now(UTC)
    await ports.jobs.change(tenant, job_id, lambda job: jobs.with_question(job, question, now))
    return question


@router.delete(
    "/{job_id}/questions/{qid}",
    status_code=204,
    response_class=Response,
    responses=documented("not_found", "refused"),
)
async def delete_question(job_id: JobInPath, qid: QuestionInPath, ports: Recruiting, tenant: Tenant) -> None:
    """Remove a question. Answers that it has had stay with their applications, and count no more."""
    now = datetime.now(UTC)
    await ports.jobs.change(tenant, job_id, lambda job: jobs.without_question(job, qid, now))


@router.post("/{job_id}/questions/suggest", responses=documented("not_found"))
async def suggest_questions(job_id: JobInPath, ports: Recruiting, tenant: Tenant) -> SuggestedQuestions:
    """Suggest questions that the job does not have yet: by a provider, or else from the usual ones."""
    job = await ports.jobs.get(tenant, job_id)
    if ports.suggester:
        try:
            return SuggestedQuestions(questions=tuple(await ports.suggester.suggest(tenant, job)), source="provider")
        except Unavailable:
            pass  # The usual ones are better than none.
    return SuggestedQuestions(questions=question_bank.suggest(job), source="bank")


@router.get(
    "/{job_id}/candidates",
    response_model=CandidatePage,
    responses={
        200: {
            "description": "A page, or as CSV the whole list",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **documented("not_found"),
    },
)
async def list_candidates(
    job_id: JobInPath, query: Annotated[FindCandidates, Query()], ports: Recruiting, tenant: Tenant
) -> Any:
    """List who has applied for a job, best score first, with what is known of them.

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    job = await ports.jobs.get(tenant, job_id)
    if query.format is FileFormat.JSON:
        return await ports.applications.candidates(tenant, job_id, cursor=query.cursor, limit=query.limit)
    first = await ports.applications.candidates(tenant, job_id, limit=_PAGE)
    return StreamingResponse(
        _csv(job, _pages(ports, tenant, job_id, first)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="candidates-{job_id}.csv"'},
    )


async def csv_of_candidates(ports: RecruitingPorts, tenant: TenantId, job: Job) -> str:
    """Write a job's whole list of candidates as CSV."""
    first = await ports.applications.candidates(tenant, job.job_id, limit=_PAGE)
    return "".join([piece async for piece in _csv(job, _pages(ports, tenant, job.job_id, first))])


async def _pages(
    ports: RecruitingPorts, tenant: TenantId, job_id: JobId, first: CandidatePage
) -> AsyncIterator[CandidatePage]:
    page = first
    yield page
    while page.next:
        page = await ports.applications.candidates(tenant, job_id, cursor=page.next, limit=_PAGE)
        yield page


async def _csv(job: Job, pages: AsyncIterator[CandidatePage]) -> AsyncIterator[str]:
    qids = [question.qid for question in job.questions]
    yield csv_lines([(*_COLUMNS, *qids)])
    async for page in pages:
        yield csv_lines(_row(candidate, qids) for candidate in page.candidates)


def _row(candidate: Candidate, qids: Sequence[str]) -> tuple[object, ...]:
    application, profile, prescreen = candidate.application, candidate.profile, candidate.application.prescreen
    return (
        application.application_id,
        application.user_id,
        profile.name,
        profile.email,
        profile.phone,
        application.status,
        prescreen and prescreen.jd_match_score,
        prescreen and " ".join(prescreen.must_have_failed),
        *(_told(application.answers.get(qid)) for qid in qids),
    )


def _told(answer: object) -> object:
    match answer:
        case bool():
            return "yes" if answer else "no"
        case list():
            return ", ".join(map(str, answer))
        case _:
            return answer
