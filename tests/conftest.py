"""Real servers for the tests. Each starts when the first test asks for it, and none outlives the run."""

import os
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

# On a busy machine a worker may stand still for longer than the two seconds after which the SDK takes a workflow for
# hung, and breaks into whatever runs.
os.environ.setdefault("TEMPORAL_DEBUG", "1")

# On a busy machine everything is slow; that says nothing of the code. Fixtures are shared by the examples of a test.
# What is checked is the same everywhere; `make soak` looks for more.
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=2000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("check", settings.get_profile("soak"), max_examples=100, derandomize=True)
settings.load_profile("check")


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: many tests wait for processes, timers and sockets."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first, so that no core is left with it alone in the end."""
    items.sort(key=lambda item: not {"e2e", "provider_service"} & {*item.path.parts})


# In a session without triggers and foreign keys the order of the tables does not matter.
_EMPTY = """
DO $$
DECLARE
    each record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN
        SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
    LOOP
        EXECUTE format('DELETE FROM %I', each.name);
    END LOOP;
    FOR each IN SELECT sequencename AS name FROM pg_sequences WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', each.name);
    END LOOP;
END $$
"""


@pytest.fixture(scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A PostgreSQL server, as its superuser."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as postgres:
        # Nobody cuts this machine's power to see what is left, and each test makes a database.
        for setting in ("fsync", "full_page_writes"):
            await _administer(postgres.dsn, f"alter system set {setting} = off")
        await _administer(postgres.dsn, "select pg_reload_conf()")
        yield postgres.dsn


@pytest.fixture(scope="session")
async def migrated_template(postgres_dsn: str) -> str:
    """The name of a migrated database to copy."""
    from tertulia.storage.migrations import migrate

    name = "template_tertulia"
    await _administer(postgres_dsn, f"create database {name}")
    await migrate(_of(postgres_dsn, name))
    return name


@pytest.fixture(scope="session")
def emptied() -> list[str]:
    """The names of migrated databases that nobody uses any more: emptying one is quicker than copying one."""
    return []


@pytest.fixture
async def database(postgres_dsn: str, migrated_template: str, emptied: list[str]) -> AsyncIterator[str]:
    """The DSN of a migrated and empty database of the test's own; a test may not change its tables' columns."""
    name = f"test_{uuid4().hex}"
    if emptied:
        # Under another name nothing that the test before has left running can write into it.
        used = emptied.pop()
        await _leave(postgres_dsn, used)
        await _administer(postgres_dsn, f"alter database {used} rename to {name}")
    else:
        await _administer(postgres_dsn, f"create database {name} template {migrated_template}")
    yield _of(postgres_dsn, name)
    await _leave(postgres_dsn, name)
    await _administer(_of(postgres_dsn, name), _EMPTY)
    emptied.append(name)


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


async def _leave(dsn: str, database: str) -> None:
    """End whatever connections there are to a database, and wait for it."""
    ended = f"select pg_terminate_backend(pid, 30000) from pg_stat_activity where datname = '{database}'"
    await _administer(dsn, ended)
