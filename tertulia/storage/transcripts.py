"""Reads of what was said, and of each turn with its evidence."""

from collections.abc import Sequence

from tertulia.domain.conversation import Message
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.providers.completions import Usage
from tertulia.domain.turns import AttemptKey, AttemptOutcome, AttemptRecord, TurnRecord
from tertulia.storage.pool import Connection, Pool, Row

_MESSAGES = """
SELECT seq, turn, role, text, created_at, message_id, withdrawn_in
FROM messages
WHERE session_id = $1 AND seq > $2
ORDER BY seq
LIMIT $3
"""

_WINDOW = """
SELECT seq, turn, role, text, created_at, message_id, withdrawn_in
FROM messages
WHERE session_id = $1 AND turn <= $2 AND ($4 OR withdrawn_in IS NULL)
ORDER BY seq DESC
LIMIT $3
"""

_TURN = """
SELECT session_id, turn, status, message_ids, reply, state_before, state_after, passed_over, tried, started_at,
       ended_at, resumes_at, intervention
FROM turns
WHERE session_id = $1 AND turn = $2
"""

_TURN_OF = """
SELECT turn FROM messages WHERE session_id = $1 AND message_id = $2
"""

_WAS_REFUSED = """
SELECT EXISTS (SELECT FROM refused_messages WHERE session_id = $1 AND message_id = $2)
"""

_ATTEMPTS = """
SELECT attempt_id, session_id, turn, ask, provider, attempt, is_retry, tenant, started_at, ended_at, failure, status,
       detail, model, request_id, ttft_ms, latency_ms, input_uncached, input_cached, input_cache_write, output_visible,
       output_reasoning, usage_source, cost_usd, cost_at_most_usd, cost_source, limits_remaining, limits_until
FROM attempts
WHERE session_id = $1 AND turn = $2
ORDER BY started_at, ask, attempt
"""


class PostgresTranscripts:
    """Implements `ports.Transcripts`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def messages(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Message]:
        """Return at most `limit` messages with `seq > after`, oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_MESSAGES, session_id, after, limit)
        return [_message(row) for row in rows]

    async def window(
        self, session_id: SessionId, *, up_to_turn: int, limit: int, withdrawn: bool = True
    ) -> Sequence[Message]:
        """Return the last `limit` messages up to and with a turn, oldest first; without withdrawn ones on request."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_WINDOW, session_id, up_to_turn, limit, withdrawn)
        return [_message(row) for row in reversed(rows)]

    async def turn(self, session_id: SessionId, turn: int) -> TurnRecord | None:
        """Return a turn with all attempts made in it; None where there is none of that number."""
        async with self._pool.connection() as connection:
            return await _turn(connection, session_id, turn)

    async def turn_of(self, session_id: SessionId, message_id: MessageId) -> TurnRecord | None:
        """Return the turn of a person's message; None where the message has had none yet."""
        async with self._pool.connection() as connection:
            turn = await connection.fetchval(_TURN_OF, session_id, message_id)
            return None if turn is None else await _turn(connection, session_id, turn)

    async def was_refused(self, session_id: SessionId, message_id: MessageId) -> bool:
        """Tell whether a session had taken this message, and ended before it had a turn."""
        async with self._pool.connection() as connection:
            refused: bool = await connection.fetchval(_WAS_REFUSED, session_id, message_id)
        return refused


async def _turn(connection: Connection, session_id: SessionId, turn: int) -> TurnRecord | None:
    row = await connection.fetchrow(_TURN, session_id, turn)
    if row is None:
        return None
    attempts = await connection.fetch(_ATTEMPTS, session_id, turn)
    return TurnRecord.model_validate(dict(row) | {"attempts": [_attempt(attempt) for attempt in attempts]})


def _message(row: Row) -> Message:
    return Message.model_validate(dict(row))


def _attempt(row: Row) -> AttemptRecord:
    columns = dict(row)
    return AttemptRecord(
        key=AttemptKey.model_validate(columns),
        started_at=columns["started_at"],
        ended_at=columns["ended_at"],
        outcome=None if columns["ended_at"] is None else _outcome(columns),
    )


def _outcome(columns: dict[str, object]) -> AttemptOutcome:
    usage = Usage.model_validate(columns | {"source": columns["usage_source"]})
    remaining = columns["limits_remaining"]
    limits = None if remaining is None else {"remaining": remaining, "until": columns["limits_until"]}
    return AttemptOutcome.model_validate(columns | {"usage": usage, "limits": limits})
