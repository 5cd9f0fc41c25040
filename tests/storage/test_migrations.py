"""The schema and how it grows."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.errors import CannotStart, InvalidInput, Unavailable
from tertulia.domain.ids import SessionId, TenantId
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.migrations import MIGRATIONS, migrate
from tertulia.storage.pool import connect, open_pool
from tertulia.storage.transcripts import PostgresTranscripts


@asynccontextmanager
async def empty_database_of(postgres_dsn: str) -> AsyncIterator[str]:
    """Make a database with nothing in it, for as long as the block lasts."""
    name = f"empty_{uuid4().hex}"
    async with connect(postgres_dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database(postgres_dsn: str) -> AsyncIterator[str]:
    async with empty_database_of(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two migrations."""
    (tmp_path / "0001_birds.sql").write_text("CREATE TABLE birds (name text); CREATE TABLE nests (tree text);")
    (tmp_path / "0002_songs.sql").write_text("CREATE TABLE songs (title text);")
    return tmp_path


async def tables(dsn: str) -> set[str]:
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows} - {"schema_migrations"}


async def test_what_is_missing_is_applied_in_order(empty_database: str, directory: Path) -> None:
    assert await migrate(empty_database, directory=directory) == ["0001_birds", "0002_songs"]
    (directory / "0003_eggs.sql").write_text("CREATE TABLE eggs (colour text);")

    assert await migrate(empty_database, directory=directory) == ["0003_eggs"]

    assert await migrate(empty_database, directory=directory) == []
    assert await tables(empty_database) == {"birds", "nests", "songs", "eggs"}


async def test_processes_that_start_together_apply_each_migration_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(8)))

    once = sorted(file.stem for file in MIGRATIONS.glob("*.sql"))
    assert sorted(name for names in applied for name in names) == once


async def test_a_failing_migration_leaves_nothing_of_itself(empty_database: str, directory: Path) -> None:
    (directory / "0002_songs.sql").write_text("CREATE TABLE songs (title text); SELECT 1 / 0;")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database, directory=directory)

    assert await tables(empty_database) == {"birds", "nests"}
    (directory / "0002_songs.sql").write_text("CREATE TABLE songs (title text);")
    assert await migrate(empty_database, directory=directory) == ["0002_songs"]


async def test_an_edited_migration_is_refused_by_name(empty_database: str, directory: Path) -> None:
    await migrate(empty_database, directory=directory)
    (directory / "0001_birds.sql").write_text("CREATE TABLE birds (name text NOT NULL);")

    with pytest.raises(CannotStart, match="0001_birds was edited"):
        await migrate(empty_database, directory=directory)


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_database: str, directory: Path) -> None:
    await migrate(empty_database, directory=directory)
    (directory / "0002_songs.sql").rename(directory / "0000_nothing.sql")

    with pytest.raises(CannotStart, match=r"newer version of Tertulia \(0002_songs\)"):
        await migrate(empty_database, directory=directory)

    assert await tables(empty_database) == {"birds", "nests", "songs"}


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Postgres"):
        await migrate(f"postgresql://nobody@/postgres?host={tmp_path}")


