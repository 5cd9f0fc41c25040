"""Implements `ports.ResumeIntake`: a file is read, what rules and providers find in it is kept with it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from tertulia.domain.ids import TenantId
from tertulia.domain.recruiting import profiles, resumes
from tertulia.domain.recruiting.resumes import ResumeFile, StoredResume, TakenResume
from tertulia.ports import Candidates, ResumeReader
from tertulia.recruiting.resume_completion import ResumeCompletion


def _utc_now() -> datetime:
    return datetime.now(UTC)


class StoringIntake:
    """Keeps files as résumés.

    Args:
        completion: Asks providers for what the rules don't find; None where résumés are shown to no provider.
    """

    def __init__(
        self,
        reader: ResumeReader,
        candidates: Candidates,
        completion: ResumeCompletion | None = None,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._reader = reader
        self._candidates = candidates
        self._completion = completion
        self._now = now

    async def take(self, tenant: TenantId, user_id: str, content: bytes) -> TakenResume:
        read = await self._reader.read(content)
        now = self._now()
        found = await asyncio.to_thread(resumes.parse, read.text, now.date())
        if self._completion:
            found = await self._completion.complete(tenant, read.text, found)
        await self._candidates.store_resume(tenant, user_id, ResumeFile(read.media_type, content), found, now)
        await self._candidates.change(tenant, user_id, lambda profile: profiles.filled_from(profile, found, now))
        stored = StoredResume(media_type=read.media_type, size_bytes=len(content), found=found, uploaded_at=now)
        return TakenResume(read.text, stored)
