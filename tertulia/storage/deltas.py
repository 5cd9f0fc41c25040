"""Streamed text on its way from the worker that receives it to the processes that show it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import Delta, TurnWaits
from tertulia.storage.listener import NOTIFY_SESSION, SESSIONS, Listener
from tertulia.storage.pool import Pool, Row

_APPEND = f"""
WITH piece AS (
    INSERT INTO stream_deltas (session_id, turn, attempt, text_offset, text)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
)
{NOTIFY_SESSION}
"""  # noqa: S608 - put together from constants

# A message that a closed session has not answered gets no turn any more.
_TURN_OF = """
SELECT messages.turn, coalesce(turns.status <> 'running', sessions.status = 'closed') AS over,
       CASE turns.status WHEN 'running' THEN turns.resumes_at END AS resumes_at
FROM sessions
LEFT JOIN messages ON messages.session_id = sessions.session_id AND messages.message_id = $2
LEFT JOIN turns ON turns.session_id = messages.session_id AND turns.turn = messages.turn
WHERE sessions.session_id = $1
"""

_PIECES = """
SELECT turn, attempt, text_offset, text
FROM stream_deltas
WHERE session_id = $1 AND turn = $2 AND (attempt, text_offset) > ($3, $4)
ORDER BY attempt, text_offset
LIMIT $5
"""

# What a follower holds in memory at most.
_BATCH = 100
# Notifications say at once when there is something new; asking all the same covers those that get lost.
_POLL_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a follower has come."""

    turn: int = -1
    attempt: int = -1
    offset: int = -1


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look brings: the next pieces, whether the turn was over before, and what it waits for."""

    pieces: Sequence[Delta] = ()
    over: bool = False
    waits: TurnWaits | None = None


class PostgresDeltas:
    """Implements `ports.Deltas`. Enter it where it is followed; to append it needs no more than the pool.

    async with PostgresDeltas(pool, dsn) as deltas:
        async for delta in deltas.follow(session_id, message_id): ...
    """

    def __init__(self, pool: Pool, dsn: str, *, poll_every: timedelta = _POLL_EVERY) -> None:
        self._pool = pool
        self._listener = Listener(dsn, SESSIONS)
        self._poll_every = poll_every

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._listener.__aexit__(*error)

    async def append(self, session_id: SessionId, delta: Delta) -> None:
        """Show a piece to those who follow."""
        async with self._pool.connection() as connection:
            await connection.execute(_APPEND, session_id, delta.turn, delta.attempt, delta.offset, delta.text)

    async def follow(self, session_id: SessionId, message_id: MessageId) -> AsyncGenerator[Delta | TurnWaits]:
        """Yield the pieces of the turn that answers a message, from its beginning, until that turn has ended.

        Where the turn has to wait for a provider, it is told once for each wait. The turn may not have begun yet. A
        piece of a later attempt says that those of earlier ones don't count any more. While Postgres is away it is
        waited for.
        """
        place, told = _Place(), None
        with self._listener.news(session_id) as news:
            while True:
                news.clear()
                found = await self._read(session_id, message_id, place)
                if found.waits is not None and found.waits != told:
                    yield found.waits
                    told = found.waits
                for piece in found.pieces:
                    yield piece
                    place = _Place(piece.turn, piece.attempt, piece.offset)
                if len(found.pieces) == _BATCH:
                    continue
                if found.over:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self._poll_every.total_seconds())

    async def _read(self, session_id: SessionId, message_id: MessageId, place: _Place) -> _Found:
        with suppress(Unavailable):
            async with self._pool.connection() as connection:
                turn = await connection.fetchrow(_TURN_OF, session_id, message_id)
                if turn is None or turn["turn"] is None:
                    return _Found(over=turn is not None and turn["over"])
                if turn["turn"] != place.turn:
                    place = _Place()
                rows = await connection.fetch(_PIECES, session_id, turn["turn"], place.attempt, place.offset, _BATCH)
                return _Found([_delta(row) for row in rows], turn["over"], _waits(turn))
        return _Found()


def _waits(turn: Row) -> TurnWaits | None:
    return None if turn["resumes_at"] is None else TurnWaits(turn=turn["turn"], resumes_at=turn["resumes_at"])


def _delta(row: Row) -> Delta:
    return Delta(turn=row["turn"], attempt=row["attempt"], offset=row["text_offset"], text=row["text"])
