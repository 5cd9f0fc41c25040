"""The product as it runs in production: servers, workers and API, each a process that can be killed."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import httpx

from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.temporal import EmbeddedTemporal
from tests.engine import until

ROOT = Path(__file__).parents[2]


class Cluster:
    """One of each part, and what `kill_…` sends is SIGKILL. The servers come back by themselves, ours on request.

    Args:
        apis: How many processes serve the API, each under a URL of its own.
        guarded: Whether one more serves it, the last, to those alone who show a key.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str], *, apis: int = 1, guarded: bool = False
    ) -> None:
        self.directory = directory
        self._environment = environment
        self._guarded = apis if guarded else None
        self._exit = AsyncExitStack()
        self._workers: list[Process] = []
        self._apis: dict[int, Process] = {}
        self._ports = [_free_port() for _ in range(apis + guarded)]
        self.postgres = EmbeddedPostgres(directory / "postgres")
        self.temporal = EmbeddedTemporal(directory / "temporal")

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self.postgres)
        await self._exit.enter_async_context(self.temporal)
        self.http = await self._exit.enter_async_context(httpx.AsyncClient(base_url=self.url, timeout=90))
        await self.start_worker()
        for number in range(len(self._ports)):
            await self.start_api(number)
        await self.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in [*self._workers, *self._apis.values()]:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await self._exit.aclose()

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
            "DATABASE_URL": self.postgres.dsn,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TERTULIA_PORT": str(self._ports[0]),
            "TERTULIA_URL": self.url,
            **self._environment,
        }

    async def start_worker(self) -> None:
        self._workers.append(await self._start("worker"))

    async def kill_worker(self) -> None:
        await _kill(self._workers.pop(0))

    async def start_api(self, number: int = 0) -> None:
        doors = {"TERTULIA_REQUIRE_KEYS": "true"} if number == self._guarded else {}
        self._apis[number] = await self._start("serve", "--port", str(self._ports[number]), environment=doors)

    async def kill_api(self, number: int = 0) -> None:
        await _kill(self._apis[number])

    async def kill_postgres(self) -> None:
        await _kill_and_see_it_return(self.postgres)

    async def kill_temporal(self) -> None:
        await _kill_and_see_it_return(self.temporal)

    async def ready(self) -> None:
        """Wait until every process of the API answers and reaches everything behind it."""
        for url in self.urls:
            await self._ready(url)

    async def _ready(self, url: str) -> None:
        while True:
            with suppress(httpx.HTTPError):
                if (await self.http.get(f"{url}/readyz")).is_success:
                    return
            await asyncio.sleep(0.1)

    async def run(self, *arguments: str, stdin: str = "") -> str:
        """Run a command of `tertulia` to its end, and return what it printed."""
        process = await self._start(*arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate(stdin.encode())
        assert process.returncode == 0, printed.decode()
        return printed.decode()

    async def rows(self, query: str, *arguments: object) -> Sequence[asyncpg.Record]:
        """Ask Postgres itself what is stored."""
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def _start(
        self,
        *arguments: str,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        log = (self.directory / f"{arguments[0]}.log").open("ab")
        with log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "starter",
                *arguments,
                cwd=ROOT,
                env={**self.environment, **(environment or {})},
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
            )


async def _kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def _kill_and_see_it_return(server: EmbeddedPostgres | EmbeddedTemporal) -> None:
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    await until(lambda: server.pid != killed)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
