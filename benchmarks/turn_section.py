"""What is measured of turns, as a section of the page."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import httpx
from pydantic import SecretStr

from benchmarks.engine import Engine, running_engine
from benchmarks.memory import kilobytes_per_idle_session
from benchmarks.streaming import FIRST_TOKEN_S, FirstText, first_text
from benchmarks.turns import HistoryCosts, TurnCosts, history_costs, turn_costs, turn_times
from tertulia.domain.ids import ProviderName
from tertulia.embedded.simulator import Answer, ProviderSimulator
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.openai import OpenAIChat

NOTES = Path(__file__).parent / "notes.md"

ROUNDS = 7
TURNS = 100
SESSIONS = 64
TURNS_EACH = 5
LONG_SESSION = 10_000
IDLE_SESSIONS = 400
STREAMS = 25


async def turn_section(directory: Path) -> str:
    """Measure turns, and return what came of it."""
    async with running_engine(directory / "turns") as engine:
        costs = await turn_costs(engine, rounds=ROUNDS, turns=TURNS, sessions=SESSIONS, turns_each=TURNS_EACH)
        history = await history_costs(engine, first=20, last=120)
        times = await turn_times(engine, turns=LONG_SESSION)
        memory = {name: await _memory(engine, name) for name in ("assistant", "recruiting")}
    streamed = await _streaming(directory / "streaming")
    return _written(costs, history, times, memory, streamed) + "\n" + NOTES.read_text()


async def _memory(engine: Engine, definition: str) -> float:
    return await kilobytes_per_idle_session(engine, definition=definition, sessions=IDLE_SESSIONS)


async def _streaming(directory: Path) -> FirstText:
    async with ProviderSimulator() as simulator, httpx.AsyncClient() as http:
        simulator.always("slow", Answer(text="one two three four", first_token_after_s=FIRST_TOKEN_S, gap_s=0.02))
        endpoint = Endpoint(base_url=simulator.url, model="slow", api_key=SecretStr("bench"))
        async with running_engine(directory, {ProviderName("slow"): OpenAIChat(http, endpoint)}) as engine:
            return await first_text(engine, http, simulator.url, samples=STREAMS)


def _written(
    costs: TurnCosts,
    history: HistoryCosts,
    times: Sequence[float],
    memory: dict[str, float],
    streamed: FirstText,
) -> str:
    median = statistics.median
    rows = [
        ("latency of a turn at 1 session, p50, over the floor's", "≤ 1.3", costs.p50),
        ("the same, p99", "", costs.p99),
        (f"turns a second at {costs.sessions} sessions, over the floor's", "≥ 0.7", costs.per_second),
        ("events of history a turn", "≤ 16", f"{history.events:.1f}"),
        ("bytes of history a turn", "≤ 8,192", f"{history.bytes:,.0f}"),
        (
            f"turn {LONG_SESSION:,} over turn 20 (100 turns each)",
            "1",
            f"{median(times[-100:]) / median(times[20:120]):.2f}",
        ),
        (
            "first streamed text, later than the provider's own",
            "≤ 60 ms",
            f"{median(streamed.engine) - median(streamed.provider):.0f} ms",
        ),
        *((f"memory of an idle session, `{name}`", "", f"{kb:.0f} KB") for name, kb in memory.items()),
    ]
    return _SECTION.format(
        rounds=ROUNDS,
        table="\n".join(f"| {what} | {aim} | {measured} |" for what, aim, measured in rows),
        ours_ms=median(costs.p50.ours),
        floor_ms=median(costs.p50.floor),
        sessions=costs.sessions,
        ours_per_second=median(costs.per_second.ours),
        floor_per_second=median(costs.per_second.floor),
    )


_SECTION = """\
The floor is a bare workflow on the same server whose update runs one trivial regular activity. A turn of the engine has
its message stored, a provider asked that answers at once, and its reply, its evidence and the session stored. Ratios
are the median of {rounds} rounds, and in brackets the smallest and the largest.

| what | aim | measured |
|---|---|---|
{table}

For orientation, since milliseconds belong to the machine: a turn took {ours_ms:.1f} ms at the median beside
{floor_ms:.1f} ms of the floor, and {sessions} sessions together had {ours_per_second:.0f} turns a second beside
{floor_per_second:.0f}.
"""
