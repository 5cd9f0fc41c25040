"""What happens to a message that arrives while a turn runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from tertulia.domain.conversation import IncomingMessage, Reply, TurnStatus
from tertulia.domain.errors import TooManyWaiting, TurnInProgress
from tertulia.embedded.simulator import Answer, BlackHole, ProviderSimulator
from tests.engine import Chat, running_engine, simulated

DEFINITION = """
name: assistant
version: "1"
title: Assistant
initial: talking
double_text: {policy}
limits: {{waiting_messages: 2}}
states:
  talking: {{say: Hello!, reply: Answer the last message.}}
"""


class Lab:
    """Opens chats under a policy, with a first turn that runs until it is let go."""

    def __init__(self, client: Client, database: str, task_queue: str, directory: Path) -> None:
        self._client = client
        self._database = database
        self._task_queue = task_queue
        self._directory = directory

    @asynccontextmanager
    async def busy_chat(
        self, policy: str, first: Answer | BlackHole
    ) -> AsyncIterator[tuple[Chat, asyncio.Task[Reply]]]:
        (self._directory / "assistant.yaml").write_text(DEFINITION.format(policy=policy))
        async with (
            ProviderSimulator() as simulator,
            running_engine(
                self._client, self._database, self._task_queue, [simulated(simulator, "only")], self._directory
            ) as engine,
        ):
            simulator.script("only", [first])
            chat = await engine.chat()
            busy = asyncio.create_task(chat.say("first", "m1"))
            await simulator.asked()
            yield chat, busy


@pytest.fixture
def lab(client: Client, database: str, task_queue: str, tmp_path: Path) -> Lab:
    return Lab(client, database, task_queue, tmp_path)


async def _take_in(chat: Chat) -> None:
    """Let two messages wait, in this order."""
    for text, message_id in (("second", "m2"), ("third", "m3")):
        await chat.engine.sessions.submit(chat.id, IncomingMessage(text=text, message_id=message_id))


SLOW = Answer(first_token_after_s=1.5)


async def test_queue_gives_every_message_a_turn_of_its_own(lab: Lab) -> None:
    async with lab.busy_chat("queue", SLOW) as (chat, busy):
        await _take_in(chat)
        later = await asyncio.gather(chat.say("second", "m2"), chat.say("third", "m3"))
        assert (await busy).turn == 1
        assert [(reply.turn, reply.text) for reply in later] == [(2, "You said: second"), (3, "You said: third")]


async def test_reject_refuses_until_the_turn_has_ended(lab: Lab) -> None:
    async with lab.busy_chat("reject", SLOW) as (chat, busy):
        with pytest.raises(TurnInProgress):
            await chat.say("second")
        assert (await chat.say("first", "m1")).turn == (await busy).turn == 1
        assert (await chat.say("second")).turn == 2


async def test_merge_answers_all_that_wait_in_one_turn(lab: Lab) -> None:
    async with lab.busy_chat("merge", SLOW) as (chat, busy):
        await _take_in(chat)
        later = await asyncio.gather(chat.say("second", "m2"), chat.say("third", "m3"))
        await busy
        assert {reply.turn for reply in later} == {2}
        assert [reply.message_id for reply in later] == ["m2", "m3"]
        assert [m.text for m in await chat.transcript() if m.turn == 2][:2] == ["second", "third"]
        assert (await chat.say("third", "m3")).turn == 2


async def test_interrupt_stops_the_running_call_and_takes_its_place(lab: Lab) -> None:
    async with lab.busy_chat("interrupt", BlackHole()) as (chat, busy):
        reply = await chat.say("second")
        assert (reply.turn, reply.text) == (2, "You said: first\n\nsecond")
        interrupted = await busy
        assert (interrupted.turn, interrupted.status, interrupted.text) == (1, TurnStatus.INTERRUPTED, "")


async def test_a_full_inbox_refuses(lab: Lab) -> None:
    async with lab.busy_chat("queue", SLOW) as (chat, busy):
        for number in (2, 3):
            await chat.engine.sessions.submit(chat.id, IncomingMessage(text="x", message_id=f"m{number}"))
        with pytest.raises(TooManyWaiting):
            await chat.say("one too many")
        with pytest.raises(TooManyWaiting):
            await chat.engine.sessions.submit(chat.id, IncomingMessage(text="one too many"))
        await busy
