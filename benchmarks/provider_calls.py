"""One call through the whole provider service, beside raw httpx and LiteLLM's Router: the same server, the same run."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from benchmarks import outages
from benchmarks.measuring import Ratio
from tertulia.composition import open_provider_service
from tertulia.config import load_settings
from tertulia.domain.providers.completions import ChatMessage, CompletionRequest
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.tcp import free_port
from tertulia.provider_service.service import ProviderService
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import open_pool
from tests.provider_service import virtual_time
from tests.provider_service.world import world

ROOT = Path(__file__).parents[1]
PEER = ROOT / ".bench" / "litellm"

CALLERS = 32
_ONE_CALLER = (1, 200)
_MANY_CALLERS = (CALLERS, 1600)
# The peer is slow, and its figures steady.
_PEER_MANY = (CALLERS, 320)
_SIMULATOR_PORT = 9123

_QUESTION = "Hello"
_BODY = {"model": "first", "stream": True, "max_tokens": 1024, "messages": [{"role": "user", "content": _QUESTION}]}
_REQUEST = CompletionRequest(messages=(ChatMessage(role="user", text=_QUESTION),))

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class CallCosts:
    """Seconds a call by one caller and calls a second by 32, each over raw httpx's, round by round."""

    alone: Ratio
    together: Ratio
    peer_alone: Ratio
    peer_together: Ratio


async def call_costs(directory: Path, *, rounds: int) -> CallCosts:
    """Measure raw httpx, the provider service and the peer in turn, each against the same simulator."""
    await _prepare_peer()
    raw: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    peer: list[tuple[float, float]] = []
    async with (
        _simulator() as url,
        httpx.AsyncClient(limits=httpx.Limits(max_connections=CALLERS)) as http,
        _service(directory, url) as service,
    ):
        for _ in range(rounds):
            raw.append(await _round(lambda: _raw(http, url)))
            ours.append(await _round(lambda: service.execute_with_fallback(_REQUEST)))
            peer.append(await _peer(url))
    return CallCosts(_ratio(ours, raw, 0), _ratio(ours, raw, 1), _ratio(peer, raw, 0), _ratio(peer, raw, 1))


def our_ten_minutes() -> outages.Outcome:
    """Put the provider service through the ten minutes of faults; not inside another event loop."""

    async def ask() -> outages.Outcome:
        fleet = outages.fleet()
        async with world(*fleet, workers=1) as played:
            service = played.workers[0].service
            return await outages.drive(fleet, lambda: service.execute_with_fallback(outages.REQUEST))

    return virtual_time.run(ask())


async def peers_ten_minutes() -> outages.Outcome:
    """Put the peer through the ten minutes of faults."""
    await _prepare_peer()
    return outages.Outcome(**json.loads(await _run_peer("outages")))


def _ratio(ours: Sequence[tuple[float, float]], raw: Sequence[tuple[float, float]], column: int) -> Ratio:
    return Ratio(tuple(row[column] for row in ours), tuple(row[column] for row in raw))


async def _round(call: Call) -> tuple[float, float]:
    await _seconds(call, 1, 20)
    alone = await _seconds(call, *_ONE_CALLER) / _ONE_CALLER[1]
    await _seconds(call, CALLERS, 2 * CALLERS)
    return alone, _MANY_CALLERS[1] / await _seconds(call, *_MANY_CALLERS)


async def _seconds(call: Call, callers: int, calls: int) -> float:
    async def some() -> None:
        for _ in range(calls // callers):
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(callers)))
    return time.perf_counter() - started


async def _raw(http: httpx.AsyncClient, url: str) -> None:
    headers = {"authorization": "Bearer bench"}
    async with http.stream("POST", f"{url}/chat/completions", json=_BODY, headers=headers) as response:
        async for _ in response.aiter_bytes():
            pass


async def _peer(url: str) -> tuple[float, float]:
    loads = (_ONE_CALLER, _PEER_MANY)
    alone, together = json.loads(await _run_peer("load", url, *(f"{callers}:{calls}" for callers, calls in loads)))
    return alone / _ONE_CALLER[1], _PEER_MANY[1] / together


@asynccontextmanager
async def _service(directory: Path, url: str) -> AsyncIterator[ProviderService]:
    providers = tuple(
        ProviderConfig(
            name=name, base_url=url, model=name, api_key=SecretStr("bench"), priority=place, max_concurrent=CALLERS
        )
        for place, name in enumerate(("first", "second"), start=1)
    )
    async with EmbeddedPostgres(directory / "postgres") as postgres:
        await migrate(postgres.dsn)
        settings = load_settings({}).model_copy(update={"database_url": postgres.dsn, "providers": providers})
        async with open_pool(postgres.dsn) as pool, open_provider_service(settings, pool) as service:
            yield service


@asynccontextmanager
async def _simulator() -> AsyncIterator[str]:
    """Run the simulator as a process of its own, so that it takes no time of those it is measured with."""
    port = free_port(_SIMULATOR_PORT)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tertulia.embedded.simulator",
        "--port",
        str(port),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    await process.stdout.readline()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def _prepare_peer() -> None:
    """Make the peer's environment once."""
    if PEER.exists():
        return
    await _run(sys.executable, "-m", "venv", str(PEER))
    requirements = ROOT / "benchmarks" / "litellm-requirements.txt"
    try:
        await _run(
            str(PEER / "bin/pip"), "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(requirements)
        )
    except BaseException:
        await _run("rm", "-r", str(PEER))
        raise


async def _run_peer(*arguments: str) -> str:
    printed = await _run(str(PEER / "bin/python"), "-m", "benchmarks.litellm_peer", *arguments)
    return printed.splitlines()[-1]


async def _run(*command: str) -> str:
    # The peer would look up its prices on the internet.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaints = await process.communicate()
    if process.returncode:
        raise RuntimeError(complaints.decode()[-2000:])
    return printed.decode()
