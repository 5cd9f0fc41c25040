"""Hears which sessions have something new, over one connection for all who follow one in this process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Self

import structlog

from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SessionId
from tertulia.storage.pool import Connection, connect

log = structlog.get_logger(__name__)

CHANNEL = "tertulia_sessions"

# Every process that listens hears every notification, so these carry a name only.
NOTIFY = f"SELECT pg_notify('{CHANNEL}', $1)"

_RECONNECT_AFTER = timedelta(seconds=0.5)
# A connection that died without a word is noticed after this long.
_CHECK_EVERY = timedelta(seconds=15)
_CHECK_TIMEOUT = timedelta(seconds=5)


class Listener:
    """Wakes those who wait for news of a session. It reconnects by itself; what came meanwhile wakes everybody."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: dict[SessionId, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._listening:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    @contextmanager
    def news(self, session_id: SessionId) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever there may be something new of a session."""
        event = asyncio.Event()
        self._waiting.setdefault(session_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[session_id].discard(event)
            if not self._waiting[session_id]:
                del self._waiting[session_id]

    async def _listen(self) -> None:
        while True:
            try:
                async with connect(self._dsn) as connection:
                    await self._listen_on(connection)
            except Unavailable as error:
                log.warning("listener lost its connection", problem=str(error))
            await asyncio.sleep(_RECONNECT_AFTER.total_seconds())

    async def _listen_on(self, connection: Connection) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(CHANNEL, self._heard)
        for session_id in self._waiting:
            self._wake(session_id)
        while not lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), _CHECK_EVERY.total_seconds())
                return
            await connection.execute("SELECT 1", timeout=_CHECK_TIMEOUT.total_seconds())

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._wake(SessionId(str(payload)))

    def _wake(self, session_id: SessionId) -> None:
        for event in self._waiting.get(session_id, ()):
            event.set()
