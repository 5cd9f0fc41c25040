"""Applications: begin, answer, move along the life cycle, and look back."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tertulia.api.access import Caller, Tenant, allow, own_session
from tertulia.api.ids import new_id
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.api.recruiting_inputs import (
    ApplicationInPath,
    Apply,
    FindApplications,
    GiveAnswers,
    MoveApplication,
    PageOfTimeline,
)
from tertulia.api.recruiting_ports import Recruiting, RecruitingPorts
from tertulia.api.recruiting_views import ApplicationDetail, Timeline
from tertulia.domain.access import Scope
from tertulia.domain.ids import ApplicationId, JobId, TenantId
from tertulia.domain.recruiting import applications, profiles
from tertulia.domain.recruiting.applications import Actor, ApplicationFilter, ApplicationPage, ToApply
from tertulia.domain.recruiting.jobs import Job

router = APIRouter(prefix="/v1/applications", tags=["applications"], dependencies=[allow(Scope.OPERATE)])


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": ApplicationDetail, "description": "The undecided application that there is already"},
        **documented("not_found", "refused", body=True),
    },
)
async def apply(
    body: Apply, ports: Recruiting, engine: Ports, caller: Caller, tenant: Tenant, response: Response
) -> ApplicationDetail:
    """Begin an application, with the answers that the person has given in earlier ones.

    A person has one application for a job until it is decided, so that the call can be repeated.
    """
    job = await ports.jobs.get(tenant, JobId(body.job_id))
    if body.session_id is not None:
        # What is said in a session fills in its application.
        await own_session(engine, caller, body.session_id)
    profile = await ports.candidates.profile(tenant, body.user_id)
    order = ToApply(application_id=ApplicationId(new_id()), user_id=body.user_id, session_id=body.session_id)
    begun = applications.created(order, job, profile, Actor.CANDIDATE, datetime.now(UTC))
    opened = await ports.applications.open(tenant, begun)
    if opened.application_id != order.application_id:
        response.status_code = 200
    response.headers["Location"] = f"/v1/applications/{opened.application_id}"
    return ApplicationDetail.of(opened, job)


@router.get("", responses=documented())
async def list_applications(
    query: Annotated[FindApplications, Query()], ports: Recruiting, tenant: Tenant
) -> ApplicationPage:
    """List applications, newest first."""
    where = ApplicationFilter.model_validate(query.model_dump(exclude={"cursor", "limit"}))
    return await ports.applications.find(tenant, where, cursor=query.cursor, limit=query.limit)


@router.get("/{application_id}", responses=documented("not_found"))
async def read_application(application_id: ApplicationInPath, ports: Recruiting, tenant: Tenant) -> ApplicationDetail:
    """Read an application with its answers, its score, and what can be done with it."""
    application = await ports.applications.get(tenant, application_id)
    return ApplicationDetail.of(application, await ports.jobs.get(tenant, application.job_id))


@router.patch("/{application_id}/answers", responses=documented("not_found", "refused", body=True))
async def give_answers(
    application_id: ApplicationInPath, body: GiveAnswers, ports: Recruiting, tenant: Tenant
) -> ApplicationDetail:
    """Take answers, all or none of them; the others stay. They are kept for the person's later applications, too."""
    job = await _job(ports, tenant, application_id)
    now = datetime.now(UTC)
    after = await ports.applications.change(
        tenant,
        application_id,
        lambda application: applications.answered(application, job, body.answers, body.by, now),
    )
    given = {qid: after.answers[qid] for qid in body.answers if qid in after.answers}
    await ports.candidates.change(tenant, after.user_id, lambda profile: profiles.remembering(profile, job, given, now))
    return ApplicationDetail.of(after, job)


@router.post("/{application_id}/transition", responses=documented("not_found", "transition_refused", body=True))
async def move_application(
    application_id: ApplicationInPath, body: MoveApplication, ports: Recruiting, tenant: Tenant
) -> ApplicationDetail:
    """Move an application along its life cycle. One that is submitted is screened at once."""
    job = await _job(ports, tenant, application_id)
    now = datetime.now(UTC)
    after = await ports.applications.change(
        tenant,
        application_id,
        lambda application: applications.moved(application, body.to, job, body.by, now, body.reason),
    )
    return ApplicationDetail.of(after, job)


@router.get("/{application_id}/timeline", responses=documented("not_found"))
async def read_timeline(
    application_id: ApplicationInPath, query: Annotated[PageOfTimeline, Query()], ports: Recruiting, tenant: Tenant
) -> Timeline:
    """Read what happened to an application, oldest first."""
    found = await ports.applications.timeline(tenant, application_id, after=query.after, limit=query.limit + 1)
    if not found:
        await ports.applications.get(tenant, application_id)
    piece = tuple(found[: query.limit])
    return Timeline(entries=piece, next=piece[-1].seq if len(piece) < len(found) else None)


async def _job(ports: RecruitingPorts, tenant: TenantId, application_id: ApplicationId) -> Job:
    application = await ports.applications.get(tenant, application_id)
    return await ports.jobs.get(tenant, application.job_id)
