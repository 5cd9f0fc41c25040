"""A chat that goes quiet: its reminder, its going on, and its end. Days pass by skipping time on the real server."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tertulia.domain.errors import SessionClosed
from tertulia.domain.ids import SEARCH_ATTRIBUTES
from tertulia.embedded.simulator import ProviderSimulator
from tertulia.embedded.temporal import temporal_binary
from tests.engine import Chat, Engine, running_engine, simulated

DEFINITION = """
name: assistant
version: "1"
title: Assistant
initial: talking
timers: {reminder_after: 3d, expire_after: 14d}
prompts: {reminder: "Are you still there?", expired: Goodbye.}
states:
  talking: {say: Hello!, reply: Answer the last message.}
"""


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
async def engine(
    skipping: WorkflowEnvironment, database: str, task_queue: str, tmp_path: Path
) -> AsyncIterator[Engine]:
    (tmp_path / "assistant.yaml").write_text(DEFINITION)
    async with ProviderSimulator() as simulator:
        providers = [simulated(simulator, "only")]
        async with running_engine(skipping.client, database, task_queue, providers, tmp_path) as running:
            yield running


@pytest.fixture
async def chat(skipping: WorkflowEnvironment, engine: Engine) -> Chat:
    # Time is skipped only when a test says so.
    with skipping.with_time_skipping_disabled():
        return await engine.chat()


async def _said(chat: Chat) -> list[str]:
    return [message.text for message in await chat.transcript()]


async def test_a_quiet_chat_is_reminded_once_each_time_and_goes_on_where_it_was(
    skipping: WorkflowEnvironment, chat: Chat
) -> None:
    await chat.say("Hello")
    await skipping.fast_forward(chat.workflow, timedelta(days=5))
    assert (await _said(chat))[3:] == ["Are you still there?"]
    assert (await chat.say("Yes")).text == "You said: Yes"
    await skipping.fast_forward(chat.workflow, timedelta(days=4))
    assert (await _said(chat))[6:] == ["Are you still there?"]


async def test_a_message_in_time_puts_the_reminder_off(skipping: WorkflowEnvironment, chat: Chat) -> None:
    await skipping.fast_forward(chat.workflow, timedelta(days=2))
    await chat.say("Hello")
    await skipping.fast_forward(chat.workflow, timedelta(days=2))
    assert "Are you still there?" not in await _said(chat)
    await skipping.fast_forward(chat.workflow, timedelta(days=2))
    assert "Are you still there?" in await _said(chat)


async def test_a_chat_that_stays_quiet_expires_when_it_should(skipping: WorkflowEnvironment, chat: Chat) -> None:
    await chat.say("Hello")
    await skipping.fast_forward(chat.workflow, timedelta(days=13))
    assert (await chat.engine.sessions.view(chat.id)).status == "open"
    await skipping.fast_forward(chat.workflow, timedelta(days=2))
    assert (await _said(chat))[-2:] == ["Are you still there?", "Goodbye."]
    with pytest.raises(SessionClosed):
        await chat.say("Too late?")
