"""What an event costs the state machine, and what loading and checking a large definition costs."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from benchmarks.measuring import percentile
from tertulia.domain import machine
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.events import Event, PersonSaid, SessionStarted
from tertulia.domain.ids import DefinitionName
from tertulia.storage.definition_files import DefinitionFiles, load
from tests import recruiting_script

_DEFINITIONS = Path(__file__).parents[1] / "definitions"
_NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class DefinitionCosts:
    """What definitions cost.

    Attributes:
        advance_us: Times of `advance`, µs of the thread's own time, over whole prescreens.
        states: How many the large definition has.
        load_s: Times of reading and checking it from its file, seconds.
    """

    advance_us: tuple[float, ...]
    states: int
    load_s: tuple[float, ...]

    @property
    def advance_p50_us(self) -> float:
        return percentile(self.advance_us, 50)

    @property
    def advance_p99_us(self) -> float:
        return percentile(self.advance_us, 99)

    @property
    def worst_load_s(self) -> float:
        return max(self.load_s)


async def definition_section(directory: Path) -> str:
    """Measure definitions, and return what came of it."""
    costs = await asyncio.to_thread(definition_costs, directory)
    return _SECTION.format(
        p50=costs.advance_p50_us, p99=costs.advance_p99_us, states=costs.states, load=costs.worst_load_s
    )


_SECTION = """\
Microseconds are the thread's own time, over whole prescreens by rules alone; the large definition asks for something of
its own in every state, and decides by it.

| what | aim | measured |
|---|---|---|
| an event in the recruiting application, p50 | | {p50:.0f} µs |
| the same, p99 | ≤ 100 µs | {p99:.0f} µs |
| reading and checking a definition of {states} states, the longest | ≤ 1 s | {load:.2f} s |
"""


def definition_costs(directory: Path, *, prescreens: int = 500, states: int = 500, loads: int = 5) -> DefinitionCosts:
    """Hold whole prescreens against the recruiting definition, and load a large one again and again."""
    recruiting = DefinitionFiles(_DEFINITIONS).get(DefinitionName("recruiting"))
    for _ in range(_WARM_UP):
        _prescreen(recruiting)
    advance = tuple(took for _ in range(prescreens) for took in _prescreen(recruiting))
    path = directory / "large.yaml"
    load_s = tuple(_loaded(path, _large(states, edition)) for edition in range(loads))
    return DefinitionCosts(advance, states, load_s)


def _prescreen(definition: Definition) -> list[float]:
    state, times = machine.initial(definition), list[float]()
    events: list[Event] = [SessionStarted(), *(PersonSaid(text=answer) for answer in recruiting_script.ANSWERS)]
    for event in events:
        started = time.thread_time_ns()
        state, _ = machine.advance(definition, state, event, _NOW)
        times.append((time.thread_time_ns() - started) / 1000)
    return times


def _loaded(path: Path, described: dict[str, object]) -> float:
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    started = time.perf_counter()
    load(path)
    return time.perf_counter() - started


def _large(states: int, edition: int) -> dict[str, object]:
    """Describe a definition in which every state asks for something of its own and decides by it.

    No condition of one edition is one of another's, so that none has been compiled before.
    """
    asking = {
        f"state_{n}": {
            "say": f"This is step {n} of {{company}}.",
            "ask": [f"slot_{n}"],
            "next": [{"to": f"state_{(n + 7) % states}", "when": f"slot_{n} > {n}.{edition}"}, f"state_{n + 1}"],
        }
        for n in range(states - 1)
    }
    return {
        "name": "large",
        "version": "1",
        "title": "Large",
        "context": {"company": "our company"},
        "initial": "state_0",
        "states": asking | {f"state_{states - 1}": {"say": "The end."}},
        "slots": {
            f"slot_{n}": {
                "type": "number",
                "ask": f"Number {n}, please?",
                "max": 1000,
                "reprompts": ["Please give a number.", "For example: {example}."],
                "example": "3",
            }
            for n in range(states - 1)
        },
    }
