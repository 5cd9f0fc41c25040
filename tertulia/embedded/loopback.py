"""HTTP/1.1 on 127.0.0.1, whatever is answered there: the beginning of every simulator."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from tertulia.embedded import http
from tertulia.embedded.http import Request


class Connection(NamedTuple):
    """Where a request came from; numbers count from 1."""

    number: int
    reader: StreamReader
    writer: StreamWriter


# Answers a request, and tells whether the connection can serve another one.
Serving = Callable[[Request, Connection], Awaitable[bool]]


class Loopback:
    """Serves at `url` inside `async with`; whatever is still being answered ends with the block.

    Args:
        port: 0 for a free one.
    """

    def __init__(self, serve: Serving, *, port: int = 0) -> None:
        self._serve = serve
        self._port = port
        self._open: dict[asyncio.Task[None], StreamWriter] = {}
        self._connections = 0

    @property
    def url(self) -> str:
        """Where it serves, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task, writer in tuple(self._open.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self._connections += 1
        connection = Connection(self._connections, reader, writer)
        try:
            while request := await http.read_request(reader):
                if not await self._serve(request, connection):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            del self._open[task]
            writer.close()
