"""Applications with their timelines, and the lists of candidates."""

from collections.abc import Callable, Sequence

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import ApplicationId, JobId, SessionId, TenantId
from tertulia.domain.recruiting.applications import (
    Application,
    ApplicationFilter,
    ApplicationPage,
    Candidate,
    CandidatePage,
    Followed,
    Numbered,
    Step,
    TimelineEntry,
)
from tertulia.domain.recruiting.jobs import Job
from tertulia.domain.recruiting.profiles import Profile
from tertulia.storage import cursors
from tertulia.storage.pool import Connection, Pool, Row

_SELECT = """
SELECT application_id, job_id, user_id, session_id, status, answers, prescreen, created_at, updated_at
FROM applications
WHERE tenant = $1
"""

_GET = _SELECT + "AND application_id = $2"
_LOCK = _GET + " FOR UPDATE"
# What stands in the way of a new one: the same one, or the person's undecided one for the job.
_STORED = (
    _SELECT
    + """
  AND (application_id = $2
       OR job_id = $3 AND user_id = $4 AND status NOT IN ('rejected', 'withdrawn', 'hired'))
ORDER BY application_id = $2 DESC
LIMIT 1
"""
)

# The person's undecided application for the job of the chat, of which there is one at most. Once a chat has come to a
# later turn, all that is said in it has been taken in: this is a worker that was frozen, and repeats itself.
_OF_SESSION = """
SELECT tenant, application_id, job_id, user_id, applications.session_id, applications.status, answers, prescreen,
       applications.created_at, applications.updated_at, to_jsonb(jobs) AS job
FROM sessions JOIN applications USING (tenant, user_id, job_id) JOIN jobs USING (tenant, job_id)
WHERE sessions.session_id = $1 AND sessions.turn <= $2 AND sessions.role = 'candidate'
  AND applications.status NOT IN ('rejected', 'withdrawn', 'hired')
FOR UPDATE OF applications
"""

_OPEN = """
INSERT INTO applications (tenant, application_id, job_id, user_id, session_id, status, answers, prescreen, created_at,
                          updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING
RETURNING application_id
"""

_UPDATE = """
UPDATE applications SET session_id = $3, status = $4, answers = $5, prescreen = $6, updated_at = $7
WHERE tenant = $1 AND application_id = $2
"""

# The application's row is locked, so that nobody else counts at the same time.
_TELL = """
INSERT INTO application_timeline (tenant, application_id, seq, at, by, kind, status, qids, reason)
SELECT $1, $2, told.last + number, at, by, kind, status, qids, reason
FROM (SELECT coalesce(max(seq), 0) AS last FROM application_timeline WHERE tenant = $1 AND application_id = $2) AS told,
     ROWS FROM (jsonb_to_recordset($3) AS (at timestamptz, by text, kind text, status text, qids jsonb, reason text))
     WITH ORDINALITY AS told_now (at, by, kind, status, qids, reason, number)
"""

_TIMELINE = """
SELECT seq, at, by, kind, status, qids, reason
FROM application_timeline
WHERE tenant = $1 AND application_id = $2 AND seq > $3
ORDER BY seq
LIMIT $4
"""

_NEWEST_FIRST = """
ORDER BY created_at DESC, application_id DESC
LIMIT $2
"""

_CANDIDATES = """
SELECT application_id, job_id, user_id, session_id, status, applications.answers, prescreen, created_at,
       applications.updated_at, score, to_jsonb(profiles) AS profile
FROM applications LEFT JOIN profiles USING (tenant, user_id)
WHERE tenant = $1 AND job_id = $2
"""
_BEHIND = "AND (score, application_id) < ($4, $5)"
_BEST_FIRST = """
ORDER BY score DESC, application_id DESC
LIMIT $3
"""


