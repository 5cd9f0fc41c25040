"""Jobs with their questions."""

from collections.abc import Callable

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import JobId, TenantId
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobPage
from tertulia.storage import cursors
from tertulia.storage.pool import Connection, Pool

_SELECT = """
SELECT job_id, title, description, location, skills, currency, status, questions, created_at, updated_at
FROM jobs
WHERE tenant = $1
"""

_GET = _SELECT + "AND job_id = $2"
_LOCK = _GET + " FOR UPDATE"

_CREATE = """
INSERT INTO jobs (tenant, job_id, title, description, location, skills, currency, status, questions, created_at,
                  updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
"""

_UPDATE = """
UPDATE jobs
SET title = $3, description = $4, location = $5, skills = $6, currency = $7, status = $8, questions = $9,
    created_at = $10, updated_at = $11
WHERE tenant = $1 AND job_id = $2
"""

_NEWEST_FIRST = """
ORDER BY created_at DESC, job_id DESC
LIMIT $2
"""


class PostgresJobs:
    """Implements `ports.Jobs`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, tenant: TenantId, job: Job) -> Job:
        """Store a job; return the one that is stored already where there is one of this id."""
        async with self._pool.transaction() as connection:
            await connection.execute(_CREATE, *_columns(tenant, job))
            return await _read(connection, _GET, tenant, job.job_id)

    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Read a job.

        Raises:
            NotFound: There is none of that id.
        """
        async with self._pool.connection() as connection:
            return await _read(connection, _GET, tenant, job_id)

    async def find(self, tenant: TenantId, where: JobFilter, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """List jobs, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        # One more than asked for tells whether there is a next page.
        statement, arguments = _listing(tenant, where, cursor, limit + 1)
        async with self._pool.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        page = tuple(Job.model_validate(dict(row)) for row in rows[:limit])
        more = len(rows) > limit
        return JobPage(jobs=page, next=cursors.encode(page[-1].created_at, page[-1].job_id) if more else None)

    async def change(self, tenant: TenantId, job_id: JobId, change: Callable[[Job], Job]) -> Job:
        """Change a job while nobody else does.

        Raises:
            NotFound: There is none of that id.
            TertuliaError: Whatever the change refuses; nothing is stored then.
        """
        async with self._pool.transaction() as connection:
            changed = change(await _read(connection, _LOCK, tenant, job_id))
            await connection.execute(_UPDATE, *_columns(tenant, changed))
        return changed


def _columns(tenant: TenantId, job: Job) -> tuple[object, ...]:
    return (
        tenant,
        job.job_id,
        job.title,
        job.description,
        job.location,
        job.skills,
        job.currency,
        job.status,
        job.questions,
        job.created_at,
        job.updated_at,
    )


async def _read(connection: Connection, statement: str, tenant: TenantId, job_id: JobId) -> Job:
    row = await connection.fetchrow(statement, tenant, job_id)
    if row is None:
        raise NotFound("job", job_id)
    return Job.model_validate(dict(row))


def _listing(tenant: TenantId, where: JobFilter, cursor: str | None, limit: int) -> tuple[str, list[object]]:
    arguments: list[object] = [tenant, limit]
    conditions = ""
    if where.status:
        arguments.append(where.status)
        conditions += f" AND status = ${len(arguments)}"
    if cursor:
        arguments += cursors.decode_time(cursor)
        conditions += f" AND (created_at, job_id) < (${len(arguments) - 1}, ${len(arguments)})"
    return _SELECT + conditions + _NEWEST_FIRST, arguments
