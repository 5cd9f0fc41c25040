"""What a session's workflow writes: its opening, and the beginning and the end of each turn.

The workflow's history is the truth, and these tables follow it. After a crash a worker may do again what another one
has done, and do it differently: messages that nobody had accepted can arrive in another order. So each call states how
things stand from its turn on, and what stood there before is replaced. Two things keep an earlier call from undoing a
later one. Each write updates the session's row first: there the calls of a session queue, and what they may do depends
on how that row stands when it is their turn. And a worker that was frozen, and goes on when it wakes, is known by its
workflow's time: those who have come to its turn meanwhile did so at a later one.

Usually nothing has to be replaced, and one statement does it. It only ever goes forward, so it may as well take effect
after its caller has given it up. Whatever takes something back is a transaction, which then never commits.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

import structlog

from tertulia.domain.conversation import Reply, Role
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import NotFound, Refused, SessionClosed
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import BeginTurn, EndTurn, NewSession, WaitTurn
from tertulia.storage.listener import SESSIONS
from tertulia.storage.pool import Connection, Pool

log = structlog.get_logger(__name__)

_PIN_DEFINITION = """
INSERT INTO definitions (hash, name, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""

# The same opening, done again before its first turn has ended, may find another definition. It is the same if its
# workflow started at the same time: another workflow may have this id once Temporal has forgotten the first one.
_OPEN_SESSION = """
WITH known AS (
    SELECT segment FROM segments
    WHERE (tenant, definition, channel) = ($2, $7, $4) AND job_id IS NOT DISTINCT FROM $9
), made AS (
    -- Made by somebody else at the same moment, it is updated for nothing but to be returned.
    INSERT INTO segments (tenant, definition, job_id, channel)
    SELECT $2, $7, $9, $4 WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (tenant, definition, job_id, channel) DO UPDATE SET tenant = $2
    RETURNING segment
)
INSERT INTO sessions (session_id, tenant, user_id, channel, channel_user_id, role, definition, definition_hash, job_id,
                      context, state, status, owner, turn, latest_turn, slots, created_at, updated_at, segment)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', 'bot', -1, -1, '{}', $12, $12, segment
FROM (SELECT segment FROM known UNION ALL SELECT segment FROM made) AS segments
ON CONFLICT (session_id) DO UPDATE
SET definition = excluded.definition, definition_hash = excluded.definition_hash, segment = excluded.segment
WHERE sessions.status = 'open' AND sessions.created_at = $12
RETURNING session_id
"""

# What figures are worked out of, as columns; `segment` is the session's own.
_FIGURES = "response_ms, from_person, from_assistant, from_operator, heard_slot, heard_as, asked_slot"
_FIGURES_OF = """jsonb_to_record({figures}) AS figures (
        response_ms integer, from_person integer, from_assistant integer, from_operator integer, heard_slot text,
        heard_as text, asked_slot text)"""
_FIGURES_AGAIN = ", ".join(f"{column} = excluded.{column}" for column in ("segment", *_FIGURES.split(", ")))
_PROGRESS = (
    "standing = progress.standing, stays_in = progress.state, stays_since = since, handed_over = progress.handed_over"
)
_PROGRESS_OF = (
    "jsonb_to_record({progress}) AS progress (standing text, state text, since timestamptz, handed_over boolean)"
)
_PASSED = """
    INSERT INTO passages (session_id, turn, position, segment, opened_at, at, source, target, first, stayed_ms)
    SELECT session_id, $2, position, segment, opened_at, at, source, target, first, stayed_ms
    FROM session,
         ROWS FROM (jsonb_to_recordset({figures} -> 'passages')
                    AS (at timestamptz, source text, target text, first boolean, stayed_ms bigint))
         WITH ORDINALITY AS passed (at, source, target, first, stayed_ms, position)
"""

# The usual case of a begin, in one statement: the session goes on to its next turn, and its messages are new. The
# turn's beginning is the next event, and each message one more.
_BEGIN_NEXT = f"""
WITH session AS (
    UPDATE sessions SET latest_turn = $2, updated_at = $3, event = event + 1 + jsonb_array_length($4)
    WHERE session_id = $1 AND latest_turn < $2
      AND NOT EXISTS (SELECT FROM messages, jsonb_to_recordset($4) AS given (message_id text)
                      WHERE messages.session_id = $1 AND messages.message_id = given.message_id)
    RETURNING session_id, event - jsonb_array_length($4) AS begun
), begun AS (
    INSERT INTO turns (session_id, turn, status, message_ids, started_at, begun_event)
    SELECT session_id, $2, 'running', jsonb_path_query_array($4, '$[*].message_id'), $3, begun FROM session
), written AS (
    INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
    SELECT session_id, seq, $2, role, text, created_at, message_id, begun + row_number() OVER (ORDER BY seq)
    FROM session,
         jsonb_to_recordset($4) AS given (seq integer, role text, text text, created_at timestamptz, message_id text)
)
SELECT pg_notify('{SESSIONS}', session_id) FROM session
"""  # noqa: S608 - put together from constants

# The usual case of an end, in one statement: the turn has not ended, began like this if it did, and is the last one.
# Its messages are the next events, then comes the end itself, and that of the session.
_END_LAST = f"""
WITH session AS (
    UPDATE sessions
    SET state = $4, status = $5, owner = $6, turn = $2, latest_turn = $2, slots = $7, next_action = $8,
        closed_reason = $9, hand_over = $18, updated_at = $3,
        event = event + jsonb_array_length($10) + CASE $5 WHEN 'closed' THEN 2 ELSE 1 END, {_PROGRESS}
    FROM {_PROGRESS_OF.format(progress="$24")}
    WHERE session_id = $1 AND turn < $2 AND latest_turn <= $2 AND updated_at <= $3
      AND NOT EXISTS (SELECT FROM turns WHERE session_id = $1 AND turn = $2 AND message_ids <> $12)
    RETURNING session_id, segment, created_at AS opened_at, event - CASE $5 WHEN 'closed' THEN 1 ELSE 0 END AS ended
), streamed AS (
    DELETE FROM stream_deltas WHERE session_id = (SELECT session_id FROM session) AND turn < $2
), ended AS (
    INSERT INTO turns (session_id, turn, status, message_ids, reply, state_before, state_after, passed_over, tried,
                       started_at, ended_at, intervention, ended_event, segment, {_FIGURES})
    SELECT session_id, $2, $11, $12, $13, $14, $4, $15, $16, $17, $3, $19, ended, segment, {_FIGURES}
    FROM session, {_FIGURES_OF.format(figures="$23")}
    ON CONFLICT (session_id, turn) DO UPDATE
    SET status = $11, message_ids = $12, reply = $13, state_before = $14, state_after = $4, passed_over = $15,
        tried = $16, started_at = $17, ended_at = $3, intervention = $19,
        ended_event = excluded.ended_event, {_FIGURES_AGAIN}
), withdrawn AS (
    UPDATE messages SET withdrawn_in = $2
    WHERE session_id = (SELECT session_id FROM session) AND turn BETWEEN $20 AND $21
      AND NOT ($22 AND role = 'user') AND withdrawn_in IS NULL
), shown AS (
    INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
    SELECT session_id, seq, $2, role, text, created_at, message_id,
           ended - 1 - jsonb_array_length($10) + row_number() OVER (ORDER BY seq)
    FROM session,
         jsonb_to_recordset($10) AS shown (seq integer, role text, text text, created_at timestamptz, message_id text)
), passed AS ({_PASSED.format(figures="$23")})
SELECT pg_notify('{SESSIONS}', session_id) FROM session
"""  # noqa: S608 - put together from constants

# A call is in time if the session has not come to its turn yet, or came there at an earlier time, or by the same call.
_BEGIN_IN_SESSION = """
UPDATE sessions SET latest_turn = $2, updated_at = $3
WHERE session_id = $1 AND (latest_turn < $2 OR updated_at < $3 OR (latest_turn, updated_at) = ($2, $3))
RETURNING session_id
"""

_ANSWERED_BEFORE = """
SELECT messages.message_id, turns.reply
FROM jsonb_to_recordset($3) AS given (message_id text)
JOIN messages ON messages.session_id = $1 AND messages.message_id = given.message_id AND messages.turn < $2
JOIN turns ON turns.session_id = $1 AND turns.turn = messages.turn AND turns.status <> 'running'
"""

# Messages go with their turns.
_FORGET_FROM_TURN_ON = """
WITH streamed AS (
    DELETE FROM stream_deltas WHERE session_id = $1 AND turn >= $2
)
DELETE FROM turns WHERE session_id = $1 AND turn >= $2
"""

# Turns that were taken again have undone nothing.
_COUNT_AGAIN = """
UPDATE messages SET withdrawn_in = NULL WHERE session_id = $1 AND withdrawn_in >= $2
"""

# The same call again, because its caller has not heard of its success, is no news.
_HAS_BEGUN_SO = """
SELECT EXISTS (SELECT FROM turns
               WHERE session_id = $1 AND turn = $2 AND status = 'running' AND started_at = $3
                 AND message_ids = jsonb_path_query_array($4, '$[*].message_id'))
   AND NOT EXISTS (SELECT FROM turns WHERE session_id = $1 AND turn > $2)
   AND NOT EXISTS (SELECT seq, message_id FROM jsonb_to_recordset($4) AS given (seq integer, message_id text)
                   EXCEPT SELECT seq, message_id FROM messages WHERE session_id = $1 AND turn = $2)
"""

_INSERT_BEGUN = f"""
WITH session AS (
    UPDATE sessions SET event = event + 1 + jsonb_array_length($4)
    WHERE session_id = $1
    RETURNING session_id, event - jsonb_array_length($4) AS begun
), begun AS (
    INSERT INTO turns (session_id, turn, status, message_ids, started_at, begun_event)
    SELECT session_id, $2, 'running', jsonb_path_query_array($4, '$[*].message_id'), $3, begun FROM session
), written AS (
    INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
    SELECT session_id, seq, $2, role, text, created_at, message_id, begun + row_number() OVER (ORDER BY seq)
    FROM session,
         jsonb_to_recordset($4) AS given (seq integer, role text, text text, created_at timestamptz, message_id text)
)
SELECT pg_notify('{SESSIONS}', session_id) FROM session
"""  # noqa: S608 - put together from constants

_END_IN_SESSION = f"""
UPDATE sessions
SET state = $4, status = $5, owner = $6, turn = $2, latest_turn = $2, slots = $7, next_action = $8, closed_reason = $9,
    hand_over = $10, updated_at = $3, {_PROGRESS}
FROM {_PROGRESS_OF.format(progress="$11")}
WHERE session_id = $1 AND (latest_turn < $2 OR updated_at < $3 OR (latest_turn, updated_at) = ($2, $3))
RETURNING session_id
"""  # noqa: S608 - put together from constants

_HAS_ENDED_SO = """
SELECT EXISTS (SELECT FROM turns
               WHERE session_id = $1 AND turn = $2 AND ended_at = $3 AND (status, message_ids, reply) = ($4, $5, $6))
   AND NOT EXISTS (SELECT FROM turns WHERE session_id = $1 AND turn > $2)
"""

# What follows the turn, what an earlier end of it has shown, and the streamed text that nobody reads any more.
_CLEAR_FOR_END = """
WITH streamed AS (
    DELETE FROM stream_deltas WHERE session_id = $1 AND turn < $2
), later AS (
    DELETE FROM turns WHERE session_id = $1 AND turn > $2
), passed AS (
    DELETE FROM passages WHERE session_id = $1 AND turn = $2
)
DELETE FROM messages WHERE session_id = $1 AND turn = $2 AND NOT coalesce($3::jsonb ? message_id, false)
"""

_INSERT_ENDED = f"""
WITH session AS (
    UPDATE sessions
    SET event = event + jsonb_array_length($3) + CASE status WHEN 'closed' THEN 2 ELSE 1 END
    WHERE session_id = $1
    RETURNING session_id, segment, created_at AS opened_at, event - CASE status WHEN 'closed' THEN 1 ELSE 0 END AS ended
), ended AS (
    INSERT INTO turns (session_id, turn, status, message_ids, reply, state_before, state_after, passed_over, tried,
                       started_at, ended_at, intervention, ended_event, segment, {_FIGURES})
    SELECT session_id, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, ended, segment, {_FIGURES}
    FROM session, {_FIGURES_OF.format(figures="$14")}
    ON CONFLICT (session_id, turn) DO UPDATE
    SET status = $4, message_ids = $5, reply = $6, state_before = $7, state_after = $8, passed_over = $9, tried = $10,
        started_at = $11, ended_at = $12, intervention = $13, ended_event = excluded.ended_event,
        {_FIGURES_AGAIN}
), shown AS (
    INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
    SELECT session_id, seq, $2, role, text, created_at, message_id,
           ended - 1 - jsonb_array_length($3) + row_number() OVER (ORDER BY seq)
    FROM session,
         jsonb_to_recordset($3) AS shown (seq integer, role text, text text, created_at timestamptz, message_id text)
), passed AS ({_PASSED.format(figures="$14")})
SELECT pg_notify('{SESSIONS}', session_id) FROM session
"""  # noqa: S608 - put together from constants

_WITHDRAW = """
UPDATE messages SET withdrawn_in = $2
WHERE session_id = $1 AND turn BETWEEN $3 AND $4 AND NOT ($5 AND role = 'user') AND withdrawn_in IS NULL
"""

_WAIT = f"""
WITH session AS (
    UPDATE sessions SET event = event + 1
    WHERE session_id = $1
      AND EXISTS (SELECT FROM turns WHERE session_id = $1 AND turn = $2 AND status = 'running'
                                      AND resumes_at IS DISTINCT FROM $3)
    RETURNING session_id, event
), waiting AS (
    UPDATE turns SET resumes_at = $3, waits_event = event
    FROM session
    WHERE turns.session_id = $1 AND turn = $2 AND status = 'running'
)
SELECT pg_notify('{SESSIONS}', session_id) FROM session
"""  # noqa: S608 - put together from constants

_IS_OPEN = """
SELECT status = 'open' FROM sessions WHERE session_id = $1
"""

_SESSION_EXISTS = """
SELECT EXISTS (SELECT FROM sessions WHERE session_id = $1)
"""

_OUTCOME = """
SELECT turns.reply
FROM messages JOIN turns USING (session_id, turn)
WHERE session_id = $1 AND message_id = $2 AND status <> 'running'
"""

_OUTCOME_OF_ORDER = """
SELECT reply FROM turns WHERE session_id = $1 AND request_id = $2 AND status <> 'running'
"""

# An erased session's row is not there any more, or waits to go until this is done.
_REFUSE = """
INSERT INTO refused_messages (session_id, message_id)
SELECT session_id, message_id FROM sessions, unnest($2::text[]) AS message_id WHERE session_id = $1
FOR KEY SHARE OF sessions
ON CONFLICT DO NOTHING
"""


class PostgresTurns:
    """Implements `ports.Turns`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, session: NewSession, definition: Definition) -> None:
        """Store a session and the definition that it pins. Opened again by the same workflow, it is the same session.

        Raises:
            SessionClosed: A session of this id has ended; its transcript is kept.
            Refused: Another workflow's session has this id; nothing of it is touched.
        """
        async with self._pool.transaction() as connection:
            await connection.execute(
                _PIN_DEFINITION, session.definition_hash, definition.name, definition.model_dump_json()
            )
            if not await _open_session(connection, session, definition):
                await _refuse_opening(connection, session.session_id)

    async def begin(self, turn: BeginTurn) -> Mapping[MessageId, Reply]:
        """Store the person's messages under their own `seq`, but for those that an earlier turn has answered.

        Where some were answered and some not, the others keep the numbers they came with; the caller counts anew and
        begins the same turn again.

        Returns:
            The first outcome of each message that an earlier turn has answered.

        Raises:
            NotFound: There is no such session.
        """
        async with self._pool.connection() as connection:
            if await connection.fetchrow(_BEGIN_NEXT, turn.session_id, turn.turn, turn.at, turn.messages):
                return {}
        async with self._pool.transaction() as connection:
            in_time = await connection.fetchval(_BEGIN_IN_SESSION, turn.session_id, turn.turn, turn.at)
            answered = await _answered_before(connection, turn)
            if in_time:
                await _replace(connection, turn, answered)
            else:
                await _explain(connection, turn)
        return answered

    async def wait(self, wait: WaitTurn) -> None:
        """Store that a running turn waits for a provider, and wake those who follow; a turn that has ended stands."""
        async with self._pool.connection() as connection:
            await connection.execute(_WAIT, wait.session_id, wait.turn, wait.resumes_at)

    async def end(self, turn: EndTurn) -> None:
        """Store a turn's outcome and the session as it stands after it, and wake those who follow.

        Raises:
            NotFound: There is no such session.
        """
        async with self._pool.connection() as connection:
            if await _end_last(connection, turn):
                return
        async with self._pool.transaction() as connection:
            if not await _end_in_session(connection, turn):
                await _explain(connection, turn)
                return
            if await _has_ended_so(connection, turn):
                return
            await connection.execute(_CLEAR_FOR_END, turn.session_id, turn.turn, turn.message_ids)
            await connection.execute(_COUNT_AGAIN, turn.session_id, turn.turn)
            await _insert_ended(connection, turn)
            if turn.withdraws:
                await connection.execute(_WITHDRAW, turn.session_id, turn.turn, *_withdrawn(turn))

    async def refuse(self, session_id: SessionId, message_ids: Sequence[MessageId]) -> None:
        """Store which messages a session has ended before; nothing where the session has been erased."""
        async with self._pool.connection() as connection:
            await connection.execute(_REFUSE, session_id, message_ids)

    async def outcome(self, session_id: SessionId, message_id: MessageId) -> Reply | None:
        """Find the outcome of a message; None where no turn has answered it."""
        async with self._pool.connection() as connection:
            reply = await connection.fetchval(_OUTCOME, session_id, message_id)
        return None if reply is None else _reply_to(message_id, reply)

    async def outcome_of_order(self, session_id: SessionId, request_id: MessageId) -> Reply | None:
        """Find the outcome of an order; None where it was not carried out."""
        async with self._pool.connection() as connection:
            reply = await connection.fetchval(_OUTCOME_OF_ORDER, session_id, request_id)
        return None if reply is None else _reply_to(request_id, reply)


async def _open_session(connection: Connection, session: NewSession, definition: Definition) -> bool:
    opening = session.opening
    opened = await connection.fetchval(
        _OPEN_SESSION,
        session.session_id,
        opening.tenant,
        opening.user_id,
        opening.channel,
        opening.channel_user_id,
        opening.role,
        opening.definition,
        session.definition_hash,
        opening.job_id,
        opening.context,
        definition.initial,
        session.opened_at,
    )
    return opened is not None


async def _refuse_opening(connection: Connection, session_id: SessionId) -> NoReturn:
    if await connection.fetchval(_IS_OPEN, session_id):
        raise Refused("another session has this id")
    raise SessionClosed("a session of this id has ended; open one under another id")


async def _answered_before(connection: Connection, turn: BeginTurn) -> dict[MessageId, Reply]:
    rows = await connection.fetch(_ANSWERED_BEFORE, turn.session_id, turn.turn, turn.messages)
    return {row["message_id"]: _reply_to(row["message_id"], row["reply"]) for row in rows}


def _reply_to(message_id: MessageId, reply: Any) -> Reply:
    # Messages that were answered together share one stored reply.
    return Reply.model_validate(reply | {"message_id": message_id})


async def _replace(connection: Connection, turn: BeginTurn, answered: Container[MessageId | None]) -> None:
    fresh = [message for message in turn.messages if message.message_id not in answered]
    if await connection.fetchval(_HAS_BEGUN_SO, turn.session_id, turn.turn, turn.at, fresh):
        return
    await connection.execute(_FORGET_FROM_TURN_ON, turn.session_id, turn.turn)
    await connection.execute(_COUNT_AGAIN, turn.session_id, turn.turn)
    if fresh or not turn.messages:
        await connection.execute(_INSERT_BEGUN, turn.session_id, turn.turn, turn.at, fresh)


async def _end_in_session(connection: Connection, turn: EndTurn) -> bool:
    session = turn.session
    in_time = await connection.fetchval(
        _END_IN_SESSION,
        turn.session_id,
        turn.turn,
        turn.ended_at,
        session.state,
        session.status,
        session.owner,
        session.slots,
        session.next_action,
        session.closed_reason,
        session.hand_over,
        session.progress,
    )
    return in_time is not None


async def _end_last(connection: Connection, turn: EndTurn) -> bool:
    session = turn.session
    row = await connection.fetchrow(
        _END_LAST,
        turn.session_id,
        turn.turn,
        turn.ended_at,
        session.state,
        session.status,
        session.owner,
        session.slots,
        session.next_action,
        session.closed_reason,
        turn.messages,
        turn.status,
        turn.message_ids,
        turn.reply,
        turn.state_before,
        turn.passed_over,
        turn.tried,
        turn.started_at,
        session.hand_over,
        turn.intervention,
        *_withdrawn(turn),
        _figures(turn),
        session.progress,
    )
    return row is not None


async def _has_ended_so(connection: Connection, turn: EndTurn) -> bool:
    found: bool = await connection.fetchval(
        _HAS_ENDED_SO, turn.session_id, turn.turn, turn.ended_at, turn.status, turn.message_ids, turn.reply
    )
    return found


async def _insert_ended(connection: Connection, turn: EndTurn) -> None:
    await connection.execute(
        _INSERT_ENDED,
        turn.session_id,
        turn.turn,
        turn.messages,
        turn.status,
        turn.message_ids,
        turn.reply,
        turn.state_before,
        turn.session.state,
        turn.passed_over,
        turn.tried,
        turn.started_at,
        turn.ended_at,
        turn.intervention,
        _figures(turn),
    )


def _withdrawn(turn: EndTurn) -> tuple[int | None, int | None, bool]:
    """Give the bounds of what is withdrawn to a statement; none where nothing is."""
    withdraws = turn.withdraws
    return (withdraws.first, withdraws.last, withdraws.replies_only) if withdraws else (None, None, False)


def _figures(turn: EndTurn) -> Mapping[str, object]:
    roles = Counter(message.role for message in turn.messages)
    return {
        **dict(turn.figures),
        "from_person": len(turn.message_ids),
        "from_assistant": roles[Role.ASSISTANT],
        "from_operator": roles[Role.OPERATOR],
        "asked_slot": turn.session.next_action.slot,
    }


async def _explain(connection: Connection, turn: BeginTurn | EndTurn) -> None:
    """Say why there was no row to update: there is no such session, or the call came late."""
    if not await connection.fetchval(_SESSION_EXISTS, turn.session_id):
        raise NotFound("session", turn.session_id)
    log.warning("late write ignored", session_id=turn.session_id, turn=turn.turn, write=type(turn).__name__)
