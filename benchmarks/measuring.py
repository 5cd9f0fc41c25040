"""Timing of turns, and ratios of what was timed side by side."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return how long a call takes, milliseconds."""
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1000


async def latencies(call: Callable[[int], Awaitable[object]], count: int) -> list[float]:
    """Return the times of calls made one after the other, milliseconds."""
    return [await timed(lambda n=n: call(n)) for n in range(count)]  # type: ignore[misc]


async def throughput(call: Callable[[int, int], Awaitable[object]], *, sessions: int, turns: int) -> float:
    """Return turns a second of sessions that talk side by side, each one turn after the other."""

    async def talk(session: int) -> None:
        for turn in range(turns):
            await call(session, turn)

    started = time.perf_counter()
    await asyncio.gather(*(talk(session) for session in range(sessions)))
    return sessions * turns / (time.perf_counter() - started)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def resident_kilobytes(pid: int) -> int:
    """Return how much memory a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratios of pairs measured one right after the other, so that a machine that drifts does not matter."""

    ours: tuple[float, ...]
    floor: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self._pairs)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self._pairs):.2f}-{max(self._pairs):.2f})"

    @property
    def _pairs(self) -> list[float]:
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]
