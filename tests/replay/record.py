"""Record the histories that `test_replay.py` replays (`make record-history`); a scenario is one way a session goes."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr
from temporalio.client import WorkflowHandle

from starter.channel_intake import DurableIntake
from starter.couriers import TemporalCouriers
from tertulia.composition import purposes, webhooks
from tertulia.domain.channels import ChannelName, ChatId, session_id_of_chat
from tertulia.domain.conversation import (
    Close,
    EditSlot,
    HandOverToHuman,
    IncomingMessage,
    OpenSession,
    OperatorMessage,
    Regenerate,
    TakeBack,
    Undo,
)
from tertulia.domain.ids import SessionId
from tertulia.embedded.messengers import Refuse, TelegramSimulator
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.simulator import BlackHole, ProviderSimulator, Status
from tertulia.embedded.temporal import EmbeddedTemporal
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.migrations import migrate
from tertulia.storage.outbox import PostgresOutbox
from tertulia.temporal import connect
from tests.engine import Chat, Engine, running_engine, simulated
from tests.recruiting_script import EXCHANGES, RESUME
from workflows.provider_health import ProviderHealthCheck

HISTORIES = Path(__file__).parent / "histories"
DEFINITION = """
name: assistant
version: "1"
title: Assistant
initial: talking
timers: {reminder_after: 2s, expire_after: 4s}
states:
  talking: {say: Hello!, reply: Answer the last message.}
