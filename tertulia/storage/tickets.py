"""Tickets with which a browser comes back to its chat: whoever has one may read the chat and go on in it."""

import hashlib
import secrets
from datetime import datetime

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import SessionId
from tertulia.storage.pool import Pool

_ISSUE = """
INSERT INTO tickets (digest, session_id, issued_at)
SELECT $1, session_id, $3 FROM sessions WHERE session_id = $2
RETURNING session_id
"""

_ADMIT = """
SELECT session_id FROM tickets WHERE digest = $1
"""

_BYTES = 24


class PostgresTickets:
    """Implements `ports.Tickets`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def issue(self, session_id: SessionId, at: datetime) -> str:
        """Make a ticket for a session; earlier ones stay good.

        Raises:
            NotFound: There is no such session.
        """
        ticket = secrets.token_urlsafe(_BYTES)
        async with self._pool.connection() as connection:
            if await connection.fetchval(_ISSUE, _digest(ticket), session_id, at) is None:
                raise NotFound("session", session_id)
        return ticket

    async def admit(self, ticket: str) -> SessionId | None:
        """Tell which session a ticket is for; None where it is none of ours."""
        async with self._pool.connection() as connection:
            session_id: str | None = await connection.fetchval(_ADMIT, _digest(ticket))
        return None if session_id is None else SessionId(session_id)


def _digest(ticket: str) -> bytes:
    # Whatever a browser sends, halves of surrogate pairs too.
    return hashlib.sha256(ticket.encode(errors="surrogatepass")).digest()
