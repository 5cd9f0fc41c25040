"""Reads of sessions: one, or lists of them; and their erasure."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from tertulia.domain.conversation import SessionStatus
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import DefinitionName, SessionId, TenantId
from tertulia.domain.turns import Page, SessionFilter, SessionRecord
from tertulia.storage.listener import NOTIFY_SESSION
from tertulia.storage.pool import Pool, Row

_SELECT = """
SELECT session_id, tenant, user_id, channel, channel_user_id, role, definition, definition_hash, job_id, context, state,
       status, owner, turn, slots, next_action, closed_reason, created_at, updated_at, hand_over
FROM sessions
"""

_GET = _SELECT + "WHERE session_id = $1"

_COUNT = """
SELECT state, count(*) AS sessions
FROM sessions
WHERE tenant = $1 AND definition = $2 AND status = $3
GROUP BY state
ORDER BY state
"""

_OPEN_AMONG = """
SELECT session_id FROM sessions WHERE session_id = ANY ($1) AND status = 'open' ORDER BY random() LIMIT $2
"""

# Ordered by what never changes, so that a page stays where it is while sessions go on.
_NEWEST_FIRST = """
ORDER BY created_at DESC, session_id DESC
LIMIT $1
"""
_BEHIND = "(created_at, session_id) < (${}, ${})"

# Ahead of the session, which the attempts lose their link to.
_FORGET_WORDS = """
UPDATE attempts SET detail = '', request_id = NULL WHERE session_id = $1
"""

# Its turns and messages go with it.
_ERASE = """
DELETE FROM sessions WHERE session_id = $1 RETURNING true
"""

_ERASE_STREAMED = """
DELETE FROM stream_deltas WHERE session_id = $1
"""


class PostgresSessionRecords:
    """Implements `ports.SessionRecords`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, session_id: SessionId) -> SessionRecord | None:
        """Return a session as it stood after its last turn; None where there is none of that id."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_GET, session_id)
        return _record(row) if row else None

    async def find(self, where: SessionFilter, *, cursor: str | None = None, limit: int = 50) -> Page:
        """List sessions, newest first.

        Args:
            cursor: The `next` of the page before.
            limit: The most sessions on a page, at least 1.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        # One more than asked for tells whether there is a next page.
        statement, arguments = _listing(where, Cursor.decode(cursor) if cursor else None, limit + 1)
        async with self._pool.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        page = tuple(_record(row) for row in rows[:limit])
        return Page(sessions=page, next=Cursor.behind(page[-1]).encode() if len(rows) > limit else None)

    async def erase(self, session_id: SessionId) -> bool:
        """Delete a session with its turns and messages, and wake those who follow it; False where there is none."""
        async with self._pool.transaction() as connection:
            await connection.execute(_FORGET_WORDS, session_id)
            erased = await connection.fetchval(_ERASE, session_id)
            await connection.execute(_ERASE_STREAMED, session_id)
            await connection.execute(NOTIFY_SESSION, session_id)
        return erased is not None

    async def open_among(self, session_ids: Collection[SessionId], limit: int) -> Sequence[SessionId]:
        """Return those of some sessions that are stored as open, at most `limit`, chosen by chance."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_OPEN_AMONG, list(session_ids), limit)
        return [row["session_id"] for row in rows]

    async def count_by_state(
        self, tenant: TenantId, *, definition: DefinitionName, status: SessionStatus
    ) -> Mapping[str, int]:
        """Count the sessions of an application in each state that has any."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNT, tenant, definition, status)
        return {row["state"]: row["sessions"] for row in rows}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind a session in the lists."""

    created_at: datetime
    session_id: str

    @classmethod
    def behind(cls, session: SessionRecord) -> Self:
        return cls(session.created_at, session.session_id)

    def encode(self) -> str:
        return base64.urlsafe_b64encode(f"{self.created_at.isoformat()} {self.session_id}".encode()).decode()

    @classmethod
    def decode(cls, cursor: str) -> Self:
        try:
            created_at, _, session_id = base64.urlsafe_b64decode(cursor).decode().partition(" ")
            return cls(datetime.fromisoformat(created_at).astimezone(UTC), session_id)
        except (ValueError, OverflowError):
            raise InvalidInput("is not one that a page of this list has given", field="cursor") from None


def _listing(where: SessionFilter, cursor: Cursor | None, limit: int) -> tuple[str, list[object]]:
    """Write the statement with just the conditions that were given, so that each list finds its index."""
    arguments: list[object] = [limit]
    conditions: list[str] = []
    for column, wanted in where.model_dump(exclude_none=True).items():
        arguments.append(wanted)
        place = f"${len(arguments)}"
        conditions.append(f"created_at >= {place}" if column == "created_since" else f"{column} = {place}")
    if cursor:
        arguments += [cursor.created_at, cursor.session_id]
        conditions.append(_BEHIND.format(len(arguments) - 1, len(arguments)))
    filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return _SELECT + filtered + _NEWEST_FIRST, arguments


def _record(row: Row) -> SessionRecord:
    return SessionRecord.model_validate(dict(row))
