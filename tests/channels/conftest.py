"""The engine with its API behind simulated messengers, all on real servers."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tertulia.embedded.messengers import TelegramSimulator, WhatsAppSimulator
from tests.channels.world import World, channel_world


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as platform:
        yield platform


@pytest.fixture
async def whatsapp() -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator() as platform:
        yield platform


@pytest.fixture
def settings() -> dict[str, object]:
    """What a test's file sets otherwise."""
    return {}


@pytest.fixture
async def world(
    client: Client,
    database: str,
    task_queue: str,
    telegram: TelegramSimulator,
    whatsapp: WhatsAppSimulator,
    settings: dict[str, object],
) -> AsyncIterator[World]:
    async with channel_world(client, database, task_queue, telegram, whatsapp, settings) as world:
        yield world
