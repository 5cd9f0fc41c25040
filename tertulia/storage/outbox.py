"""What sessions say on messengers, on its way."""

from collections.abc import Callable, Sequence
from datetime import datetime

from tertulia.domain.channels import Chat, ChatId, Receipt
from tertulia.domain.deliveries import Delivery, DeliveryKey, Piece, Spoken, ToSend
from tertulia.domain.ids import SessionId
from tertulia.storage.channel_inbox import chat_of
from tertulia.storage.pool import Pool, Row

_CHAT = """
SELECT channel_chats.* FROM channel_sessions JOIN channel_chats USING (chat_id) WHERE session_id = $1
"""

_UNPLANNED = """
SELECT messages.seq, messages.text,
       coalesce(turns.reply -> 'next_action' -> 'choices', '[]') AS choices,
       messages.role = 'assistant' AND turns.turn > 0 AND turns.message_ids = '[]' AND turns.intervention IS NULL
           AS unprompted
FROM messages JOIN turns USING (session_id, turn)
WHERE session_id = $1 AND turns.turn <= $2 AND messages.role <> 'user' AND turns.status <> 'running'
  AND messages.withdrawn_in IS NULL
  AND messages.seq > (SELECT coalesce(max(seq), 0) FROM deliveries WHERE session_id = $1)
ORDER BY messages.seq
"""

_PLAN = """
INSERT INTO deliveries (session_id, seq, part, text_start, text_end, choices, unprompted, status, planned_at)
SELECT $1, seq, part, start, "end", choices, unprompted, 'waiting', $3
FROM jsonb_to_recordset($2)
     AS piece (seq integer, part integer, start integer, "end" integer, choices jsonb, unprompted boolean)
ON CONFLICT DO NOTHING
"""

_RELEASE = """
UPDATE deliveries SET status = 'waiting', late = false, changed_at = clock_timestamp()
WHERE session_id = $1 AND status = 'held'
  AND changed_at < (SELECT taken_at FROM channel_sessions JOIN channel_chats USING (chat_id) WHERE session_id = $1)
"""

_NEXT = """
SELECT session_id, seq, part
FROM deliveries
WHERE session_id = $1 AND status IN ('waiting', 'sending')
ORDER BY seq, part
LIMIT 1
"""

_COLUMNS = """
session_id, seq, part, status, attempts, uncertain, by_template, late, problem, detail, platform_id, planned_at,
attempted_at, sent_at, delivered_at, read_at, failed_at
"""
_GET = f"SELECT {_COLUMNS} FROM deliveries WHERE (session_id, seq, part) = ($1, $2, $3)"  # noqa: S608 - constants
_LOCK = _GET + " FOR UPDATE"

_TO_SEND = """
SELECT substr(messages.text, text_start + 1, text_end - text_start) AS text, deliveries.choices, unprompted,
       withdrawn_in IS NOT NULL AS withdrawn
FROM deliveries JOIN messages USING (session_id, seq)
WHERE (session_id, seq, part) = ($1, $2, $3)
"""

_UPDATE = """
UPDATE deliveries
SET status = $4, attempts = $5, uncertain = $6, by_template = $7, late = $8, problem = $9, detail = $10,
    platform_id = $11, attempted_at = $12, sent_at = $13, delivered_at = $14, read_at = $15, failed_at = $16,
    changed_at = clock_timestamp()
WHERE (session_id, seq, part) = ($1, $2, $3)
"""

_BY_PLATFORM_ID = """
SELECT session_id, seq, part FROM deliveries WHERE platform_id = $1
"""

_HOLDING = """
SELECT DISTINCT session_id
FROM deliveries JOIN channel_sessions USING (session_id)
WHERE chat_id = $1 AND status = 'held'
"""

_OF_SESSION = f"""
SELECT {_COLUMNS}
FROM deliveries
WHERE session_id = $1
  AND seq IN (SELECT DISTINCT seq FROM deliveries WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3)
ORDER BY seq, part
"""  # noqa: S608 - put together from constants


class PostgresOutbox:
    """Implements `ports.Outbox`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def chat(self, session_id: SessionId) -> Chat | None:
        """Return the chat that a session belongs to; None where it belongs to none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_CHAT, session_id)
        return chat_of(row) if row else None

    async def unplanned(self, session_id: SessionId, up_to_turn: int) -> Sequence[Spoken]:
        """Return what was shown up to and with a turn and is not planned yet, oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_UNPLANNED, session_id, up_to_turn)
        return [Spoken.model_validate(dict(row)) for row in rows]

    async def plan(self, session_id: SessionId, pieces: Sequence[Piece], at: datetime) -> None:
        """Plan deliveries; what is planned already stays as it is."""
        async with self._pool.connection() as connection:
            await connection.execute(_PLAN, session_id, pieces, at)

    async def next(self, session_id: SessionId) -> DeliveryKey | None:
        """Return the first delivery that may go; those held until the person writes again may, once that is so."""
        async with self._pool.connection() as connection:
            await connection.execute(_RELEASE, session_id)
            row = await connection.fetchrow(_NEXT, session_id)
        return DeliveryKey.model_validate(dict(row)) if row else None

    async def to_send(self, key: DeliveryKey) -> ToSend | None:
        """Return a delivery with what it says; None where it is gone."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_GET, *_columns(key))
            said = await connection.fetchrow(_TO_SEND, *_columns(key))
            chat = await connection.fetchrow(_CHAT, key.session_id)
        if row is None or said is None or chat is None:
            return None
        return ToSend.model_validate({**dict(said), "delivery": _delivery(row), "chat": chat_of(chat)})

    async def change(self, key: DeliveryKey, change: Callable[[Delivery], Delivery]) -> Delivery | None:
        """Change a delivery while nobody else does; None where it is gone."""
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(_LOCK, *_columns(key))
            if row is None:
                return None
            before = _delivery(row)
            after = change(before)
            if after != before:
                await connection.execute(_UPDATE, *_columns(key), *_changing(after))
        return after

    async def key_of(self, receipt: Receipt) -> DeliveryKey | None:
        """Return the delivery that a receipt is about; None where it is about none of ours."""
        if receipt.delivery_id and (key := DeliveryKey.parse(receipt.delivery_id)):
            return key
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_BY_PLATFORM_ID, receipt.platform_id)
        return DeliveryKey.model_validate(dict(row)) if row else None

    async def holding(self, chat_id: ChatId) -> Sequence[SessionId]:
        """Return the chat's sessions in which something is held."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_HOLDING, chat_id)
        return [row["session_id"] for row in rows]

    async def of_session(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Delivery]:
        """Return the deliveries of at most `limit` messages with `seq > after`, in order."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_OF_SESSION, session_id, after, limit)
        return [_delivery(row) for row in rows]


def _columns(key: DeliveryKey) -> tuple[str, int, int]:
    return key.session_id, key.seq, key.part


def _changing(delivery: Delivery) -> tuple[object, ...]:
    return (
        delivery.status,
        delivery.attempts,
        delivery.uncertain,
        delivery.by_template,
        delivery.late,
        delivery.problem,
        delivery.detail,
        delivery.platform_id,
        delivery.attempted_at,
        delivery.sent_at,
        delivery.delivered_at,
        delivery.read_at,
        delivery.failed_at,
    )


def _delivery(row: Row) -> Delivery:
    columns = dict(row)
    return Delivery.model_validate(columns | {"key": DeliveryKey.model_validate(columns)})
