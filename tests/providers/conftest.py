"""A provider that misbehaves on request, and the client that talks to it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tertulia.embedded.simulator import ProviderSimulator


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    # To load certificates, which nobody needs here, takes longer than most tests.
    async with httpx.AsyncClient(verify=False) as client:
        yield client
