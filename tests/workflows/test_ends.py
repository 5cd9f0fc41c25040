"""Starts that can't be, ends that nobody asked for, and what is too much."""

import asyncio
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tertulia.domain.conversation import Close, IncomingMessage
from tertulia.domain.ids import MessageId
from tertulia.embedded.simulator import Answer, BlackHole, ProviderSimulator
from tertulia.storage.pool import connect
from tests.engine import Chat, Engine, until

OPENING = {"definition": "assistant", "user_id": "somebody"}


@pytest.mark.parametrize(
    ("workflow_id", "arguments"),
    [
        ("session/{}", []),
        ("session/{}", [{"definition": "assistant"}]),
        ("{}", [OPENING]),
        ("session/no id {}", [OPENING]),
    ],
    ids=["no input", "half an input", "no session's id", "no identifier"],
)
async def test_a_start_that_cannot_be_fails_at_once(engine: Engine, workflow_id: str, arguments: list[object]) -> None:
    handle = await engine.client.start_workflow(
        "Session", args=arguments, id=workflow_id.format(uuid4().hex), task_queue=engine.task_queue
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type in {"invalid_input", "InvalidInput"}


async def test_cancelling_the_workflow_in_a_turn_closes_the_stored_session(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await simulator.asked()
    await chat.workflow.cancel()
    assert (await sending).status == "cancelled"
    await chat.workflow.result()
    (session,) = await engine.rows("select status, closed_reason, turn from sessions where session_id = $1", chat.id)
    assert tuple(session) == ("closed", "the workflow was cancelled", 1)
    assert (await chat.turn(1)).status == "cancelled"


async def test_a_message_that_the_end_of_its_session_leaves_without_a_turn_is_refused(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    running, waiting = [
        await engine.sessions.submit(chat.id, IncomingMessage(text=text, message_id=uuid4().hex))
        for text in ("Hello", "and one thing more")
    ]
    await simulator.asked()
    assert await engine.sessions.awaits(chat.id, running)
    assert await engine.sessions.awaits(chat.id, waiting)
    assert not await engine.sessions.awaits(chat.id, MessageId("another"))

    await chat.workflow.cancel()
    await chat.workflow.result()

    assert not await engine.sessions.awaits(chat.id, waiting)
    refused = [await engine.transcripts.was_refused(chat.id, message_id) for message_id in (running, waiting)]
    assert refused == [False, True]


async def test_a_message_whose_turn_could_not_begin_before_the_workflow_was_cancelled_is_refused(
    engine: Engine,
) -> None:
    chat, message_id = await engine.chat(), MessageId("m1")
    async with connect(engine.settings.require_database_url()) as connection, connection.transaction():
        # As long as somebody else has the session's row, no turn begins.
        await connection.execute("SELECT FROM sessions WHERE session_id = $1 FOR UPDATE", chat.id)
        await chat.workflow.signal("message", {"text": "Hello", "message_id": message_id})
        await chat.workflow.cancel()
        while not await _worker_knows_of_cancel(chat):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await chat.workflow.result()

    assert await engine.transcripts.was_refused(chat.id, message_id)
    assert await engine.transcripts.turn_of(chat.id, message_id) is None


async def _worker_knows_of_cancel(chat: Chat) -> bool:
    kinds = [event.event_type async for event in chat.workflow.fetch_history_events()]
    cancelled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    return cancelled in kinds and EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED in kinds[kinds.index(cancelled) :]


async def test_an_answer_that_no_payload_could_carry_is_no_answer(engine: Engine, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Answer(text="x" * 100_000)])
    reply = await (await engine.chat()).say("Hello")
    assert reply.provider == "second"


async def test_what_comes_before_a_close_is_answered_and_what_comes_after_is_refused(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Answer(first_token_after_s=1)])
    chat = await engine.chat()
    before = asyncio.create_task(chat.say("before"))
    await simulator.asked()
    closing = asyncio.create_task(engine.sessions.close(chat.id, Close()))
    await asyncio.wait({closing}, timeout=0.2)
    await chat.workflow.signal("message", {"text": "after"})
    assert (await before).text == "You said: before"
    await closing
    view = await engine.sessions.view(chat.id)
    assert [refused.name for refused in view.refused_signals] == ["message"]
    assert [message.text for message in await chat.transcript()][1:] == ["before", "You said: before"]


async def test_waiting_messages_are_bounded_together(engine: Engine, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Answer(first_token_after_s=1)])
    chat = await engine.chat()
    first = asyncio.create_task(chat.say("first"))
    await simulator.asked()
    for _ in range(16):
        await chat.workflow.signal("message", {"text": "x" * 16_000})
    view = await engine.sessions.view(chat.id)
    assert view.waiting * 16_000 <= 200_000 + 16_000
    assert len(view.refused_signals) > 0
    await engine.sessions.close(chat.id, Close())
    await until(first.done)


@pytest.mark.parametrize(
    ("name", "payloads"),
    [
        ("send", []),
        ("send", [None]),
        ("send", [{"txt": "?"}]),
        ("transition", []),
        ("transition", [{"state": "talking"}, "one too many"]),
        ("close", [{}, "one too many"]),
        ("no such update", []),
    ],
)
async def test_an_update_of_the_wrong_shape_is_refused_and_harms_nothing(
    engine: Engine, name: str, payloads: list[object]
) -> None:
    chat = await engine.chat()
    with pytest.raises(WorkflowUpdateFailedError):
        await chat.workflow.execute_update(name, args=payloads)
    assert (await chat.say("still here?")).text == "You said: still here?"


async def test_a_close_needs_no_payload(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.workflow.execute_update("close")
    await chat.workflow.result()
