"""What becomes known of sessions, read from storage for those who follow it, in any process and from any place."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from tertulia.domain import session_events
from tertulia.domain.conversation import Message, Reply
from tertulia.domain.errors import InvalidInput, NotFound, Unavailable
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.session_events import BEGINNING, EventId, SessionEnded, SessionEvent, Told, TurnEnded, TurnStarted
from tertulia.domain.turns import Delta, TurnWaits
from tertulia.storage.listener import SESSIONS, Listener
from tertulia.storage.pool import Pool, Row

# Numbers rise from turn to turn, so what is new lies in the last turns: those behind the last one that was told to its
# end. Of these a look takes the first few. One statement sees all of it as it stands at one moment; its first row is
# the turn that the reader is in, with the last event that belongs to its beginning.
_FACTS = """
WITH told AS (
    SELECT coalesce((SELECT turn FROM turns WHERE session_id = $1 AND ended_event <= $2 ORDER BY turn DESC LIMIT 1),
                    -1) AS turn
), next AS (
    SELECT turns.* FROM turns, told WHERE session_id = $1 AND turns.turn > told.turn ORDER BY turns.turn LIMIT $3
), facts AS (
    SELECT begun_event AS event, 'begun' AS kind, jsonb_build_object('turn', turn, 'message_ids', message_ids) AS fact
    FROM next
    UNION ALL
    SELECT waits_event, 'waits', jsonb_build_object('turn', turn, 'resumes_at', resumes_at) FROM next
    UNION ALL
    SELECT event, 'message',
           jsonb_build_object('seq', seq, 'turn', turn, 'role', role, 'text', text, 'created_at', created_at,
                              'message_id', message_id, 'withdrawn_in', withdrawn_in)
    FROM messages
    WHERE session_id = $1 AND turn BETWEEN (SELECT min(turn) FROM next) AND (SELECT max(turn) FROM next)
    UNION ALL
    SELECT ended_event, 'ended',
           jsonb_build_object(
               'reply', reply, 'message_ids', message_ids,
               'withdrawn', (SELECT coalesce(jsonb_agg(seq ORDER BY seq), '[]') FROM messages
                             WHERE session_id = $1 AND withdrawn_in = next.turn),
               'seq', (SELECT seq FROM messages
                       WHERE session_id = $1 AND messages.turn <= next.turn ORDER BY seq DESC LIMIT 1))
    FROM next
    UNION ALL
    SELECT ended_event + 1, 'closed', jsonb_build_object('state', state, 'reason', closed_reason)
    FROM sessions JOIN turns USING (session_id, turn)
    WHERE session_id = $1 AND sessions.status = 'closed'
      AND turn <= coalesce((SELECT max(next.turn) FROM next), turn)
)
SELECT 0 AS event, CASE WHEN status = 'closed' AND event <= $2 THEN 'over' ELSE 'open' END AS kind,
       (SELECT jsonb_build_object('turn', turn, 'begun', begun_event + jsonb_array_length(message_ids))
        FROM next WHERE begun_event <= $2 ORDER BY turn LIMIT 1) AS fact
FROM sessions WHERE session_id = $1
UNION ALL
SELECT event, kind, fact FROM facts WHERE event > $2
ORDER BY event
"""

_PIECES = """
SELECT turn, attempt, text_offset, text
FROM stream_deltas
WHERE session_id = $1 AND turn = $2 AND (attempt, text_offset) >= ($3, $4)
ORDER BY attempt, text_offset
LIMIT $5
"""

_PLACES = """
SELECT event AS latest, status = 'closed' AS closed,
       coalesce((SELECT begun_event - 1 FROM turns
                 WHERE turns.session_id = $1 AND turns.turn = latest_turn AND turns.status = 'running'), event) AS now
FROM sessions
WHERE session_id = $1
"""

# A message that a closed session has not answered gets no turn any more.
_BEGINNING_OF = """
SELECT coalesce(begun_event - 1, ended_event - 1) AS before, sessions.status = 'closed' AS closed
FROM sessions
LEFT JOIN messages ON messages.session_id = sessions.session_id AND messages.message_id = $2
LEFT JOIN turns ON turns.session_id = messages.session_id AND turns.turn = messages.turn
WHERE sessions.session_id = $1
"""

# What a follower holds in memory at most.
_TURNS = 20
_PIECES_AT_ONCE = 100
# Notifications say at once when there is something new; asking all the same covers those that get lost.
_POLL_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look brings.

    Attributes:
        more: Whether another look will bring more at once.
        over: Whether nothing comes behind it.
    """

    told: Sequence[Told] = ()
    more: bool = False
    over: bool = False


