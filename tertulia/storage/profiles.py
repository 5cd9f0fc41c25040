"""What is kept of candidates: profiles and résumés; and how all of it is erased."""

from collections.abc import Callable
from datetime import datetime

from tertulia.domain.ids import TenantId
from tertulia.domain.recruiting.profiles import Profile
from tertulia.domain.recruiting.resumes import Resume, ResumeFile, StoredResume
from tertulia.storage.pool import Pool, Row

_SELECT = """
SELECT user_id, name, email, phone, location, links, experience_years, skills, answers, updated_at
FROM profiles
WHERE tenant = $1 AND user_id = $2
"""
_LOCK = _SELECT + "FOR UPDATE"

_BEGIN = """
INSERT INTO profiles (tenant, user_id, links, skills, answers) VALUES ($1, $2, '[]', '[]', '{}')
ON CONFLICT DO NOTHING
"""

_UPDATE = """
UPDATE profiles
SET name = $3, email = $4, phone = $5, location = $6, links = $7, experience_years = $8, skills = $9, answers = $10,
    updated_at = $11
WHERE tenant = $1 AND user_id = $2
"""

_STORE_RESUME = """
INSERT INTO resumes (tenant, user_id, media_type, content, found, uploaded_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, user_id) DO UPDATE SET media_type = $3, content = $4, found = $5, uploaded_at = $6
"""

_RESUME = """
SELECT media_type, octet_length(content) AS size_bytes, found, uploaded_at FROM resumes
WHERE tenant = $1 AND user_id = $2
"""

_RESUME_FILE = """
SELECT media_type, content FROM resumes WHERE tenant = $1 AND user_id = $2
"""

_REMOVE_RESUME = """
DELETE FROM resumes WHERE tenant = $1 AND user_id = $2
"""

# Timelines go with their applications, and with a chat on a messenger what was written there and its links to sessions.
_ERASE = """
WITH resume AS (
    DELETE FROM resumes WHERE tenant = $1 AND user_id = $2
), profile AS (
    DELETE FROM profiles WHERE tenant = $1 AND user_id = $2
), chats AS (
    DELETE FROM channel_chats WHERE tenant = $1 AND user_id = $2
), addresses AS (
    UPDATE sessions SET channel_user_id = NULL
    WHERE tenant = $1 AND user_id = $2 AND channel_user_id IS NOT NULL
)
DELETE FROM applications WHERE tenant = $1 AND user_id = $2
"""


class PostgresCandidates:
    """Implements `ports.Candidates`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def profile(self, tenant: TenantId, user_id: str) -> Profile:
        """Read what is known of a person; an empty profile where that is nothing."""
        async with self._pool.connection() as connection:
            return _profile(await connection.fetchrow(_SELECT, tenant, user_id), user_id)

    async def change(self, tenant: TenantId, user_id: str, change: Callable[[Profile], Profile]) -> Profile:
        """Change a profile while nobody else does.

        Raises:
            TertuliaError: Whatever the change refuses; nothing is stored then.
        """
        async with self._pool.transaction() as connection:
            await connection.execute(_BEGIN, tenant, user_id)
            after = change(_profile(await connection.fetchrow(_LOCK, tenant, user_id), user_id))
            await connection.execute(
                _UPDATE,
                tenant,
                user_id,
                after.name,
                after.email,
                after.phone,
                after.location,
                after.links,
                after.experience_years,
                after.skills,
                after.answers,
                after.updated_at,
            )
        return after

    async def store_resume(self, tenant: TenantId, user_id: str, file: ResumeFile, found: Resume, at: datetime) -> None:
        """Store a résumé in the place of the one before."""
        async with self._pool.connection() as connection:
            await connection.execute(_STORE_RESUME, tenant, user_id, file.media_type, file.content, found, at)

    async def resume(self, tenant: TenantId, user_id: str) -> StoredResume | None:
        """Read what was found in a person's résumé; None where there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_RESUME, tenant, user_id)
        return StoredResume.model_validate(dict(row)) if row else None

    async def resume_file(self, tenant: TenantId, user_id: str) -> ResumeFile | None:
        """Read a person's résumé as it was uploaded; None where there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_RESUME_FILE, tenant, user_id)
        return ResumeFile(row["media_type"], row["content"]) if row else None

    async def remove_resume(self, tenant: TenantId, user_id: str) -> None:
        """Erase a person's résumé, if there is one."""
        async with self._pool.connection() as connection:
            await connection.execute(_REMOVE_RESUME, tenant, user_id)

    async def erase(self, tenant: TenantId, user_id: str) -> None:
        """Erase a person's applications, profile and résumé, and where the person is reached on messengers."""
        async with self._pool.connection() as connection:
            await connection.execute(_ERASE, tenant, user_id)


def _profile(row: Row | None, user_id: str) -> Profile:
    return Profile.model_validate(dict(row)) if row else Profile(user_id=user_id)
