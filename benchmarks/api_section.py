"""The section on the API: what a request costs beside one that does nothing, and what an open stream holds."""

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks.engine import Engine, running_engine
from benchmarks.http_load import Connection, Load, connections, load
from benchmarks.measuring import percentile, resident_kilobytes
from tertulia.domain.conversation import OpenSession
from tertulia.domain.ids import TASK_QUEUE, SessionId
from tertulia.embedded.tcp import free_port


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 7
    connections: int = 16
    reads: int = 200
    sends: int = 20
    streams: int = 1000


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same load on our API and on the bare one, round by round."""

    ours: list[Load] = field(default_factory=list)
    bare: list[Load] = field(default_factory=list)


_SECTION = """\
Each round asks the API and a bare FastAPI route in turn, over {connections} kept connections, each server in a process
of its own. A read is that of a session; a send waits for the reply, with a provider that answers at once, on a worker
in the measuring process.

| what | API | bare route | ratio |
|---|---|---|---|
{rows}

{streams:,} readers of as many sessions' events, all open at once and quiet, take {kilobytes:.1f} KB each of the API's
process.
"""


async def api_section(directory: Path, sizes: Sizes = Sizes()) -> str:
    """Measure, and write the section."""
    async with (
        running_engine(directory, task_queue=TASK_QUEUE) as engine,
        api_process(engine) as (api, pid),
        _bare() as bare,
    ):
        sessions = [await _open(engine) for _ in range(sizes.connections)]
        reads = await _pairs(
            sizes,
            (api, lambda c, n, _: c.ask("GET", f"/v1/sessions/{sessions[n]}"), sizes.reads),
            (bare, lambda c, _, __: c.ask("GET", "/read"), sizes.reads),
        )
        sends = await _pairs(
            sizes,
            (api, lambda c, n, _: c.ask("POST", f"/v1/sessions/{sessions[n]}/messages", _said()), sizes.sends),
            (bare, lambda c, _, __: c.ask("POST", "/send", _said()), sizes.sends),
        )
        kilobytes = await _kilobytes_per_stream(engine, api, pid, sizes.streams)
    rows = [*_rows("reads", reads), *_rows("sends", sends)]
    return _SECTION.format(
        rows="\n".join(rows), connections=sizes.connections, streams=sizes.streams, kilobytes=kilobytes
    )


Ask = Callable[[Connection, int, int], Awaitable[int]]


async def _pairs(sizes: Sizes, ours: tuple[int, Ask, int], bare: tuple[int, Ask, int]) -> Pairs:
    pairs = Pairs()
    for _ in range(sizes.rounds):
        for (port, ask, count), loads in ((ours, pairs.ours), (bare, pairs.bare)):
            async with connections(port, sizes.connections) as made:
                loads.append(await load(made, count, ask))
    return pairs


def _rows(what: str, pairs: Pairs) -> list[str]:
    return [
        _row(f"{what} a second", [each.per_second for each in pairs.ours], [each.per_second for each in pairs.bare]),
        _row(f"{what}, p99, ms", [_p99(each) for each in pairs.ours], [_p99(each) for each in pairs.bare]),
    ]


def _row(what: str, ours: list[float], bare: list[float]) -> str:
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"| {what} | {statistics.median(ours):,.1f} | {statistics.median(bare):,.1f} | {spread} |"


def _p99(one: Load) -> float:
    return percentile(one.times, 99)


async def _kilobytes_per_stream(engine: Engine, port: int, pid: int, count: int) -> float:
    sessions = [await _open(engine) for _ in range(count)]
    async with connections(port, count + 50) as made:
        # What the first streams load stays, whatever their number.
        for connection in made[count:]:
            await connection.begin("GET", f"/v1/sessions/{sessions[0]}/events")
        before = resident_kilobytes(pid)
        for connection, session_id in zip(made, sessions, strict=False):
            status, _ = await connection.begin("GET", f"/v1/sessions/{session_id}/events")
            assert status == 200
        await asyncio.sleep(1)
        return (resident_kilobytes(pid) - before) / count


async def _open(engine: Engine) -> SessionId:
    session_id = SessionId(uuid4().hex)
    await engine.sessions.open(session_id, OpenSession(definition="assistant", user_id="bench"))
    return session_id


def _said() -> Mapping[str, str]:
    return {"text": "Hello", "message_id": uuid4().hex}


@asynccontextmanager
async def api_process(engine: Engine) -> AsyncIterator[tuple[int, int]]:
    """Serve the API in a process of its own; yield its port and its id."""
    assert engine.settings.temporal_address
    environment = os.environ | {
        "DATABASE_URL": engine.settings.require_database_url(),
        "TEMPORAL_ADDRESS": engine.settings.temporal_address,
        "TERTULIA_RATE_LIMIT": "0",
        "TERTULIA_LOG_LEVEL": "warning",
    }
    port = free_port(18_080)
    async with _process(environment, "starter", "serve", "--port", str(port)) as pid:
        await _until_it_listens(port)
        yield port, pid


@asynccontextmanager
async def _bare() -> AsyncIterator[int]:
    port = free_port(18_180)
    async with _process(dict(os.environ), "benchmarks.bare_api", str(port)):
        await _until_it_listens(port)
        yield port


@asynccontextmanager
async def _process(environment: Mapping[str, str], module: str, *arguments: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(60):
        for _ in range(600):
            with suppress(OSError):
                async with connections(port, 1):
                    return
            await asyncio.sleep(0.1)
