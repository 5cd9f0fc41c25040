"""A turn as server-sent events, from the moment its message is taken to its outcome."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel
from sse_starlette import ServerSentEvent

from tertulia.api.ports import ApiPorts
from tertulia.api.problems import problem_of
from tertulia.api.views import TurnReply
from tertulia.api.waiting import walk_away
from tertulia.domain.conversation import IncomingMessage, Reply, TurnStatus
from tertulia.domain.errors import TertuliaError
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import Delta, TurnWaits

T = TypeVar("T")
log = structlog.get_logger("tertulia.api")

# A reply overtakes the last pieces of its text by a few milliseconds; whoever shows pieces only wants these too.
_LAST_PIECES = timedelta(milliseconds=100)

EXAMPLE = """\
event: turn.started
data: {"session_id":"s-1","message_id":"m-1"}

event: text.delta
data: {"turn":3,"attempt":1,"offset":0,"text":"Than"}

event: turn.superseded
data: {"turn":3,"attempt":1}

event: turn.waiting
data: {"turn":3,"resumes_at":"2026-03-14T12:00:10Z"}

event: text.delta
data: {"turn":3,"attempt":2,"offset":0,"text":"Thank you, Ada."}

event: turn.completed
data: {"session_id":"s-1","message_id":"m-1","turn":3,"status":"answered","reply":"Thank you, Ada.", …}
"""


class TurnStarted(BaseModel):
    """The message is durably taken; its turn runs, or waits for those before it."""

    session_id: SessionId
    message_id: MessageId


class TurnSuperseded(BaseModel):
    """The text shown so far belongs to an attempt that failed; throw it away."""

    turn: int
    attempt: int


async def turn_events(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> AsyncIterator[ServerSentEvent]:
    """Tell what becomes of a message that the session has taken.

    Yields:
        `turn.started`, then any number of `text.delta`, `turn.superseded` and `turn.waiting` (for a provider), at last
        one of `turn.completed`, `turn.failed` (the reply's status says how), and `problem` where the outcome can't be
        learnt here: the message's receipt knows it later.
    """
    # Sent under the id that has been taken, this only waits for that message's outcome.
    reply = asyncio.create_task(ports.sessions.send(session_id, message))
    try:
        yield _event("turn.started", TurnStarted(session_id=session_id, message_id=message_id))
        async for event in _shown(_until(reply, ports.deltas.follow(session_id, message_id))):
            yield event
        yield _ended(await reply, session_id, message_id)
    except TertuliaError as error:
        yield _event("problem", problem_of(error))
    finally:
        walk_away(reply)


async def _shown(pieces: AsyncIterator[Delta | TurnWaits]) -> AsyncIterator[ServerSentEvent]:
    attempt = 0
    try:
        async for piece in pieces:
            match piece:
                case TurnWaits():
                    yield _event("turn.waiting", piece)
                case Delta() if piece.attempt >= attempt:
                    if 0 < attempt < piece.attempt:
                        yield _event("turn.superseded", TurnSuperseded(turn=piece.turn, attempt=attempt))
                    attempt = piece.attempt
                    yield _event("text.delta", piece)
    except (TertuliaError, OSError) as error:
        # Lost to the show only: the reply has the whole text.
        log.warning("deltas_lost", error=type(error).__name__)


async def _until(done: asyncio.Future[Any], source: AsyncIterator[T]) -> AsyncIterator[T]:
    """Yield from a source until it ends, or `done` is done and nothing more comes at once."""
    while True:
        following = asyncio.ensure_future(anext(source, None))
        try:
            await asyncio.wait({following, done}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({following}, timeout=_LAST_PIECES.total_seconds())
            item = following.result() if following.done() else None
        finally:
            walk_away(following)
        if item is None:
            return
        yield item


def _ended(reply: Reply, session_id: SessionId, message_id: MessageId) -> ServerSentEvent:
    name = "turn.completed" if reply.status is TurnStatus.ANSWERED else "turn.failed"
    return _event(name, TurnReply.of(reply, session_id, message_id))


def _event(name: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(exclude_none=name == "problem"), event=name)
