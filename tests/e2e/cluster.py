"""The product as it runs in production: servers, workers and API, each a process that can be killed."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import httpx

from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.temporal import EmbeddedTemporal
from tests import loaded
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
        self._workers: list[BaseProcess] = []
        self._apis: dict[int, BaseProcess] = {}
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
            await loaded.kill(process)
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
        await loaded.kill(self._workers.pop(0))

    async def start_api(self, number: int = 0) -> None:
        doors = {"TERTULIA_REQUIRE_KEYS": "true"} if number == self._guarded else {}
        self._apis[number] = await self._start("serve", "--port", str(self._ports[number]), environment=doors)

    async def kill_api(self, number: int = 0) -> None:
        await loaded.kill(self._apis[number])

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
        outcome = await loaded.run(*arguments, directory=ROOT, environment=self.environment, said=stdin)
        assert outcome.code == 0, f"{outcome.out}\n{outcome.err}"
        return outcome.out

    async def rows(self, query: str, *arguments: object) -> Sequence[asyncpg.Record]:
        """Ask Postgres itself what is stored."""
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def _start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> BaseProcess:
        log = self.directory / f"{arguments[0]}.log"
        environment = {**self.environment, **(environment or {})}
        return await loaded.start(*arguments, directory=ROOT, environment=environment, out=log, err=log)


async def _kill_and_see_it_return(server: EmbeddedPostgres | EmbeddedTemporal) -> None:
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    await until(lambda: server.pid != killed)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
