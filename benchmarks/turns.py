"""Latency, throughput and history of a turn, beside the floor's."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from temporalio.client import WorkflowHandle

from benchmarks.engine import FLOOR_QUEUE, Engine
from benchmarks.floor import Floor
from benchmarks.measuring import Ratio, latencies, percentile, throughput
from tertulia.domain.conversation import Close, IncomingMessage, OpenSession
from tertulia.domain.ids import SessionId, workflow_id

# Turns taken before anything is timed: imports, caches, pools.
_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class TurnCosts:
    """Per round: p50 and p99 at one session in milliseconds, turns a second at many sessions."""

    p50: Ratio
    p99: Ratio
    per_second: Ratio
    sessions: int


@dataclass(frozen=True, slots=True)
class HistoryCosts:
    """What a turn leaves in history."""

    events: float
    bytes: float


async def turn_costs(engine: Engine, *, rounds: int, turns: int, sessions: int, turns_each: int) -> TurnCosts:
    """Measure in turn, floor and engine, so that both meet the same machine."""
    ours: list[tuple[float, float, float]] = []
    floor: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        floor.append(await _round(_FloorChats(engine), turns, sessions, turns_each))
        ours.append(await _round(_Chats(engine), turns, sessions, turns_each))
    p50, p99, per_second = (_ratio(ours, floor, column) for column in range(3))
    return TurnCosts(p50, p99, per_second, sessions)


def _ratio(ours: Sequence[tuple[float, ...]], floor: Sequence[tuple[float, ...]], column: int) -> Ratio:
    return Ratio(tuple(row[column] for row in ours), tuple(row[column] for row in floor))


async def _round(
    chats: "_Chats | _FloorChats", turns: int, sessions: int, turns_each: int
) -> tuple[float, float, float]:
    one = await chats.open()
    await latencies(one, _WARM_UP)
    times = await latencies(one, turns)
    many = [await chats.open() for _ in range(sessions)]
    per_second = await throughput(lambda session, turn: many[session](turn), sessions=sessions, turns=turns_each)
    await chats.close()
    return percentile(times, 50), percentile(times, 99), per_second


class _Chats:
    """Sessions of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: list[SessionId] = []

    async def open(self) -> Callable[[int], Awaitable[object]]:
        session_id = SessionId(uuid4().hex)
        self._ids.append(session_id)
        await self._engine.sessions.open(session_id, OpenSession(definition="assistant", user_id="bench"))
        return lambda turn: self._engine.sessions.send(session_id, IncomingMessage(text=f"message {turn}"))

    async def close(self) -> None:
        for session_id in self._ids:
            await self._engine.sessions.close(session_id, Close())


class _FloorChats:
    """Bare workflows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handles: list[WorkflowHandle[Floor, None]] = []

    async def open(self) -> Callable[[int], Awaitable[object]]:
        handle = await self._engine.client.start_workflow(Floor.run, id=uuid4().hex, task_queue=FLOOR_QUEUE)
        self._handles.append(handle)
        return lambda turn: handle.execute_update(Floor.turn, f"message {turn}")

    async def close(self) -> None:
        for handle in self._handles:
            await handle.signal(Floor.finish)


async def history_costs(engine: Engine, *, first: int, last: int) -> HistoryCosts:
    """Measure what the turns between two numbers of one run leave in history, each."""
    session_id = SessionId(uuid4().hex)
    await engine.sessions.open(session_id, OpenSession(definition="assistant", user_id="bench"))
    sizes: list[tuple[int, int]] = []
    for turn in range(1, last + 1):
        await engine.sessions.send(session_id, IncomingMessage(text=f"message {turn}"))
        if turn in {first, last}:
            sizes.append(await _history_size(engine, session_id))
    (events, size), (more_events, more_size) = sizes
    return HistoryCosts((more_events - events) / (last - first), (more_size - size) / (last - first))


async def _history_size(engine: Engine, session_id: SessionId) -> tuple[int, int]:
    description = await engine.client.get_workflow_handle(workflow_id(session_id)).describe()
    info = description.raw_description.workflow_execution_info
    return info.history_length, info.history_size_bytes


async def turn_times(engine: Engine, *, turns: int) -> list[float]:
    """Time the turns of one long session, which continues as new again and again, milliseconds."""
    send = await _Chats(engine).open()
    return await latencies(send, turns)