class PostgresSessionEvents:
    """Implements `ports.SessionEvents`. Enter it for as long as somebody follows.

    Nothing of a reader is kept but the place where it is: the next look begins there, in this process or in another.
    """

    def __init__(self, pool: Pool, dsn: str, *, poll_every: timedelta = _POLL_EVERY) -> None:
        self._pool = pool
        self._listener = Listener(dsn, SESSIONS)
        self._poll_every = poll_every
        self._stopped = False

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._listener.__aexit__(*error)

    def stop(self) -> None:
        """End all that is followed here; whoever wants more goes on elsewhere, behind the last id."""
        self._stopped = True
        self._listener.wake_all()

    async def resume(self, session_id: SessionId, after: EventId) -> EventId | None:
        """Check a place where a reader wants to go on; None where all has been told.

        Raises:
            NotFound: There is no such session.
            InvalidInput: The place is none of this session's.
        """
        places = await self._places(session_id)
        if after.number > places["latest"]:
            raise InvalidInput("is not an id of this session's events; begin anew", field="last-event-id")
        return None if places["closed"] and after.number == places["latest"] else after

    async def now(self, session_id: SessionId) -> EventId:
        """Return the place of a reader who wants what is going on, and what comes: before the turn that runs.

        Raises:
            NotFound: There is no such session.
        """
        return EventId((await self._places(session_id))["now"])

    async def follow(self, session_id: SessionId, after: EventId = BEGINNING) -> AsyncGenerator[Told]:
        """Yield what becomes known of a session behind a place, until the session has ended.

        While Postgres is away it is waited for.
        """
        place = after
        with self._listener.news(session_id) as news:
            while not self._stopped:
                news.clear()
                look = await self._look(session_id, place)
                for told in look.told:
                    yield told
                    place = told.id
                if look.over:
                    return
                if not look.more:
                    await self._wait(news)

    async def follow_message(self, session_id: SessionId, message_id: MessageId) -> AsyncGenerator[Told]:
        """Yield what becomes known of the turn that answers a message, from its beginning to its end.

        The turn may not have begun yet. Where it never will, because the session has ended, nothing is yielded.
        """
        before = await self._beginning_of(session_id, message_id)
        if before is None:
            return
        async with aclosing(self.follow(session_id, before)) as events:
            async for told in events:
                yield told
                if isinstance(told.event, TurnEnded) and message_id in told.event.message_ids:
                    return

    async def _beginning_of(self, session_id: SessionId, message_id: MessageId) -> EventId | None:
        """Wait for the turn of a message, and return the place before it; None where it gets none any more."""
        with self._listener.news(session_id) as news:
            while not self._stopped:
                news.clear()
                with suppress(Unavailable):
                    async with self._pool.connection() as connection:
                        found = await connection.fetchrow(_BEGINNING_OF, session_id, message_id)
                    if found is not None and found["before"] is not None:
                        return EventId(found["before"])
                    if found is None or found["closed"]:
                        return None
                await self._wait(news)
        return None

    async def _places(self, session_id: SessionId) -> Row:
        async with self._pool.connection() as connection:
            places = await connection.fetchrow(_PLACES, session_id)
        if places is None:
            raise NotFound("session", session_id)
        return places

    async def _wait(self, news: asyncio.Event) -> None:
        if not self._stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_every.total_seconds()):
                    await news.wait()

    async def _look(self, session_id: SessionId, place: EventId) -> _Look:
        with suppress(Unavailable):
            async with self._pool.connection() as connection:
                rows = await connection.fetch(_FACTS, session_id, place.number, _TURNS)
                if not rows or rows[0]["kind"] == "over":
                    # It has been erased, or all has been told.
                    return _Look(over=True)
                running, facts = rows[0]["fact"], rows[1:]
                beginning = [fact for fact in facts if running and fact["event"] <= running["begun"]]
                if beginning or not running:
                    return _look(beginning or facts, (), place)
                # Read behind the facts, so that no piece is missed that came before its turn's end.
                pieces = await connection.fetch(
                    _PIECES, session_id, running["turn"], place.attempt, place.length, _PIECES_AT_ONCE
                )
            return _look(facts, pieces, place)
        return _Look()


def _look(facts: Sequence[Row], pieces: Sequence[Row], place: EventId) -> _Look:
    told: list[Told] = []
    for piece in pieces:
        told += session_events.of_piece(_delta(piece), place)
        place = told[-1].id
    if len(pieces) == _PIECES_AT_ONCE:
        return _Look(told, more=True)
    for fact in facts:
        told.append(session_events.of_fact(fact["event"], _fact(fact["kind"], fact["fact"]), place))
        place = told[-1].id
    return _Look(told, more=bool(facts), over=bool(told) and isinstance(told[-1].event, SessionEnded))


def _fact(kind: str, fact: Mapping[str, Any]) -> SessionEvent:
    match kind:
        case "begun":
            return TurnStarted.model_validate(fact)
        case "waits":
            return TurnWaits.model_validate(fact)
        case "message":
            return Message.model_validate(fact)
        case "ended":
            reply = Reply.model_validate(fact["reply"])
            return TurnEnded.of(reply, tuple(fact["message_ids"]), fact["seq"] or 0, tuple(fact["withdrawn"]))
        case "closed":
            return SessionEnded.model_validate(fact)
        case _:
            raise AssertionError(kind)


def _delta(row: Row) -> Delta:
    return Delta(turn=row["turn"], attempt=row["attempt"], offset=row["text_offset"], text=row["text"])
