"""Streamed text on its way from the worker that receives it to the processes that show it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SessionId
from tertulia.domain.turns import Delta
from tertulia.storage.listener import NOTIFY_SESSION
from tertulia.storage.pool import Pool

_APPEND = f"""
WITH piece AS (
    INSERT INTO stream_deltas (session_id, turn, attempt, text_offset, text)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
)
{NOTIFY_SESSION}
"""  # noqa: S608 - put together from constants

# A turn's end clears away the text of those before it; what is left is that of each session's last turn, and of
# sessions that have been erased.
_SWEEP = """
DELETE FROM stream_deltas USING (
    SELECT DISTINCT session_id, turn FROM stream_deltas
) AS streamed
WHERE stream_deltas.session_id = streamed.session_id AND stream_deltas.turn = streamed.turn
  AND NOT EXISTS (SELECT FROM turns
                  WHERE turns.session_id = streamed.session_id AND turns.turn = streamed.turn
                    AND (turns.status = 'running' OR turns.ended_at > now() - $1::interval))
"""

# Longer than any reader is behind that still shows the text of a turn rather than its message.
_KEEP = timedelta(minutes=2)


class PostgresDeltas:
    """Implements `ports.Deltas`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def append(self, session_id: SessionId, delta: Delta) -> None:
        """Show a piece to those who follow."""
        async with self._pool.connection() as connection:
            await connection.execute(_APPEND, session_id, delta.turn, delta.attempt, delta.offset, delta.text)

    async def sweep(self, keep: timedelta = _KEEP) -> None:
        """Clear away the text of turns that ended longer than `keep` ago; their messages have it whole."""
        async with self._pool.connection() as connection:
            await connection.execute(_SWEEP, keep)


@asynccontextmanager
async def sweeping(deltas: PostgresDeltas, every: timedelta = _KEEP) -> AsyncIterator[None]:
    """Sweep now and then, for as long as the block lasts; any number of processes may do so."""

    async def sweep() -> None:
        while True:
            with suppress(Unavailable):
                await deltas.sweep()
            await asyncio.sleep(every.total_seconds())

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
