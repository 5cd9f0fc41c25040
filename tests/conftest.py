"""Real servers for the tests. Each starts when the first test asks for it, and none outlives the run."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.temporal import EmbeddedTemporal

# On a busy machine everything is slow; that says nothing of the code. Fixtures are shared by the examples of a test.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A PostgreSQL server, as its superuser."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres.dsn


@pytest.fixture(scope="session")
async def migrated_template(postgres_dsn: str) -> str:
    """The name of a migrated database to copy."""
    from tertulia.storage.migrations import migrate

    name = "template_tertulia"
    await _administer(postgres_dsn, f"create database {name}")
    await migrate(_of(postgres_dsn, name))
    return name


@pytest.fixture
async def database(postgres_dsn: str, migrated_template: str) -> AsyncIterator[str]:
    """The DSN of a migrated and empty database of the test's own."""
    name = f"test_{uuid4().hex}"
    await _administer(postgres_dsn, f"create database {name} template {migrated_template}")
    yield _of(postgres_dsn, name)
    await _administer(postgres_dsn, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    async with EmbeddedTemporal(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_address(temporal: EmbeddedTemporal) -> str:
    """host:port of a Temporal server that knows the search attributes."""
    return temporal.address


@pytest.fixture(scope="session")
async def client(temporal_address: str) -> Client:
    return await Client.connect(temporal_address, data_converter=pydantic_data_converter)


@pytest.fixture
def task_queue() -> str:
    """A task queue that no other test's worker listens to."""
    return f"test-{uuid4().hex}"


def _of(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


async def _administer(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
