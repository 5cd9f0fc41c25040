"""Connections to Postgres, and how values travel over them."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic_core import from_json, to_json

from tertulia.domain.errors import InvalidInput, Unavailable
from tertulia.storage import failures

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"

# These stay below the time limit of the activities that write, which so learn what is wrong.
_CONNECT_TIMEOUT = timedelta(seconds=4)
_STATEMENT_TIMEOUT = timedelta(seconds=8)
# The server ends a statement in time; this is for a server that says nothing any more.
_SILENCE_TIMEOUT = timedelta(seconds=10)
# A worker that freezes inside a transaction must not hold its session's row for long.
_IDLE_TRANSACTION_TIMEOUT = timedelta(seconds=5)
_CLOSE_TIMEOUT = timedelta(seconds=5)

_SESSION = {"application_name": "tertulia", "timezone": "UTC", "jit": "off"}  # nothing here is worth compiling
_LIMITS = {
    "statement_timeout": f"{_STATEMENT_TIMEOUT.total_seconds():.0f}s",
    "idle_in_transaction_session_timeout": f"{_IDLE_TRANSACTION_TIMEOUT.total_seconds():.0f}s",
}

# Postgres holds no NUL, and UTF-8 no lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_BACKSLASH_OR_NUL = re.compile(r"(\\\\)|\\u0000")
_REPLACEMENT = "\ufffd"


class Pool:
    """The connections that all of the storage shares."""

    def __init__(self, connections: "asyncpg.Pool[Row]") -> None:
        self._connections = connections

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection.

        Raises:
            Unavailable: Postgres can't be reached, or a statement in the block found it gone.
        """
        with failures.translated():
            async with self._connections.acquire(timeout=_CONNECT_TIMEOUT.total_seconds()) as connection:
                with _told_when_lost(connection):
                    yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Borrow a connection with a transaction on it, which is committed at the end of the block."""
        async with self.connection() as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def open_pool(dsn: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """Open connections for as long as the block lasts.

    Args:
        dsn: `postgresql://user:password@host:port/database`.
        size: The most connections at a time.

    Raises:
        InvalidInput: The DSN can't be read.
        Unavailable: Postgres can't be reached.
    """
    with failures.translated(), _readable_dsn():
        connections = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=_set_codecs,
            timeout=_CONNECT_TIMEOUT.total_seconds(),
            command_timeout=_SILENCE_TIMEOUT.total_seconds(),
            server_settings=_SESSION | _LIMITS,
            reset=_as_it_is,
        )
    try:
        yield Pool(connections)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT.total_seconds()):
                await connections.close()


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Connection]:
    """Open one connection for as long as the block lasts. What is done on it may take any time.

    Raises:
        InvalidInput: The DSN can't be read.
        Unavailable: Postgres can't be reached, or a statement in the block found it gone.
    """
    with failures.translated():
        with _readable_dsn():
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT.total_seconds(), server_settings=_SESSION)
        try:
            with _told_when_lost(connection):
                yield connection
        finally:
            await connection.close(timeout=_CLOSE_TIMEOUT.total_seconds())


@contextmanager
def _told_when_lost(connection: Connection) -> Iterator[None]:
    try:
        yield
    except asyncpg.InterfaceError as error:
        # The driver's word for wrong use, and for the use of a connection that has been lost.
        if _is_lost(connection):
            raise Unavailable(failures.PART, "the connection was lost") from error
        raise


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has already taken it back.
        return True


@contextmanager
def _readable_dsn() -> Iterator[None]:
    try:
        yield
    except ValueError:
        # What the driver says may quote the password.
        problem = "is not an address of the form postgresql://user:password@host:port/database"
        raise InvalidInput(problem, field="DATABASE_URL") from None


async def _as_it_is(_connection: "asyncpg.Connection[Row]") -> None:
    """Reset nothing when a connection comes back: nothing here changes its session, and the reset is a round trip."""


async def _set_codecs(connection: "asyncpg.Connection[Row]") -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=from_json)
    await connection.set_type_codec("text", schema="pg_catalog", encoder=_storable, decoder=str)


def _to_json(value: Any) -> str:
    text = to_json(value, inf_nan_mode="null").decode()
    if "\\u0000" not in text:
        return text
    return _BACKSLASH_OR_NUL.sub(lambda found: found[1] or _REPLACEMENT, text)


def _storable(text: str) -> str:
    return _UNSTORABLE.sub(_REPLACEMENT, text)