class PostgresApplications:
    """Implements `ports.Applications`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, tenant: TenantId, begun: Step) -> Application:
        """Store a new application; return the one that is stored where it is, or the person has an undecided one."""
        new = begun.application
        async with self._pool.transaction() as connection:
            opened = await connection.fetchval(
                _OPEN,
                tenant,
                new.application_id,
                new.job_id,
                new.user_id,
                new.session_id,
                new.status,
                new.answers,
                new.prescreen,
                new.created_at,
                new.updated_at,
            )
            if opened is None:
                row = await connection.fetchrow(_STORED, tenant, new.application_id, new.job_id, new.user_id)
                return _application(row, new.application_id)
            await _tell(connection, tenant, new.application_id, begun.entries)
        return new

    async def get(self, tenant: TenantId, application_id: ApplicationId) -> Application:
        """Read an application.

        Raises:
            NotFound: There is none of that id.
        """
        async with self._pool.connection() as connection:
            return _application(await connection.fetchrow(_GET, tenant, application_id), application_id)

    async def find(
        self, tenant: TenantId, where: ApplicationFilter, *, cursor: str | None = None, limit: int = 50
    ) -> ApplicationPage:
        """List applications, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        # One more than asked for tells whether there is a next page.
        statement, arguments = _listing(tenant, where, cursor, limit + 1)
        async with self._pool.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        page = tuple(Application.model_validate(dict(row)) for row in rows[:limit])
        more = len(rows) > limit
        behind = cursors.encode(page[-1].created_at, page[-1].application_id) if more else None
        return ApplicationPage(applications=page, next=behind)

    async def change(
        self, tenant: TenantId, application_id: ApplicationId, change: Callable[[Application], Step]
    ) -> Application:
        """Take an application a step further while nobody else does, and tell it on the timeline.

        Raises:
            NotFound: There is none of that id.
            TertuliaError: Whatever the change refuses; nothing is stored then.
        """
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(_LOCK, tenant, application_id)
            step = change(_application(row, application_id))
            await _store(connection, tenant, step)
        return step.application

    async def follow(
        self, session_id: SessionId, turn: int, change: Callable[[Application, Job], Step]
    ) -> Followed | None:
        """Take a step that a turn of a chat has brought, as `change` does.

        Returns:
            None where the chat fills in no application, or has come to a later turn.
        """
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(_OF_SESSION, session_id, turn)
            if row is None:
                return None
            job = Job.model_validate(row["job"])
            step = change(Application.model_validate(dict(row)), job)
            await _store(connection, row["tenant"], step)
        return Followed(row["tenant"], step.application, job)

    async def timeline(
        self, tenant: TenantId, application_id: ApplicationId, *, after: int = 0, limit: int = 100
    ) -> Sequence[Numbered]:
        """Return at most `limit` entries with `seq > after`, oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_TIMELINE, tenant, application_id, after, limit)
        return [Numbered.model_validate(dict(row)) for row in rows]

    async def candidates(
        self, tenant: TenantId, job_id: JobId, *, cursor: str | None = None, limit: int = 50
    ) -> CandidatePage:
        """List who has applied for a job, best score first; one that is screened meanwhile may move between pages.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        behind = cursors.decode_number(cursor) if cursor else ()
        statement = _CANDIDATES + (_BEHIND if behind else "") + _BEST_FIRST
        async with self._pool.connection() as connection:
            rows = await connection.fetch(statement, tenant, job_id, limit + 1, *behind)
        page = tuple(_candidate(row) for row in rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else None
        return CandidatePage(candidates=page, next=last and cursors.encode(last["score"], last["application_id"]))


async def _store(connection: Connection, tenant: TenantId, step: Step) -> None:
    after, entries = step
    if entries:
        await connection.execute(
            _UPDATE,
            tenant,
            after.application_id,
            after.session_id,
            after.status,
            after.answers,
            after.prescreen,
            after.updated_at,
        )
        await _tell(connection, tenant, after.application_id, entries)


async def _tell(
    connection: Connection, tenant: TenantId, application_id: ApplicationId, entries: Sequence[TimelineEntry]
) -> None:
    await connection.execute(_TELL, tenant, application_id, entries)


def _application(row: Row | None, application_id: ApplicationId) -> Application:
    if row is None:
        raise NotFound("application", application_id)
    return Application.model_validate(dict(row))


def _candidate(row: Row) -> Candidate:
    return Candidate(
        application=Application.model_validate(dict(row)),
        profile=Profile.model_validate(row["profile"] or {"user_id": row["user_id"]}),
    )


def _listing(tenant: TenantId, where: ApplicationFilter, cursor: str | None, limit: int) -> tuple[str, list[object]]:
    """Write the statement with just the conditions that were given, so that each list finds its index."""
    arguments: list[object] = [tenant, limit]
    conditions = ""
    for column, wanted in where.model_dump(exclude_none=True).items():
        arguments.append(wanted)
        conditions += f" AND {column} = ${len(arguments)}"
    if cursor:
        arguments += cursors.decode_time(cursor)
        conditions += f" AND (created_at, application_id) < (${len(arguments) - 1}, ${len(arguments)})"
    return _SELECT + conditions + _NEWEST_FIRST, arguments
