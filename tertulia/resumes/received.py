"""Files that people send in chats: implements `ports.ReceivedFiles` by taking them as their résumé."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from tertulia.domain import profiles, resumes
from tertulia.domain.ids import TenantId
from tertulia.domain.resumes import ResumeFile
from tertulia.ports import Candidates, ResumeReader


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ReceivedResumes:
    """Keeps a file as the person's résumé, in the place of the one before."""

    def __init__(self, reader: ResumeReader, candidates: Candidates, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._reader = reader
        self._candidates = candidates
        self._now = now

    async def take(self, tenant: TenantId, user_id: str, content: bytes) -> str:
        read = await self._reader.read(content)
        now = self._now()
        found = await asyncio.to_thread(resumes.parse, read.text, now.date())
        await self._candidates.store_resume(tenant, user_id, ResumeFile(read.media_type, content), found, now)
        await self._candidates.change(tenant, user_id, lambda profile: profiles.filled_from(profile, found, now))
        return read.text
