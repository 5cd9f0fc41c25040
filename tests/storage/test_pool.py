"""Values on their way, and what it means when Postgres fails."""

import os
import signal
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import InvalidInput, Unavailable
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import Pool, connect, open_pool
from tertulia.storage.transcripts import PostgresTranscripts

from .examples import CHAT, begin, end, opened, said, shown
from .waiting import until_available

_SECRET = "Ada's secret"


# --- values -------------------------------------------------------------------------------------------------------

storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
storable_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | storable_text,
    lambda inner: st.lists(inner) | st.dictionaries(storable_text, inner),
)


@settings(max_examples=100)
@given(text=storable_text, value=storable_json)
async def test_values_come_back_as_they_were(pool: Pool, text: str, value: Any) -> None:
    async with pool.connection() as connection:
        row = await connection.fetchrow("SELECT $1::text AS text, $2::jsonb AS value", text, value)
    assert row is not None
    assert (row["text"], row["value"]) == (text, value)


@pytest.mark.parametrize(
    ("given", "stored"),
    [("a\0b", "a\ufffdb"), ("\ud83d!", "\ufffd!"), ("\\u0000", "\\u0000"), ("", "")],
)
async def test_a_text_that_cannot_be_stored_is_stored_with_replacements(pool: Pool, given: str, stored: str) -> None:
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT $1::text", given) == stored


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\\u0000", "\\u0000"),
        ("\\\0", "\\\ufffd"),
        ("\\\\u0000\0", "\\\\u0000\ufffd"),
        ({"\0": [float("nan"), float("inf")]}, {"\ufffd": [None, None]}),
    ],
)
async def test_json_that_cannot_be_stored_is_stored_with_replacements(pool: Pool, given: Any, stored: Any) -> None:
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", given) == stored


# --- failures -----------------------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Postgres"):
        async with open_pool(f"postgresql://nobody@/postgres?host={tmp_path}"):
            pass


async def test_a_database_that_is_not_there_is_unavailable(database: str) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        async with open_pool(database.replace("/test_", "/no_test_")):
            pass


async def test_an_address_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidInput, match="DATABASE_URL"):
        async with open_pool("mysql://somewhere"):
            pass


async def test_a_connection_lost_in_a_transaction_is_unavailable_and_nothing_is_half_stored(
    pool: Pool, database: str
) -> None:
    turns = await opened(pool)

    async def lose_the_connection() -> None:
        async with pool.transaction() as connection:
            await connection.execute("UPDATE sessions SET state = 'half'")
            await terminate(database, connection.get_server_pid())
            await connection.execute("UPDATE sessions SET state = 'whole'")

    with pytest.raises(Unavailable):
        await lose_the_connection()

    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT state FROM sessions") == "hello"
    await turns.end(end(0, shown(1, 0)))


async def test_a_connection_lost_between_two_uses_is_replaced(pool: Pool, database: str) -> None:
    async with pool.connection() as connection:
        await terminate(database, connection.get_server_pid())

    assert await until_available(partial(PostgresTranscripts(pool).messages, CHAT)) <= 1


@pytest.mark.parametrize("statement", ["SELECT 1", None], ids=["execute", "add_listener"])
async def test_a_lost_connection_of_ones_own_is_unavailable(database: str, statement: str | None) -> None:
    async def use_it_all_the_same() -> None:
        async with connect(database) as connection:
            connection.terminate()
            if statement:
                await connection.execute(statement)
            else:
                await connection.add_listener("anything", print)

    with pytest.raises(Unavailable, match="the connection was lost"):
        await use_it_all_the_same()


async def terminate(database: str, pid: int) -> None:
    """End a server process, and return when it has ended."""
    async with connect(database) as connection:
        assert await connection.fetchval("SELECT pg_terminate_backend($1, 10_000)", pid)


async def test_a_statement_that_takes_too_long_is_unavailable(pool: Pool) -> None:
    async def sleep() -> None:
        async with pool.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 10")
            await connection.execute("SELECT pg_sleep(10)")

    with pytest.raises(Unavailable, match="statement timeout"):
        await sleep()


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("SELECT $1::text::integer", [_SECRET]),
        ("SELECT $1::integer", [_SECRET]),
        ("SELECT $1::jsonb", [{"text": _SECRET + "\ud83d"}]),
        ("SELECT $1::text::jsonb", [_SECRET]),
        ("INSERT INTO definitions (hash, name, content) SELECT $1, '', '{}' FROM generate_series(1, 2)", [_SECRET]),
        ("INSERT INTO definitions (hash, name, content) VALUES ($1, NULL, '{}')", [_SECRET]),
        ("INSERT INTO provider_slots VALUES ($1, -1)", [_SECRET]),
    ],
)
async def test_errors_are_loud_but_quote_nothing_that_is_stored(
    pool: Pool, statement: str, arguments: list[Any]
) -> None:
    async def run() -> None:
        async with pool.connection() as connection:
            await connection.execute(statement, *arguments)

    with pytest.raises(asyncpg.PostgresError) as failed:
        await run()

    # `lookup_lines=False` leaves out the source, which quotes the parameters of this test.
    shown_to_people = "".join(
        traceback.TracebackException.from_exception(failed.value, lookup_lines=False).format_exception_only()
    )
    assert _SECRET not in shown_to_people
    assert _SECRET not in str(vars(failed.value))
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


async def test_postgres_killed_in_the_middle_of_turns_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    turns_before_each_kill, kills = 20, 2
    refused = 0
    async with EmbeddedPostgres(tmp_path) as postgres:
        await migrate(postgres.dsn)
        async with open_pool(postgres.dsn) as pool:
            turns = await opened(pool)
            for number in range(1, turns_before_each_kill * (kills + 1)):
                if number % turns_before_each_kill == 0:
                    os.kill(postgres.pid, signal.SIGKILL)
                begun = begin(number, said(f"m{number}", 2 * number - 1, number))
                ended = end(number, shown(2 * number, number), ids=[f"m{number}"])
                refused += await until_available(partial(turns.begin, begun))
                refused += await until_available(partial(turns.end, ended))
            messages = await PostgresTranscripts(pool).messages(CHAT, limit=1000)

    assert refused >= kills
    assert [message.seq for message in messages] == list(range(1, 2 * number + 1))
