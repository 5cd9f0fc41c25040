"""Sessions whose workflows were cut off are ended all the same, by the Schedule `session-upkeep`."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tertulia.domain.conversation import Close, IncomingMessage, OpenSession
from tertulia.domain.errors import InvalidInput, TertuliaError
from tertulia.domain.ids import MessageId, SessionId, workflow_id
from tertulia.domain.session_events import SessionEnded, TurnEnded
from tertulia.embedded.simulator import BlackHole, ProviderSimulator
from tertulia.storage.session_events import PostgresSessionEvents
from tertulia.storage.sessions import PostgresSessionRecords
from tests.engine import Chat, Engine, running_engine, simulated
from workflows.conversation import Conversation
from workflows.session import Session

OPENING = {"definition": "assistant", "user_id": "somebody"}
NOTHING = {"ended": 0, "left": 0}


async def _terminate(engine: Engine, session_id: SessionId) -> None:
    await engine.client.get_workflow_handle(workflow_id(session_id)).terminate()
    await _found(engine, session_id, "Terminated")


async def _found(engine: Engine, session_id: SessionId, status: str) -> None:
    """Wait until the workflow can be found by how it ended."""
    query = f"WorkflowId = '{workflow_id(session_id)}' AND ExecutionStatus = '{status}'"
    while not (await engine.client.count_workflows(query)).count:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _stored(engine: Engine, session_id: SessionId) -> tuple[str, str | None, int]:
    query = "SELECT status, closed_reason, turn FROM sessions WHERE session_id = $1"
    (row,) = await engine.rows(query, session_id)
    return row["status"], row["closed_reason"], row["turn"]


async def _everything(chat: Chat) -> Sequence[object]:
    """Read all that is stored of a session."""
    return [
        [tuple(row) for row in await chat.engine.rows(f"SELECT * FROM {table} WHERE session_id = $1", chat.id)]
        for table in ("sessions", "turns", "messages", "passages", "refused_messages")
    ]


async def _asked(chat: Chat, simulator: ProviderSimulator) -> tuple[MessageId, MessageId, MessageId]:
    """Let one message be asked about, and two more wait: one by update, one by signal."""
    simulator.script("first", [BlackHole()])
    running = await chat.engine.sessions.submit(chat.id, IncomingMessage(text="Hello"))
    await simulator.asked()
    waiting = await chat.engine.sessions.submit(chat.id, IncomingMessage(text="and one thing more"))
    signalled = MessageId(uuid4().hex)
    await chat.workflow.signal("message", {"text": "and another", "message_id": signalled})
    while (await chat.engine.sessions.view(chat.id)).waiting < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return running, waiting, signalled


async def test_an_idle_session_that_was_terminated_is_closed_and_its_followers_are_told(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.say("Hello")
    async with PostgresSessionEvents(engine.pool, engine.settings.require_database_url()) as events:
        following = asyncio.create_task(_all_of(events, chat.id))
        await _terminate(engine, chat.id)
        assert await _stored(engine, chat.id) == ("open", None, 1)

        assert await engine.upkeep() == {"ended": 1, "left": 0}

        assert (await following)[-2:] == [TurnEnded, SessionEnded]
    assert await _stored(engine, chat.id) == ("closed", "its workflow was terminated", 2)
    last = await chat.turn(2)
    assert last.started_at == last.ended_at == (await chat.workflow.describe()).close_time
    assert [message.text for message in await chat.transcript()][1:] == ["Hello", "You said: Hello"]


async def _all_of(events: PostgresSessionEvents, session_id: SessionId) -> list[type]:
    return [type(told.event) async for told in events.follow(session_id)]


async def test_a_turn_that_ran_is_cancelled_and_what_waited_behind_it_is_refused(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    chat = await engine.chat()
    running, *waiting = await _asked(chat, simulator)
    await _terminate(engine, chat.id)
    assert [await engine.sessions.awaits(chat.id, message_id) for message_id in waiting] == [True, True]

    assert await engine.upkeep() == {"ended": 1, "left": 0}

    assert await _stored(engine, chat.id) == ("closed", "its workflow was terminated", 1)
    turn = await chat.turn(1)
    assert (turn.status, turn.message_ids) == ("cancelled", (running,))
    refused = [await engine.transcripts.was_refused(chat.id, message_id) for message_id in (running, *waiting)]
    assert refused == [False, True, True]
    assert [message.text for message in await chat.transcript()][1:] == ["Hello"]


async def test_a_message_that_no_worker_has_seen_is_refused(client: Client, engine: Engine) -> None:
    database = engine.settings.require_database_url()
    async with running_engine(client, database, uuid4().hex, engine.settings.providers) as left:
        chat = await left.chat()
    await chat.workflow.signal("message", {"text": "Hello", "message_id": "m1"})
    await chat.workflow.terminate()
    async with running_engine(client, database, left.task_queue, engine.settings.providers) as left:
        await _found(left, chat.id, "Terminated")
        assert await left.upkeep() == {"ended": 1, "left": 0}
        assert await left.transcripts.was_refused(chat.id, MessageId("m1"))


async def test_a_session_ends_that_has_timed_out(engine: Engine) -> None:
    session_id = SessionId(uuid4().hex)
    handle = await engine.client.start_workflow(
        "Session",
        OPENING,
        id=workflow_id(session_id),
        task_queue=engine.task_queue,
        execution_timeout=timedelta(seconds=3),
    )
    await handle.execute_update("open")
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    await _found(engine, session_id, "TimedOut")

    assert await engine.upkeep() == {"ended": 1, "left": 0}

    assert await _stored(engine, session_id) == ("closed", "its workflow timed out", 1)


async def test_a_session_ends_that_has_failed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise InvalidInput("can't be")

    chat = await engine.chat()
    monkeypatch.setattr(Conversation, "close", fail)
    await chat.workflow.signal("close")
    await _found(engine, chat.id, "Failed")

    assert await engine.upkeep() == {"ended": 1, "left": 0}

    assert await _stored(engine, chat.id) == ("closed", "its workflow failed", 1)


async def test_a_session_ends_that_has_gone_on_in_a_new_run(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    for number in range(5):
        await chat.say(f"text {number}")
    await _terminate(engine, chat.id)

    assert await engine.upkeep() == {"ended": 1, "left": 0}

    assert await _stored(engine, chat.id) == ("closed", "its workflow was terminated", 6)


async def test_asking_a_living_session_for_its_ending_changes_nothing(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    chat = await engine.chat("recruiting")
    cut = {"reason": "a test", "at": "2099-01-01T00:00:00Z"}
    await chat.workflow.query("ending", cut)
    reply = await chat.say("Ada Lovelace")
    for name in ("first", "second", "third"):
        simulator.always(name, BlackHole())
    asking = asyncio.create_task(chat.say("What do you do with my data?"))
    await simulator.asked()
    before = await _everything(chat)
    ending = await chat.workflow.query("ending", cut)
    assert ending["turn"]["session"]["closed_reason"] == "a test"
    assert await chat.workflow.query("ending", cut) == ending
    assert await _everything(chat) == before
    await engine.sessions.cancel_turn(chat.id)
    assert ((await asking).turn, (await asking).status) == (reply.turn + 1, "cancelled")
    await engine.sessions.close(chat.id, Close())
    assert await chat.workflow.query("ending", cut) is None
    replayer = Replayer(
        workflows=[Session],
        data_converter=engine.client.data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(await chat.workflow.fetch_history())


async def test_what_has_no_session_to_end_is_passed_over(engine: Engine) -> None:
    erased, closed, failed = await engine.chat(), await engine.chat(), SessionId(uuid4().hex)
    await engine.sessions.close(closed.id, Close())
    await erased.workflow.terminate()
    await PostgresSessionRecords(engine.pool).erase(erased.id)
    with pytest.raises(TertuliaError):
        await engine.sessions.open(failed, OpenSession(definition="no-such", user_id="somebody"))
    await _found(engine, erased.id, "Terminated")
    await _found(engine, failed, "Failed")

    assert await engine.upkeep() == NOTHING

    assert await _stored(engine, closed.id) == ("closed", "closed by request", 1)


async def test_a_session_ends_under_whose_id_another_start_has_failed(engine: Engine) -> None:
    chat = await engine.chat()
    await _terminate(engine, chat.id)
    again = await engine.client.start_workflow("Session", OPENING, id=chat.workflow.id, task_queue=engine.task_queue)
    with pytest.raises(WorkflowFailureError):
        await again.result()
    await _found(engine, chat.id, "Failed")

    assert await engine.upkeep() == {"ended": 1, "left": 0}

    assert await _stored(engine, chat.id) == ("closed", "its workflow was terminated", 1)


async def test_a_session_that_was_reset_goes_on(engine: Engine) -> None:
    chat = await engine.chat()
    await _terminate(engine, chat.id)
    run = (await chat.workflow.describe()).run_id
    await engine.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=engine.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=chat.workflow.id, run_id=run),
            workflow_task_finish_event_id=3,
            request_id=uuid4().hex,
        )
    )
    assert (await chat.say("Still here?")).text == "You said: Still here?"

    assert await engine.upkeep() == {"ended": 0, "left": 1}

    assert await _stored(engine, chat.id) == ("open", None, 1)


async def test_a_session_is_ended_once(engine: Engine, simulator: ProviderSimulator) -> None:
    chat = await engine.chat()
    await _asked(chat, simulator)
    await _terminate(engine, chat.id)
    run = await chat.workflow.describe()
    cut_off = {
        "session_id": chat.id,
        "run_id": run.run_id,
        "cut": {"reason": "its workflow was terminated", "at": run.close_time},
    }
    assert await engine.upkeep() == {"ended": 1, "left": 0}
    before = await _everything(chat)

    assert await engine.upkeep() == NOTHING
    await engine.client.execute_activity(
        "end_cut_off",
        cut_off,
        id=uuid4().hex,
        task_queue=engine.task_queue,
        schedule_to_close_timeout=timedelta(seconds=30),
    )

    assert await _everything(chat) == before


async def test_what_no_worker_can_replay_holds_up_nobody(
    client: Client, engine: Engine, simulator: ProviderSimulator
) -> None:
    providers = [simulated(simulator, "first")]
    async with running_engine(client, engine.settings.require_database_url(), uuid4().hex, providers) as left:
        lost = await left.chat()
    chat = await engine.chat()
    await lost.workflow.terminate()
    await _terminate(engine, chat.id)

    assert await engine.upkeep() == {"ended": 1, "left": 1}

    assert await _stored(engine, chat.id) == ("closed", "its workflow was terminated", 1)
