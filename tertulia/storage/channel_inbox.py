"""What people have written on messengers, until it is handed over, and the sessions of their chats."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from tertulia.domain.channels import (
    Arrived,
    ChannelName,
    Chat,
    ChatId,
    ChatSession,
    NextArrival,
    Purpose,
    Received,
    chat_names,
    session_id_of_chat,
)
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import MessageId, SessionId
from tertulia.storage.pool import Connection, Pool, Row

# A chat keeps the name that it got first, whatever the key is now. Its row is locked for as long as its messages are
# stored, so that these stand in the order in which they were taken.
_HEAR = """
INSERT INTO channel_chats (chat_id, tenant, channel, person, address, definition, user_id, heard_at)
VALUES ($1, $8, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant, channel, person, definition) DO UPDATE
SET address = CASE WHEN channel_chats.heard_at <= $7 THEN $4 ELSE channel_chats.address END,
    heard_at = greatest(channel_chats.heard_at, $7), taken_at = clock_timestamp()
RETURNING chat_id
"""

_STORE = """
INSERT INTO channel_messages (chat_id, message_id, position, message, received_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT DO NOTHING
"""

_WAITING_AMONG = """
SELECT DISTINCT chat_id
FROM channel_messages
WHERE chat_id = ANY ($1) AND message_id = ANY ($2) AND settled_at IS NULL
"""

_NEXT = """
SELECT message_id, message -> 'attachment' IS DISTINCT FROM 'null' AS has_attachment,
       greatest(0, extract(epoch FROM received_at + $2 - clock_timestamp()))::double precision AS wait_s
FROM channel_messages
WHERE chat_id = $1 AND settled_at IS NULL
ORDER BY position, arrival
LIMIT 1
"""

_READ = """
SELECT channel_chats.*, message
FROM channel_messages JOIN channel_chats USING (chat_id)
WHERE chat_id = $1 AND message_id = $2 AND settled_at IS NULL
"""

_REPLACE = """
UPDATE channel_messages SET message = message || jsonb_build_object('text', $3::text, 'attachment', NULL)
WHERE chat_id = $1 AND message_id = $2 AND settled_at IS NULL
"""

# Whoever settles a message and whoever puts it back see what the other one has done.
_LOCK = """
SELECT FROM channel_chats WHERE chat_id = $1 FOR NO KEY UPDATE
"""

# What a session has ended before, without a turn for it, still waits.
_SETTLE = """
UPDATE channel_messages SET message = NULL, session_id = $3, note = $4, settled_at = clock_timestamp()
WHERE chat_id = $1 AND message_id = $2 AND settled_at IS NULL
  AND ((message -> 'only_opens')::boolean
       OR NOT EXISTS (SELECT FROM sessions WHERE session_id = $3 AND status = 'closed')
       OR EXISTS (SELECT FROM messages WHERE session_id = $3 AND message_id = $2))
"""

_PUT_BACK = """
UPDATE channel_messages
SET message = given || jsonb_build_object('position', position), session_id = NULL, settled_at = NULL
FROM jsonb_array_elements($3) AS given
WHERE chat_id = $1 AND message_id = given ->> 'message_id' AND session_id = $2
"""

_LAST_SESSION = """
SELECT session_id, number, opened_by FROM channel_sessions WHERE chat_id = $1 ORDER BY number DESC LIMIT 1
"""

_BEGIN_SESSION = """
INSERT INTO channel_sessions (session_id, chat_id, number, opened_by)
SELECT $1, chat_id, $3, $4 FROM channel_chats WHERE chat_id = $2 FOR KEY SHARE
ON CONFLICT DO NOTHING
"""


class PostgresChannelInbox:
    """Implements `ports.ChannelInbox`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(
        self, channel: ChannelName, purpose: Purpose, key: bytes, messages: Sequence[Received]
    ) -> Collection[ChatId]:
        """Store messages that are not stored yet.

        Returns:
            The chats in which some of these messages wait to be handed over.
        """
        async with self._pool.transaction() as connection:
            chats: dict[str, ChatId] = {}
            # Always in the same order, so that calls that bring messages of the same people don't wait for each other.
            for person in sorted({message.person for message in messages}):
                theirs = [message for message in messages if message.person == person]
                chats[person] = await _hear(connection, channel, purpose, key, theirs)
            for message in messages:
                await connection.execute(_STORE, chats[message.person], message.message_id, message.position, message)
            ids = [message.message_id for message in messages]
            waiting = await connection.fetch(_WAITING_AMONG, list(chats.values()), ids)
        return [row["chat_id"] for row in waiting]

    async def next(self, chat_id: ChatId, settle: timedelta) -> NextArrival | None:
        """Find what is to be handed over next.

        Args:
            settle: How long a message waits for others that may belong before it.

        Returns:
            The first one by the platform's order, and how long it still waits; None where nothing waits.
        """
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_NEXT, chat_id, settle)
        return NextArrival.model_validate(dict(row)) if row else None

    async def read(self, chat_id: ChatId, message_id: MessageId) -> Arrived | None:
        """Return a message with its chat; None where it has been handed over."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_READ, chat_id, message_id)
        return Arrived(chat=chat_of(row), message=Received.model_validate(row["message"])) if row else None

    async def replace(self, chat_id: ChatId, message_id: MessageId, text: str) -> None:
        """Put a text in the place of a waiting message's file."""
        async with self._pool.connection() as connection:
            await connection.execute(_REPLACE, chat_id, message_id, text)

    async def settle(
        self, chat_id: ChatId, message_id: MessageId, *, session_id: SessionId | None, note: str = ""
    ) -> None:
        """Write down that a message was handed over, or why it was not, and forget what it says.

        Where the session has ended before the message had its turn, it goes on waiting.
        """
        async with self._pool.transaction() as connection:
            await connection.execute(_LOCK, chat_id)
            await connection.execute(_SETTLE, chat_id, message_id, session_id, note)

    async def put_back(self, chat_id: ChatId, session_id: SessionId, messages: Sequence[Received]) -> None:
        """Let messages wait again, where they stood, that a session which has ended had no turn for."""
        async with self._pool.transaction() as connection:
            await connection.execute(_LOCK, chat_id)
            await connection.execute(_PUT_BACK, chat_id, session_id, messages)

    async def session(self, chat_id: ChatId, *, after: int, opened_by: MessageId) -> ChatSession:
        """Return the chat's last session where its number is higher than `after`, or begin the next one.

        Raises:
            NotFound: The chat has been erased.
        """
        async with self._pool.transaction() as connection:
            last = await connection.fetchrow(_LAST_SESSION, chat_id)
            if last is None or last["number"] <= after:
                number = after + 1
                session_id = session_id_of_chat(chat_id, number)
                await connection.execute(_BEGIN_SESSION, session_id, chat_id, number, opened_by)
                last = await connection.fetchrow(_LAST_SESSION, chat_id)
        if last is None:
            raise NotFound("chat", chat_id)
        return ChatSession.model_validate(dict(last))


async def _hear(
    connection: Connection, channel: ChannelName, purpose: Purpose, key: bytes, messages: Sequence[Received]
) -> ChatId:
    """Find a person's chat, or begin it, and note when the person wrote last."""
    message = max(messages, key=lambda message: message.sent_at)
    names = chat_names(channel, message.person, purpose, key, begun_by=messages[0].message_id)
    chat_id: ChatId = await connection.fetchval(
        _HEAR,
        names.chat_id,
        channel,
        message.person,
        message.address,
        purpose.definition,
        names.user_id,
        message.sent_at,
        purpose.tenant,
    )
    return chat_id


def chat_of(row: Row) -> Chat:
    """Read a chat from a row that has all its columns."""
    return Chat.model_validate(dict(row))
