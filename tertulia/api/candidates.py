"""Candidates: what is known of a person over all applications, the résumé, and the erasure of it all."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from tertulia.api.access import Tenant, allow
from tertulia.api.inputs import PersonInPath
from tertulia.api.problems import documented
from tertulia.api.recruiting_inputs import UpdateProfile
from tertulia.api.recruiting_ports import Recruiting
from tertulia.api.resumes import FILE, FILE_BODY
from tertulia.domain.access import Scope
from tertulia.domain.errors import NotFound
from tertulia.domain.recruiting import media_types, profiles
from tertulia.domain.recruiting.profiles import Profile
from tertulia.domain.recruiting.resumes import StoredResume

router = APIRouter(prefix="/v1/candidates/{user_id}", tags=["candidates"], dependencies=[allow(Scope.OPERATE)])


@router.get("", responses=documented())
async def read_profile(user_id: PersonInPath, ports: Recruiting, tenant: Tenant) -> Profile:
    """Read what is known of a person; an empty profile where that is nothing."""
    return await ports.candidates.profile(tenant, user_id)


@router.patch("", responses=documented(body=True))
async def update_profile(user_id: PersonInPath, body: UpdateProfile, ports: Recruiting, tenant: Tenant) -> Profile:
    """Change fields of a profile."""
    now = datetime.now(UTC)
    return await ports.candidates.change(
        tenant, user_id, lambda profile: profiles.corrected(profile, body.changes(), now)
    )


@router.delete("", status_code=204, response_class=Response, responses=documented())
async def erase_candidate(user_id: PersonInPath, ports: Recruiting, tenant: Tenant) -> None:
    """Erase a person's applications with their timelines, the profile, the résumé, and the messenger's address.

    What was said stays until its sessions are erased (`DELETE /v1/sessions/{session_id}?erase=true`).
    """
    await ports.candidates.erase(tenant, user_id)


@router.put(
    "/resume",
    responses=documented("body_too_large"),
    openapi_extra=FILE_BODY,
)
async def upload_resume(user_id: PersonInPath, request: Request, ports: Recruiting, tenant: Tenant) -> StoredResume:
    """Store a résumé: the body is the file, a PDF, a Word file (.docx) or plain text of at most 5 MiB.

    What kind of file it is shows its content alone. What is found in it fills what is empty in the profile.
    """
    return (await ports.resumes.take(tenant, user_id, await request.body())).stored


@router.get("/resume", responses=documented("not_found"))
async def read_resume(user_id: PersonInPath, ports: Recruiting, tenant: Tenant) -> StoredResume:
    """Read what was found in a person's résumé, each finding with its place."""
    stored = await ports.candidates.resume(tenant, user_id)
    if stored is None:
        raise NotFound("résumé", user_id)
    return stored


@router.get(
    "/resume/file",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": dict.fromkeys(media_types.OF_RESUMES, FILE)},
        **documented("not_found"),
    },
)
async def download_resume(user_id: PersonInPath, ports: Recruiting, tenant: Tenant) -> Response:
    """Download a person's résumé as it was uploaded."""
    file = await ports.candidates.resume_file(tenant, user_id)
    if file is None:
        raise NotFound("résumé", user_id)
    return Response(
        file.content,
        media_type=file.media_type,
        # Never shown in place: the file is somebody else's, and could pose as one of our pages.
        headers={"Content-Disposition": 'attachment; filename="resume"', "X-Content-Type-Options": "nosniff"},
    )


@router.delete("/resume", status_code=204, response_class=Response, responses=documented())
async def erase_resume(user_id: PersonInPath, ports: Recruiting, tenant: Tenant) -> None:
    """Erase a person's résumé; what it has told the profile stays there."""
    await ports.candidates.remove_resume(tenant, user_id)