"""

Recorded = WorkflowHandle[object, object]


async def plain_turn(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat()
    await chat.say("Hello")
    return await _closed(chat)


async def prescreen(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat("recruiting")
    for exchange in EXCHANGES:
        await chat.say(exchange.answer)
    return await _closed(chat)


async def fallback(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    simulator.script("first", [Status(code=500), Status(code=401)])
    chat = await engine.chat()
    await chat.say("Hello")
    return await _closed(chat)


async def all_fail(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    for name in ("first", "second"):
        simulator.script(name, [Status(code=401)])
    chat = await engine.chat()
    await chat.say("Hello")
    await chat.say("Hello?")
    return await _closed(chat)


async def waiting(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    for name in ("first", "second"):
        simulator.script(name, [Status(code=429, retry_after_s=12)])
    chat = await engine.chat()
    await chat.say("Hello")
    return await _closed(chat)


async def closed_while_waiting(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    for name in ("first", "second"):
        simulator.script(name, [Status(code=429, retry_after_s=60)])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await chat.waits()
    closed = await _closed(chat)
    await sending
    return closed


async def continue_as_new(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    for number in range(5):
        await chat.say(f"text {number}", f"m{number}")
    await chat.say("text 0", "m0")
    return await _closed(chat)


async def cancel(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await simulator.asked()
    await engine.sessions.cancel_turn(chat.id)
    await sending
    return await _closed(chat)


async def refused_signals(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat()
    await chat.workflow.signal("message", {"txt": "?"})
    await chat.workflow.signal("no such signal")
    await chat.workflow.signal("message", {"text": "Hello", "message_id": "m1"})
    return await _closed(chat)


async def reminder(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat("quiet")
    await chat.say("Hello")
    await chat.workflow.result()
    return chat.workflow


async def people_in_the_loop(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    chat = await engine.chat(sessions=engine.with_turns_per_run(4))
    await chat.say("Hello")
    await engine.sessions.order(chat.id, Regenerate())
    await engine.sessions.order(chat.id, Undo())
    for name in ("first", "second"):
        simulator.always(name, BlackHole())
    sending = asyncio.create_task(chat.say("Hello?"))
    await simulator.asked(3)
    await engine.sessions.order(chat.id, HandOverToHuman())
    await sending
    await chat.say("Is anybody there?")
    await engine.sessions.order(chat.id, OperatorMessage(text="I am."))
    await engine.sessions.order(chat.id, TakeBack())
    return await _closed(chat)


async def edited(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await engine.sessions.order(chat.id, EditSlot(slot="name", value="Ada Byron", request_id="e1"))
    await engine.sessions.order(chat.id, EditSlot(slot="name", value="Ada Byron", request_id="e1"))
    return await _closed(chat)


async def messenger(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await _chat_on_telegram(engine)
    await chat.say("Hello")
    return await _closed(chat)


async def left_without_turn(engine: Engine, simulator: ProviderSimulator) -> Recorded:
    simulator.script("first", [BlackHole()])
    chat = await _chat_on_telegram(engine)
    for text in ("Hello", "and one thing more"):
        await engine.sessions.submit(chat.id, IncomingMessage(text=text))
    await simulator.asked()
    await chat.workflow.cancel()
    await chat.workflow.result()
    return chat.workflow


async def channel_intake(engine: Engine, _: ProviderSimulator) -> Recorded:
    async with _on_telegram(engine) as (channels, telegram):
        hello, resume = telegram.text(7001, "Hello"), telegram.document(7001, RESUME.encode(), name="cv.txt")
        chat_id = await _take_in(channels, hello, resume, telegram.document(7001, b"\0", name="none.bin"))
        return await _ended(channels, f"intake/{chat_id}")


async def channel_delivery(engine: Engine, _: ProviderSimulator) -> Recorded:
    async with _on_telegram(engine) as (channels, telegram):
        telegram.sending.react(Refuse(500), Refuse(403))
        chat_id = await _take_in(channels, telegram.text(7001, "Hello"))
        await _ended(channels, f"intake/{chat_id}")
        # The greeting, refused twice, and the reply.
        await telegram.sending.until(lambda: telegram.sending.attempts == 3)
        return await _ended(channels, f"delivery/{session_id_of_chat(chat_id, 1)}")


async def errand(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await chat.say("Which jobs are open?")
    return await _closed(chat)


async def health(engine: Engine, _: ProviderSimulator) -> Recorded:
    handle = await engine.client.start_workflow(
        ProviderHealthCheck.run, id=uuid4().hex, task_queue=engine.task_queue, execution_timeout=timedelta(minutes=1)
    )
    await handle.result()
    return engine.client.get_workflow_handle(handle.id)


async def session_upkeep(engine: Engine, _: ProviderSimulator) -> Recorded:
    chat = await engine.chat()
    await chat.workflow.terminate()
    while not (await engine.upkeep("upkeep"))["ended"]:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return engine.client.get_workflow_handle("upkeep")


SCENARIOS: tuple[Callable[[Engine, ProviderSimulator], Awaitable[Recorded]], ...] = (
    plain_turn,
    prescreen,
    fallback,
    all_fail,
    waiting,
    closed_while_waiting,
    continue_as_new,
    cancel,
    refused_signals,
    reminder,
    people_in_the_loop,
    edited,
    messenger,
    left_without_turn,
    channel_intake,
    channel_delivery,
    errand,
    health,
    session_upkeep,
)


@asynccontextmanager
async def _on_telegram(engine: Engine) -> AsyncIterator[tuple[Engine, TelegramSimulator]]:
    """Run one more worker, on a task queue of its own, that reaches a messenger."""
    async with TelegramSimulator() as telegram:
        account = {
            "telegram_bot_token": SecretStr(telegram.bot_token),
            "telegram_webhook_secret": SecretStr(telegram.webhook_secret),
            "telegram_api_url": telegram.url,
            "telegram_definition": "assistant",
        }
        settings = engine.settings
        async with running_engine(
            engine.client,
            settings.require_database_url(),
            "channels",
            settings.providers,
            settings.definitions_dir,
            **account,
        ) as channels:
            yield channels, telegram


async def _take_in(channels: Engine, *updates: bytes) -> ChatId:
    """Take in what Telegram delivers; return the chat of it."""
    couriers = TemporalCouriers(channels.client, task_queue=channels.task_queue)
    inbox, outbox = PostgresChannelInbox(channels.pool), PostgresOutbox(channels.pool)
    webhook = webhooks(channels.settings)[ChannelName.TELEGRAM]
    intake = DurableIntake(inbox, outbox, couriers, purposes(channels.settings))
    for update in updates:
        await intake.take(webhook, webhook.read(update))
    (row,) = await channels.rows("SELECT chat_id FROM channel_chats")
    return ChatId(row["chat_id"])


async def _chat_on_telegram(engine: Engine) -> Chat:
    session_id = SessionId(uuid4().hex)
    opening = OpenSession(definition="assistant", user_id="somebody", channel="telegram")
    return Chat(engine, session_id, await engine.sessions.open(session_id, opening))


async def _ended(engine: Engine, workflow_id: str) -> Recorded:
    handle = engine.client.get_workflow_handle(workflow_id)
    await handle.result()
    return handle


async def _closed(chat: Chat) -> Recorded:
    await chat.engine.sessions.close(chat.id, Close())
    return chat.workflow


@asynccontextmanager
async def _engine(directory: Path, temporal: EmbeddedTemporal, simulator: ProviderSimulator) -> AsyncIterator[Engine]:
    """Run on a database of its own: what providers have done in one scenario counts in no other."""
    async with EmbeddedPostgres(directory / f"postgres-{uuid4().hex[:8]}") as postgres:
        await migrate(postgres.dsn)
        providers = [simulated(simulator, name) for name in ("first", "second")]
        client = await connect(temporal.address)
        definitions = directory / "definitions"
        async with running_engine(client, postgres.dsn, "tertulia", providers, definitions) as engine:
            yield engine


def _write_definitions(directory: Path) -> None:
    directory.mkdir()
    for name in ("assistant", "recruiting"):
        (directory / f"{name}.yaml").write_bytes((Path("definitions") / f"{name}.yaml").read_bytes())
    (directory / "quiet.yaml").write_text(DEFINITION.replace("name: assistant", "name: quiet"))


async def record(*names: str) -> None:
    """Run every scenario, or those of these names, and write down each run of its workflow."""
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        _write_definitions(directory / "definitions")
        async with EmbeddedTemporal(directory / "temporal") as temporal:
            for scenario in (each for each in SCENARIOS if not names or each.__name__ in names):
                async with ProviderSimulator() as simulator, _engine(directory, temporal, simulator) as engine:
                    handle = await scenario(engine, simulator)
                    await _write(engine, scenario.__name__, handle.id)


async def _write(engine: Engine, name: str, workflow_id: str) -> None:
    runs = [run async for run in engine.client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    for number, run in enumerate(sorted(runs, key=lambda run: run.start_time), start=1):
        handle = engine.client.get_workflow_handle(workflow_id, run_id=run.run_id)
        history = await handle.fetch_history()
        (HISTORIES / f"{name}-{number}.json").write_text(history.to_json() + "\n")


if __name__ == "__main__":
    asyncio.run(record(*sys.argv[1:]))
