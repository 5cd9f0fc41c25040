"""WhatsApp's 24 hours: what comes later waits, goes as the template, or not at all. Days pass by skipping time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tertulia.domain.conversation import HandOverToHuman, OperatorMessage
from tertulia.domain.ids import SEARCH_ATTRIBUTES, SessionId, workflow_id
from tertulia.embedded.messengers import TelegramSimulator, WhatsAppSimulator
from tertulia.embedded.messengers.whatsapp import TEMPLATE
from tertulia.embedded.temporal import temporal_binary
from tests.channels.world import World, channel_world

PHONE = "34600000001"
DEFINITION = """
name: assistant
version: "1"
title: Assistant
initial: talking
timers: {reminder_after: 30h, expire_after: 90d}
prompts: {reminder: "Are you still there?", expired: Goodbye.}
states:
  talking: {say: Hello!, reply: Answer the last message.}
"""


class Clock:
    """The platform's clock, which goes forward with the time that a test skips."""

    def __init__(self) -> None:
        self.skipped = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.skipped


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        search_attributes=[SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES],
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
    )
    async with environment:
        yield environment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def whatsapp(clock: Clock) -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator(now=clock) as platform:
        yield platform


@pytest.fixture
async def world(
    skipping: WorkflowEnvironment,
    database: str,
    task_queue: str,
    telegram: TelegramSimulator,
    whatsapp: WhatsAppSimulator,
    settings: dict[str, object],
    tmp_path: Path,
) -> AsyncIterator[World]:
    (tmp_path / "assistant.yaml").write_text(DEFINITION)
    given = {"whatsapp_definition": "assistant"} | settings
    with skipping.with_time_skipping_disabled():
        async with channel_world(skipping.client, database, task_queue, telegram, whatsapp, given, tmp_path) as world:
            yield world


@pytest.fixture
async def session(world: World) -> SessionId:
    """The session of somebody who has just written."""
    await world.whatsapp.deliver(world.whatsapp.text(PHONE, "Hello"))
    await world.carried()
    (session,) = await world.sessions()
    return session


@pytest.fixture
def quiet_for_31_hours(skipping: WorkflowEnvironment, world: World, session: SessionId, clock: Clock) -> "Skip":
    return Skip(skipping, world, session, clock)


class Skip:
    """Lets time pass for a session, the platform and all."""

    def __init__(self, skipping: WorkflowEnvironment, world: World, session: SessionId, clock: Clock) -> None:
        self._skipping, self._world, self._session, self._clock = skipping, world, session, clock

    async def __call__(self) -> None:
        handle = self._world.engine.client.get_workflow_handle(workflow_id(self._session))
        self._clock.skipped += timedelta(hours=31)
        await self._skipping.fast_forward(handle, timedelta(hours=31))
        await self._world.carried()


async def _statuses(world: World, session: SessionId) -> list[object]:
    return [delivery["status"] for delivery in await world.deliveries(session)]


async def test_a_late_reminder_is_skipped_and_recorded_as_such(
    world: World, session: SessionId, quiet_for_31_hours: Skip
) -> None:
    await quiet_for_31_hours()

    assert (await world.shown(session))[-1] == "Are you still there?"
    assert (await _statuses(world, session))[-1] == "skipped"
    assert [sent.text for sent in world.whatsapp.sending.to(PHONE)] == ["Hello!", "You said: Hello"]


async def test_what_an_operator_says_late_is_held_until_the_person_writes_and_then_goes_first(
    world: World, session: SessionId, quiet_for_31_hours: Skip
) -> None:
    await quiet_for_31_hours()
    await world.engine.sessions.order(session, HandOverToHuman(operator="eve"))
    await world.engine.sessions.order(session, OperatorMessage(operator="eve", text="We have news for you."))
    await world.carried()
    assert (await _statuses(world, session))[-1] == "held"
    attempts = world.whatsapp.sending.attempts

    await world.whatsapp.deliver(world.whatsapp.text(PHONE, "Sorry, I was away"))
    await world.whatsapp.sending.until(lambda: world.whatsapp.sending.attempts > attempts)
    await world.carried()

    assert world.whatsapp.sending.to(PHONE)[-1].text == "We have news for you."
    assert "held" not in await _statuses(world, session)


@pytest.mark.parametrize("settings", [{"whatsapp_template": TEMPLATE}])
async def test_with_a_template_what_is_late_goes_by_it(
    world: World, session: SessionId, quiet_for_31_hours: Skip
) -> None:
    await quiet_for_31_hours()

    reminder = world.whatsapp.sending.to(PHONE)[-1]
    assert (reminder.text, reminder.template) == ("Are you still there?", TEMPLATE)
    assert (await world.deliveries(session))[-1]["by_template"] is True


async def test_where_the_platform_finds_a_message_late_its_clock_counts(world: World, session: SessionId) -> None:
    whatsapp = world.whatsapp
    whatsapp.receipts = ()
    await whatsapp.deliver(whatsapp.text(PHONE, "Are you there?"))
    await world.carried()
    reply = whatsapp.sending.to(PHONE)[-1]

    await whatsapp.webhook.deliver(whatsapp.receipt(reply, "failed", code=131047))
    await world.carried()
    assert (await _statuses(world, session))[-1] == "held"

    await whatsapp.deliver(whatsapp.text(PHONE, "Hello?"))
    await world.carried()
    assert [sent.text for sent in whatsapp.sending.to(PHONE)][-2:] == [reply.text, "You said: Hello?"]
