"""Parts that are away for a while: the turn waits, and goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from temporalio.client import Client

from tertulia.domain.conversation import TurnStatus
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.simulator import Answer, ProviderSimulator
from tertulia.storage.migrations import migrate
from tests.engine import Chat, Engine, running_engine, simulated

# Longer than the retries of an activity last.
AWAY_S = 8


class Postgres:
    """A server that goes away and comes back when it is told to."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._running = AsyncExitStack()

    async def start(self) -> str:
        postgres = await self._running.enter_async_context(EmbeddedPostgres(self._data_dir))
        return postgres.dsn

    async def stop(self) -> None:
        await self._running.aclose()


@pytest.fixture
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    await server.stop()


@pytest.fixture
async def engine(
    client: Client, task_queue: str, postgres: Postgres, simulator: ProviderSimulator
) -> AsyncIterator[Engine]:
    dsn = await postgres.start()
    await migrate(dsn)
    providers = [simulated(simulator, name) for name in ("first", "second")]
    async with running_engine(client, dsn, task_queue, providers) as running:
        yield running


async def _is_whole(chat: Chat) -> None:
    transcript = [(message.seq, message.text) for message in await chat.transcript()]
    assert transcript[1:] == [(2, "Hello"), (3, "You said: Hello")]


async def test_a_turn_whose_message_cannot_be_stored_waits_for_postgres(engine: Engine, postgres: Postgres) -> None:
    chat = await engine.chat()
    await postgres.stop()
    sending = asyncio.create_task(chat.say("Hello"))
    await asyncio.sleep(AWAY_S)
    await postgres.start()
    assert (await sending).status is TurnStatus.ANSWERED
    await _is_whole(chat)


async def test_a_turn_that_loses_postgres_while_the_provider_answers_goes_on(
    engine: Engine, postgres: Postgres, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Answer(first_token_after_s=1)])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await simulator.asked()
    await postgres.stop()
    await asyncio.sleep(AWAY_S)
    await postgres.start()
    assert (await sending).provider == "first"
    await _is_whole(chat)
    assert len(simulator.log) == 1
