"""A pool on a migrated, empty database, and the stores of the provider service on it and in memory."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from pydantic import SecretStr

from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.budgets import PostgresBudgets
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.provider_configs import PostgresProviderConfigs
from tertulia.storage.provider_metrics import PostgresProviderMetrics
from tertulia.storage.provider_states import PostgresProviderStates
from tests.provider_memory import (
    InMemoryAttempts,
    InMemoryBudgets,
    InMemoryProviderConfigs,
    InMemoryProviderMetrics,
    InMemoryProviderStates,
    News,
)

from .provider_examples import SECRET, Stores


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database) as pool:
        yield pool


@pytest.fixture
def tenant_daily_usd() -> Decimal | None:
    """What tenants without a budget of their own may spend; tests give it by parametrizing."""
    return None


@pytest.fixture
def memory_stores(tenant_daily_usd: Decimal | None) -> Stores:
    attempts, news = InMemoryAttempts(tenant_daily_usd=tenant_daily_usd), News()
    states = InMemoryProviderStates(attempts, news)
    return Stores(
        attempts=attempts,
        states=states,
        configs=InMemoryProviderConfigs(news, SecretStr(SECRET)),
        unsealed_configs=InMemoryProviderConfigs(news),
        metrics=InMemoryProviderMetrics(attempts, states),
        budgets=InMemoryBudgets(attempts),
    )


@pytest.fixture
def postgres_stores(pool: Pool, database: str, tenant_daily_usd: Decimal | None) -> Stores:
    return Stores(
        attempts=PostgresAttempts(pool, tenant_daily_usd=tenant_daily_usd),
        states=PostgresProviderStates(pool, database),
        configs=PostgresProviderConfigs(pool, SecretStr(SECRET)),
        unsealed_configs=PostgresProviderConfigs(pool, None),
        metrics=PostgresProviderMetrics(pool),
        budgets=PostgresBudgets(pool, tenant_daily_usd=tenant_daily_usd),
    )


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """The stores of the provider service, which behave alike wherever they keep things."""
    stores = request.getfixturevalue(f"{request.param}_stores")
    assert isinstance(stores, Stores)
    return stores
