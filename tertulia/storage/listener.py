"""Hears that there is something new in the database, over one connection for all in this process who wait for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Self

import structlog

from tertulia.domain.errors import Unavailable
from tertulia.storage.pool import Connection, connect

log = structlog.get_logger(__name__)

# Every process that listens hears every notification, so these carry a name only.
SESSIONS = "tertulia_sessions"  # which session has something new
PROVIDERS = "tertulia_providers"  # that what is known of the providers has changed; their number is small

NOTIFY_SESSION = f"SELECT pg_notify('{SESSIONS}', $1)"
NOTIFY_PROVIDERS = f"SELECT pg_notify('{PROVIDERS}', '')"

_RECONNECT_AFTER = timedelta(seconds=0.5)
# A connection that died without a word is noticed after this long.
_CHECK_EVERY = timedelta(seconds=15)
_CHECK_TIMEOUT = timedelta(seconds=5)


class Listener:
    """Wakes those who wait for news on a channel. It reconnects by itself; what came meanwhile wakes everybody."""

    def __init__(self, dsn: str, channel: str) -> None:
        self._dsn = dsn
        self._channel = channel
        self._waiting: dict[str, set[asyncio.Event]] = {}
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
    def news(self, name: str = "") -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever there may be something new under a name of the channel."""
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    def wake_all(self) -> None:
        """Wake everybody, as if there were something new for each."""
        for name in self._waiting:
            self._wake(name)

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
        await connection.add_listener(self._channel, self._heard)
        self.wake_all()
        while not lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_EVERY.total_seconds()):
                    await lost.wait()
                return
            await connection.execute("SELECT 1", timeout=_CHECK_TIMEOUT.total_seconds())

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._wake(str(payload))

    def _wake(self, name: str) -> None:
        for event in self._waiting.get(name, ()):
            event.set()
