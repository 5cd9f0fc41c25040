"""Requests over kept connections, with next to no work on our side of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of requests came to.

    Attributes:
        times: Of each request, milliseconds.
    """

    per_second: float
    times: Sequence[float]


class Connection:
    """One kept connection, a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, method: str, path: str, body: object = None, *, headers: str = "") -> int:
        """Return the status of the answer, whose body is read and thrown away."""
        status, length = await self.begin(method, path, body, headers=headers)
        await self._reader.readexactly(length)
        return status

    async def begin(self, method: str, path: str, body: object = None, *, headers: str = "") -> tuple[int, int]:
        """Return the status of the answer and the length of its body, which is not read."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = "content-type: application/json\r\n" if content else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{kind}{headers}content-length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = answer.partition(b"content-length:")
        return int(answer.split(b" ", 2)[1]), int(length.split(b"\r\n", 1)[0] or 0)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[Sequence[Connection]]:
    """Connect so many times, for as long as the block lasts."""
    made = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield made
    finally:
        for connection in made:
            connection.close()


async def load(made: Sequence[Connection], count: int, ask: Callable[[Connection, int, int], Awaitable[int]]) -> Load:
    """Ask so many times over each connection, all of them at once.

    Args:
        ask: Gets the connection, its number, and the number of the request; returns the status.
    """
    times: list[float] = []

    async def talk(number: int) -> None:
        for request in range(count):
            started = time.perf_counter()
            status = await ask(made[number], number, request)
            times.append((time.perf_counter() - started) * 1000)
            assert status == 200, status

    started = time.perf_counter()
    await asyncio.gather(*(talk(number) for number in range(len(made))))
    return Load(len(made) * count / (time.perf_counter() - started), times)
