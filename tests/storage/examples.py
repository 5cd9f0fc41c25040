"""Sessions and turns to store. Times are minutes after noon."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tertulia.domain.conversation import (
    Message,
    NextAction,
    OpenSession,
    Owner,
    Reply,
    Role,
    SessionStatus,
    TurnStatus,
)
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.figures import HeardAs, Passage, Progress, Standing, TurnFigures
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import BeginTurn, EndTurn, NewSession, SessionProjection
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
CHAT = SessionId("chat")
GREETING = Definition.model_validate(
    {"name": "greeting", "version": "1", "title": "Greeting", "initial": "hello", "states": {"hello": {"say": "Hello"}}}
)


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def new_session(
    session_id: SessionId = CHAT, *, definition: Definition = GREETING, opened: float = 0, **opening: Any
) -> NewSession:
    return NewSession(
        session_id=session_id,
        opening=OpenSession.model_validate({"definition": definition.name, "user_id": "ada"} | opening),
        definition_hash=definition.content_hash(),
        opened_at=at(opened),
    )


async def opened(pool: Pool, session_id: SessionId = CHAT) -> PostgresTurns:
    """The turns of a session that has just been opened."""
    turns = PostgresTurns(pool)
    await turns.open(new_session(session_id), GREETING)
    return turns


def said(message_id: str, seq: int, turn: int, *, text: str = "", minute: float = 0) -> Message:
    return Message(
        seq=seq,
        turn=turn,
        role=Role.USER,
        text=text or f"this is {message_id}",
        created_at=at(minute),
        message_id=MessageId(message_id),
    )


def shown(seq: int, turn: int, *, text: str = "", minute: float = 0) -> Message:
    return Message(seq=seq, turn=turn, role=Role.ASSISTANT, text=text or f"reply of turn {turn}", created_at=at(minute))


def begin(turn: int, *messages: Message, minute: float | None = None, session_id: SessionId = CHAT) -> BeginTurn:
    return BeginTurn(session_id=session_id, turn=turn, messages=messages, at=at(turn if minute is None else minute))


def end(
    turn: int,
    *messages: Message,
    ids: Sequence[str] = (),
    minute: float | None = None,
    session_id: SessionId = CHAT,
    state: str = "hello",
    status: TurnStatus = TurnStatus.ANSWERED,
    closes: str | None = None,
    **evidence: Any,
) -> EndTurn:
    """The end of a turn, half a minute after its beginning."""
    text = "\n\n".join(message.text for message in messages)
    reply = Reply(turn=turn, status=status, text=text, state=state, next_action=NextAction(kind="talk"))
    ended_at = at(turn + 0.5 if minute is None else minute)
    return EndTurn(
        session_id=session_id,
        turn=turn,
        status=status,
        messages=messages,
        reply=reply,
        message_ids=tuple(MessageId(message_id) for message_id in ids),
        state_before="hello",
        session=SessionProjection(
            state=state,
            status=SessionStatus.CLOSED if closes else SessionStatus.OPEN,
            owner=Owner.BOT,
            turn=turn,
            slots={"turns": turn},
            next_action=reply.next_action,
            closed_reason=closes,
            progress=Progress(standing=Standing.ASKING, state=state, since=ended_at, visited=("earlier", state)),
        ),
        started_at=ended_at,
        ended_at=ended_at,
        figures=TurnFigures(
            response_ms=turn,
            heard_slot="name",
            heard_as=HeardAs.ANSWERED,
            passages=(Passage(at=ended_at, source="hello", target=state, first=True, stayed_ms=turn),) * (turn % 3),
        ),
        **evidence,
    )


_LEFT_OUT = {"session_id", "event", "begun_event", "waits_event", "ended_event"}


async def rows(pool: Pool, session_id: SessionId = CHAT) -> dict[str, list[dict[str, Any]]]:
    """All that is stored of a session, but for the numbers of its events, which differ where things were done again."""
    statements = {
        "sessions": "SELECT * FROM sessions WHERE session_id = $1",
        "turns": "SELECT * FROM turns WHERE session_id = $1 ORDER BY turn",
        "messages": "SELECT * FROM messages WHERE session_id = $1 ORDER BY seq",
        "passages": "SELECT * FROM passages WHERE session_id = $1 ORDER BY turn, position",
    }
    async with pool.connection() as connection:
        return {
            table: [
                {column: value for column, value in row.items() if column not in _LEFT_OUT}
                for row in await connection.fetch(statement, session_id)
            ]
            for table, statement in statements.items()
        }