async def test_an_address_that_cannot_be_read_is_refused_without_being_quoted() -> None:
    with pytest.raises(InvalidInput, match="DATABASE_URL") as refused:
        await migrate("postgresql://ada:s3cret/word@somewhere:port/database")

    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_attempts_from_before_the_ledger_outlived_sessions_are_kept(empty_database: str, tmp_path: Path) -> None:
    first, second, *_ = sorted(MIGRATIONS.glob("*.sql"))
    shutil.copy(first, tmp_path)
    await migrate(empty_database, directory=tmp_path)
    async with open_pool(empty_database) as pool, pool.connection() as connection:
        await connection.execute("""
            INSERT INTO definitions (hash, name, content) VALUES ('h', 'd', '{}');
            INSERT INTO sessions (session_id, tenant, user_id, channel, role, definition, definition_hash, context,
                                  state, status, owner, turn, latest_turn, slots, created_at, updated_at)
            VALUES ('chat', 'acme', 'ada', 'api', 'candidate', 'd', 'h', '{}', 's', 'open', 'bot', 1, 1, '{}',
                    now(), now());
            INSERT INTO turns (session_id, turn, status, message_ids, started_at)
            VALUES ('chat', 1, 'running', '[]', now());
            INSERT INTO attempts (session_id, turn, ask, provider, attempt, started_at, ended_at, latency_ms, cost_usd)
            VALUES ('chat', 1, 1, 'groq', 2, now(), now(), 5, 0.25), ('chat', 1, 1, 'groq', 3, now(), NULL, NULL, NULL);
        """)
    shutil.copy(second, tmp_path)

    await migrate(empty_database, directory=tmp_path)
    await migrate(empty_database)

    async with open_pool(empty_database) as pool:
        turn = await PostgresTranscripts(pool).turn(SessionId("chat"), 1)
    assert turn is not None
    answered, lost = turn.attempts
    assert (answered.key.attempt_id, answered.key.tenant) == ("chat/1/1/groq/2", "acme")
    assert answered.outcome is not None
    assert (answered.outcome.cost_usd, answered.outcome.cost_at_most_usd) == (Decimal("0.25"), Decimal("0.25"))
    assert (lost.key.attempt_id, lost.outcome) == ("chat/1/1/groq/3", None)


async def test_turns_from_before_there_were_figures_are_counted_as_far_as_they_are_known(
    empty_database: str, tmp_path: Path
) -> None:
    for migration in MIGRATIONS.glob("*.sql"):
        if migration.stem < "0011":
            shutil.copy(migration, tmp_path)
    await migrate(empty_database, directory=tmp_path)
    async with open_pool(empty_database) as pool, pool.connection() as connection:
        await connection.execute("""
            INSERT INTO definitions (hash, name, content) VALUES ('h', 'd', '{}');
            INSERT INTO sessions (session_id, tenant, user_id, channel, role, definition, definition_hash, context,
                                  state, status, owner, turn, latest_turn, slots, next_action, created_at, updated_at)
            VALUES ('chat', 'acme', 'ada', 'web', 'candidate', 'd', 'h', '{}', 's', 'open', 'human', 2, 2, '{}',
                    '{"kind": "answer"}', '2026-03-01T10:00Z', '2026-03-01T10:03Z');
            INSERT INTO turns (session_id, turn, status, message_ids, reply, started_at, ended_at)
            VALUES ('chat', 0, 'answered', '[]', '{}', '2026-03-01T10:00Z', '2026-03-01T10:00Z'),
                   ('chat', 1, 'answered', '["m"]', '{"next_action": {"slot": "name"}}',
                    '2026-03-01T10:02Z', '2026-03-01T10:02:01.5Z'),
                   ('chat', 2, 'answered', '[]', '{}', '2026-03-01T10:03Z', '2026-03-01T10:03Z');
            INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
            VALUES ('chat', 1, 0, 'assistant', 'Hello', '2026-03-01T10:00Z', NULL, 1),
                   ('chat', 2, 1, 'user', 'Hi', '2026-03-01T10:02Z', 'm', 2),
                   ('chat', 3, 1, 'assistant', 'Who are you?', '2026-03-01T10:02:01Z', NULL, 3);
        """)

    await migrate(empty_database)

    of = Selection(
        tenant=TenantId("acme"), since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 3, 2, tzinfo=UTC)
    )
    async with open_pool(empty_database) as pool:
        analytics = PostgresAnalytics(pool)
        (volume,) = await analytics.volumes(of, By.ALL)
        (replies,) = await analytics.response_times(of, ByDay.ALL)
        (slot,) = await analytics.slots(of)
        (outcome,) = await analytics.outcomes(of, ByDay.ALL)
        assert await analytics.funnel(of) == []
    assert (volume.channel, volume.sessions, volume.turns) == ("web", 1, 3)
    assert (volume.from_person, volume.from_assistant) == (1, 2)
    assert (replies.replies, replies.p50_ms) == (1, 1500)
    assert (slot.slot, slot.asked, slot.heard) == ("name", 1, 0)
    assert outcome.handed_over == 1
