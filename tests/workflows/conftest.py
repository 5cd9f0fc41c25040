"""A worker on real servers for each test, on a task queue of its own."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tertulia.embedded.simulator import ProviderSimulator
from tests.engine import Engine, running_engine, simulated


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    """The providers `first`, `second` and `third`, which repeat what they are told unless scripted."""
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture
async def engine(client: Client, database: str, task_queue: str, simulator: ProviderSimulator) -> AsyncIterator[Engine]:
    providers = [simulated(simulator, name) for name in ("first", "second", "third")]
    async with running_engine(client, database, task_queue, providers) as running:
        yield running
