"""What becomes known of a session as server-sent events: a whole session's, or those of one message's turn."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from sse_starlette import EventSourceResponse, ServerSentEvent

from tertulia.api.ports import ApiPorts
from tertulia.api.problems import problem_of
from tertulia.api.waiting import walk_away
from tertulia.domain import session_events
from tertulia.domain.conversation import IncomingMessage, Reply
from tertulia.domain.errors import TertuliaError
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.session_events import EventId, Told

# Proxies take a silent connection for a dead one after a minute or so; a reader notices by it that we are gone.
_PING_SECONDS = 15
# A reader that takes nothing for this long is cut off; it loses nothing by it.
_SEND_SECONDS = 60

EXAMPLE = """\
event: turn.started
id: 7
data: {"turn":3,"message_ids":["m-1"]}

event: message
id: 8
data: {"seq":6,"turn":3,"role":"user","text":"Who reads this?","created_at":"2026-03-14T12:00:00Z","message_id":"m-1"}

event: text.delta
id: 8:1.4
data: {"turn":3,"attempt":1,"offset":0,"text":"Than"}

event: turn.superseded
id: 8:101.0
data: {"turn":3,"attempt":1}

event: text.delta
id: 8:101.15
data: {"turn":3,"attempt":101,"offset":0,"text":"Thank you, Ada."}

event: message
id: 9
data: {"seq":7,"turn":3,"role":"assistant","text":"Thank you, Ada.","created_at":"2026-03-14T12:00:02Z"}

event: turn.completed
id: 10
data: {"turn":3,"status":"answered","message_ids":["m-1"],"reply":"Thank you, Ada.","owner":"bot","seq":7, …}
"""


def of_session(ports: ApiPorts, session_id: SessionId, after: EventId) -> EventSourceResponse:
    """Stream what becomes known of a session behind a place, until it has ended."""
    return _response(_session_events(ports, session_id, after))


def of_message(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> EventSourceResponse:
    """Stream what becomes of a message that the session has taken: the events of its turn.

    The last one is `turn.completed` or `turn.failed`; `problem` where the outcome can't be learnt here: the message's
    receipt knows it later.
    """
    return _response(_message_events(ports, session_id, message_id, message))


def _response(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    return EventSourceResponse(events, ping=_PING_SECONDS, send_timeout=_SEND_SECONDS)


async def _session_events(ports: ApiPorts, session_id: SessionId, after: EventId) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(ports.events.follow(session_id, after)) as events:
        async for told in events:
            yield _sent(told)


async def _message_events(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> AsyncGenerator[ServerSentEvent]:
    try:
        async with following(ports, session_id, message_id, message) as (events, outcome):
            async for told in events:
                yield _sent(told)
            # Raises where the message gets no turn any more.
            await outcome
    except TertuliaError as error:
        yield ServerSentEvent(problem_of(error).model_dump_json(exclude_none=True), event="problem")


@asynccontextmanager
async def following(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> AsyncIterator[tuple[AsyncGenerator[Told], asyncio.Task[Reply]]]:
    """Give the events of the turn of a message that the session has taken, and its outcome.

    The events raise where it is certain that the message has no outcome.
    """
    # Sent under the id that has been taken, this only waits for that message's outcome.
    outcome = asyncio.create_task(ports.sessions.send(session_id, message))
    try:
        async with aclosing(_unless_failed(outcome, ports.events.follow_message(session_id, message_id))) as events:
            yield events, outcome
    finally:
        walk_away(outcome)


async def _unless_failed(outcome: asyncio.Task[Reply], events: AsyncGenerator[Told]) -> AsyncGenerator[Told]:
    """Yield events until they end, or it is certain that the message has no outcome."""
    while True:
        step = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.wait({step, outcome}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                # Raises where there is no outcome; otherwise it is stored, and comes.
                outcome.result()
            told = await step
        finally:
            # A generator that is cancelled in the middle of a step has ended with it.
            walk_away(step)
        if told is None:
            return
        yield told


def _sent(told: Told) -> ServerSentEvent:
    return ServerSentEvent(told.event.model_dump_json(), event=session_events.name(told.event), id=str(told.id))
