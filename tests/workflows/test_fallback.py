"""The providers' part in a turn: who is asked how often, what is waited for, and what ends the wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from tertulia.domain.conversation import Close, SessionStatus, TurnStatus
from tertulia.domain.errors import FailureClass, NotAdmitted
from tertulia.domain.ids import MessageId, ProviderName
from tertulia.domain.turns import TurnWaits
from tertulia.embedded.simulator import BlackHole, Exchange, ProviderSimulator, Status
from tertulia.storage.session_events import PostgresSessionEvents
from tests.engine import DEFINITIONS, Engine, running_engine, simulated

NAMES = ("first", "second", "third")
# Within a turn's patience, and longer than any test lasts.
LATER = Status(429, retry_after_s=100)


class Lab:
    """Runs engines whose providers are asked once before the next one is."""

    def __init__(self, client: Client, database: str, task_queue: str, simulator: ProviderSimulator) -> None:
        self._client = client
        self._database = database
        self._task_queue = task_queue
        self._simulator = simulator

    @asynccontextmanager
    async def engine(self, definitions: Path = DEFINITIONS, **settings: Any) -> AsyncIterator[Engine]:
        providers = [simulated(self._simulator, name).model_copy(update={"max_retries": 0}) for name in NAMES]
        async with running_engine(
            self._client, self._database, self._task_queue, providers, definitions, **settings
        ) as engine:
            yield engine

    def refuse(self, status: Status) -> None:
        """Let every provider refuse once."""
        for name in NAMES:
            self._simulator.script(name, [status])


@pytest.fixture
def lab(client: Client, database: str, task_queue: str, simulator: ProviderSimulator) -> Lab:
    return Lab(client, database, task_queue, simulator)


def _asked(log: Sequence[Exchange]) -> list[str]:
    return [exchange.model for exchange in log]


async def test_four_failed_attempts_end_a_turn_and_every_provider_is_asked(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    for name in NAMES:
        simulator.always(name, Status(500))
    chat = await engine.chat()

    reply = await chat.say("Hello")

    assert (reply.status, reply.next_action.kind) == (TurnStatus.FAILED, "retry")
    assert sorted(_asked(simulator.log)) == ["first", "first", "second", "third"]
    tried = (await chat.turn(1)).tried
    assert {each.provider: each.attempts for each in tried} == {"first": 2, "second": 1, "third": 1}
    assert {each.failure for each in tried} == {FailureClass.SERVER}


async def test_an_application_chooses_its_providers(lab: Lab, tmp_path: Path, simulator: ProviderSimulator) -> None:
    plain = (DEFINITIONS / "assistant.yaml").read_text()
    chosen = "providers: {prefer: [third], only: [third, second]}"
    (tmp_path / "assistant.yaml").write_text(f"{plain}\n{chosen}\n")
    simulator.script("third", [Status(500), Status(500)])
    async with lab.engine(tmp_path) as engine:
        chat = await engine.chat()
        reply = await chat.say("Hello")
        turn = await chat.turn(1)

    assert reply.provider == "second"
    assert [each.provider for each in turn.tried] == ["third", "second"]
    assert {each.provider: each.reason for each in turn.passed_over} == {"first": "the application does not use it"}


async def test_what_failed_attempts_can_have_cost_is_told(
    client: Client, database: str, task_queue: str, simulator: ProviderSimulator
) -> None:
    priced = simulated(simulator, "first").model_copy(
        update={"input_price": Decimal(1), "output_price": Decimal(1), "max_retries": 1}
    )
    simulator.script("first", [Status(500), Status(500)])
    async with running_engine(client, database, task_queue, [priced, simulated(simulator, "second")]) as engine:
        chat = await engine.chat()
        assert (await chat.say("Hello")).provider == "second"
        turn = await chat.turn(1)

    failed = [attempt.outcome for attempt in turn.attempts if attempt.key.provider == "first"]
    assert len(failed) == 2
    assert turn.tried[0].wasted_usd == sum(outcome.cost_at_most_usd or 0 for outcome in failed if outcome) > 0


async def test_a_turn_sleeps_until_the_first_gate_opens_and_is_answered_then(
    lab: Lab, simulator: ProviderSimulator
) -> None:
    lab.refuse(Status(429, retry_after_s=2))
    async with lab.engine() as engine:
        chat = await engine.chat()

        reply = await chat.say("Hello")

        assert (reply.status, reply.text) == (TurnStatus.ANSWERED, "You said: Hello")
        assert _asked(simulator.log)[:3] == ["first", "second", "third"]
        answered = simulator.log[3]
        refused = next(exchange for exchange in simulator.log if exchange.model == answered.model)
        assert answered.at - refused.at >= timedelta(seconds=2)
        turn = await chat.turn(1)
        assert [(each.provider, each.failure) for each in turn.tried] == [
            *((name, FailureClass.RATE_LIMIT) for name in NAMES),
            (answered.model, None),
        ]


async def test_a_turn_in_which_nobody_can_be_asked_waits_for_the_gate_that_an_earlier_one_has_closed(
    lab: Lab, simulator: ProviderSimulator
) -> None:
    lab.refuse(Status(429, retry_after_s=3))
    async with lab.engine() as engine:
        first, second = await engine.chat(), await engine.chat()
        waiting = asyncio.create_task(first.say("Hello"))
        await first.waits()

        reply = await second.say("Hello")

        assert (reply.text, (await second.turn(1)).tried[0].failure) == ("You said: Hello", None)
        assert (await waiting).status is TurnStatus.ANSWERED
        assert len(simulator.log) == 5


async def test_a_turn_that_waits_says_until_when(lab: Lab, database: str) -> None:
    lab.refuse(LATER)
    async with lab.engine() as engine, PostgresSessionEvents(engine.pool, database) as events:
        chat = await engine.chat()
        following = events.follow_message(chat.id, MessageId("m1"))
        sending = asyncio.create_task(chat.say("Hello", "m1"))

        until = await chat.waits()

        told = [(await anext(following)).event for _ in range(3)]
        assert told[-1] == TurnWaits(turn=1, resumes_at=until)
        assert (await chat.turn(1)).resumes_at == until
        metadata = await chat.workflow.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        assert f"waits for a provider until {until:%H:%M:%S} UTC" in metadata.current_details
        await engine.sessions.cancel_turn(chat.id)
        await sending


async def test_a_turn_that_waits_can_be_cancelled_and_the_session_goes_on(lab: Lab) -> None:
    lab.refuse(LATER)
    async with lab.engine(provider_patience=110) as engine:
        chat = await engine.chat()
        sending = asyncio.create_task(chat.say("Hello"))
        await chat.waits()

        assert await engine.sessions.cancel_turn(chat.id)

        assert (await sending).status is TurnStatus.CANCELLED
        view = await engine.sessions.view(chat.id)
        assert (view.running, view.status) == (None, SessionStatus.OPEN)


async def test_a_turn_that_waits_gives_way_to_a_later_message(lab: Lab, tmp_path: Path) -> None:
    definition = (DEFINITIONS / "assistant.yaml").read_text()
    (tmp_path / "assistant.yaml").write_text(definition + "double_text: interrupt\n")
    lab.refuse(LATER)
    async with lab.engine(tmp_path) as engine:
        chat = await engine.chat()
        sending = asyncio.create_task(chat.say("first"))
        await chat.waits()

        later = asyncio.create_task(chat.say("second"))

        assert (await sending).status is TurnStatus.INTERRUPTED
        await chat.waits()
        await engine.sessions.cancel_turn(chat.id)
        assert (await later).turn == 2


async def test_a_turn_that_waits_gives_up_when_the_session_is_to_close(lab: Lab) -> None:
    lab.refuse(LATER)
    async with lab.engine() as engine:
        chat = await engine.chat()
        sending = asyncio.create_task(chat.say("Hello"))
        await chat.waits()

        await engine.sessions.close(chat.id, Close())

        reply = await sending
        assert reply.status is TurnStatus.FAILED
        assert reply.text


async def test_a_turn_does_not_wait_beyond_its_patience(lab: Lab, simulator: ProviderSimulator) -> None:
    lab.refuse(LATER)
    async with lab.engine(provider_patience=60) as engine:
        chat = await engine.chat()

        reply = await chat.say("Hello")

        assert reply.status is TurnStatus.FAILED
        assert _asked(simulator.log) == list(NAMES)
        assert (await chat.turn(1)).resumes_at is None


async def test_a_turn_goes_on_waiting_on_another_worker(lab: Lab, client: Client, simulator: ProviderSimulator) -> None:
    lab.refuse(Status(429, retry_after_s=6))
    async with lab.engine() as engine:
        chat = await engine.chat()
        sending = asyncio.create_task(chat.say("Hello"))
        until = await chat.waits()
    async with lab.engine() as engine:
        assert (await sending).status is TurnStatus.ANSWERED
        assert simulator.log[-1].at >= until


async def test_who_does_not_admit_a_call_is_passed_over_and_no_attempt_is_counted(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    attempt = engine.providers.attempt

    async def first_has_no_room(key: Any, *arguments: Any, **options: Any) -> Any:
        if key.provider == "first":
            raise NotAdmitted(ProviderName("first"), "no room")
        return await attempt(key, *arguments, **options)

    chat = await engine.chat()
    with patch.object(engine.providers, "attempt", first_has_no_room):
        reply = await chat.say("Hello")

    assert reply.provider == "second"
    assert _asked(simulator.log) == ["second"]
    turn = await chat.turn(1)
    assert [(each.provider, each.attempts) for each in turn.tried] == [("second", 1)]
    assert [(each.provider, each.reason) for each in turn.passed_over] == [("first", "no room")]


async def test_where_a_retry_is_not_admitted_the_failure_that_it_was_to_mend_stands(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Status(500)])
    attempt = engine.providers.attempt

    async def once_each(key: Any, *arguments: Any, **options: Any) -> Any:
        if key.attempt > 1:
            raise NotAdmitted(key.provider, "too many retries")
        return await attempt(key, *arguments, **options)

    chat = await engine.chat()
    with patch.object(engine.providers, "attempt", once_each):
        reply = await chat.say("Hello")

    assert reply.provider == "second"
    tried = (await chat.turn(1)).tried
    assert [(each.provider, each.failure, each.attempts) for each in tried] == [
        ("first", FailureClass.SERVER, 1),
        ("second", None, 1),
    ]


async def test_a_call_that_a_stopping_worker_cuts_off_is_handed_over_at_once(
    lab: Lab, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    with patch("worker._DRAIN", timedelta(seconds=1)):
        async with lab.engine() as engine:
            chat = await engine.chat()
            sending = asyncio.create_task(chat.say("Hello"))
            await simulator.asked()
    async with lab.engine() as engine:
        assert (await sending).provider == "first"
        turn = await engine.transcripts.turn(chat.id, 1)
        outcomes = [attempt.outcome for attempt in turn.attempts] if turn else []

    assert [outcome.failure for outcome in outcomes if outcome] == [FailureClass.CANCELLED, None]
    ends = [event.event_type async for event in chat.workflow.fetch_history_events()]
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED in ends
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT not in ends


async def test_a_fault_of_ours_is_told_as_such_and_the_next_provider_is_asked(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    attempt = engine.providers.attempt

    async def broken_for_the_first(key: Any, *arguments: Any, **options: Any) -> Any:
        if key.provider == "first":
            raise KeyError("a secret")
        return await attempt(key, *arguments, **options)

    chat = await engine.chat()
    with patch.object(engine.providers, "attempt", broken_for_the_first):
        reply = await chat.say("Hello")

    assert reply.provider == "second"
    failed = (await chat.turn(1)).tried[0]
    assert (failed.provider, failed.failure, failed.detail) == ("first", FailureClass.INTERNAL, "KeyError")
