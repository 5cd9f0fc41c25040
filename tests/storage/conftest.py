"""A pool on a migrated, empty database."""

from collections.abc import AsyncIterator

import pytest

from tertulia.storage.pool import Pool, open_pool


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database) as pool:
        yield pool
