"""Streamed text in storage: for as long as somebody may show it, and no longer."""

from datetime import UTC, datetime, timedelta

from tertulia.domain.ids import SessionId
from tertulia.domain.turns import Delta
from tertulia.storage.deltas import PostgresDeltas, sweeping
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns

from .examples import CHAT, begin, end, opened, said, shown
from .waiting import until_true


async def streamed(pool: Pool) -> list[tuple[str, int]]:
    async with pool.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT session_id, turn FROM stream_deltas ORDER BY session_id, turn")
    return [(row["session_id"], row["turn"]) for row in rows]


def hello(turn: int) -> Delta:
    return Delta(turn=turn, attempt=1, offset=0, text="Hello")


async def test_the_streamed_text_of_earlier_turns_is_cleared_away(pool: Pool) -> None:
    turns, deltas = await opened(pool), PostgresDeltas(pool)
    for turn in range(1, 4):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn - 1, turn)))
        await deltas.append(CHAT, hello(turn))
        await turns.end(end(turn, shown(2 * turn, turn), ids=[f"m{turn}"]))

    assert await streamed(pool) == [(CHAT, 3)]


async def test_the_streamed_text_of_a_last_turn_is_swept_away_some_time_after_it(pool: Pool) -> None:
    now = datetime.now(UTC)
    deltas = PostgresDeltas(pool)
    for session_id, ended in (("long-ago", now - timedelta(minutes=5)), ("just-now", now), ("running", None)):
        await _streamed_turn(pool, deltas, SessionId(session_id), ended)
    await deltas.append(SessionId("erased"), hello(1))

    await deltas.sweep(timedelta(minutes=2))

    assert await streamed(pool) == [("just-now", 1), ("running", 1)]


async def test_a_worker_sweeps_by_itself(pool: Pool) -> None:
    deltas = PostgresDeltas(pool)
    await deltas.append(SessionId("erased"), hello(1))

    async with sweeping(deltas):
        await until_true(lambda: _is_empty(pool))


async def _is_empty(pool: Pool) -> bool:
    return await streamed(pool) == []


async def _streamed_turn(pool: Pool, deltas: PostgresDeltas, session_id: SessionId, ended: datetime | None) -> None:
    turns: PostgresTurns = await opened(pool, session_id)
    began = begin(1, said("m1", 1, 1), session_id=session_id)
    await turns.begin(began)
    await deltas.append(session_id, hello(1))
    if ended:
        over = end(1, shown(2, 1), ids=["m1"], session_id=session_id)
        await turns.end(over.model_copy(update={"ended_at": ended}))
