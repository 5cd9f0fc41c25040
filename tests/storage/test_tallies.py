"""Sessions and turns are counted as they are written, each once."""

import asyncio

import pytest

from tertulia.domain.conversation import Action, Intervention, TurnStatus
from tertulia.domain.ids import SessionId
from tertulia.domain.tallies import TURN_SECONDS, Tallied
from tertulia.storage.pool import Pool
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.tallies import PostgresTallies
from tertulia.storage.turns import PostgresTurns

from .examples import CHAT, GREETING, at, begin, end, new_session, opened, said, shown

LONGEST = len(TURN_SECONDS)


def took(*places: int) -> tuple[int, ...]:
    """One turn in each of these buckets."""
    return tuple(places.count(bucket) for bucket in range(LONGEST + 1))


async def test_nothing_is_counted_where_nothing_was_written(pool: Pool) -> None:
    assert await PostgresTallies(pool).read() == Tallied(opened=0, closed=0, begun={}, ended=[])


async def test_what_a_session_lives_through_is_counted(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    await turns.begin(begin(1, said("m1", 2, 1)))
    await turns.end(end(1, shown(3, 1), ids=["m1"]))
    await turns.end(end(2, shown(4, 2), intervention=Intervention(action=Action.OPERATOR_MESSAGE)))
    await turns.begin(begin(3, said("m2", 5, 3)))

    running = await PostgresTallies(pool).read()
    await turns.end(end(3, shown(6, 3), ids=["m2"], status=TurnStatus.FAILED, closes="done"))

    ended = await PostgresTallies(pool).read()
    assert (running.opened, running.closed, ended.closed) == (1, 0, 1)
    assert running.begun == ended.begun == {"engine": 1, "person": 2, "intervention": 1}
    assert sum(sum(each.buckets) for each in running.ended) == 3
    assert {(each.made_by, each.status, each.buckets) for each in ended.ended} == {
        ("engine", "answered", took(0)),
        ("person", "answered", took(0)),
        ("person", "failed", took(0)),
        ("intervention", "answered", took(0)),
    }


async def test_writes_that_are_repeated_are_counted_once(pool: Pool) -> None:
    turns = await opened(pool)
    for _ in range(3):
        await turns.open(new_session(), GREETING)
        await turns.begin(begin(1, said("m1", 1, 1)))
    for _ in range(3):
        await turns.end(end(1, shown(2, 1), ids=["m1"], closes="done"))

    tallied = await PostgresTallies(pool).read()

    assert (tallied.opened, tallied.closed, tallied.begun) == (1, 1, {"person": 1})
    assert [sum(each.buckets) for each in tallied.ended] == [1]


async def test_what_is_erased_stays_counted(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0), closes="done"))
    before = await PostgresTallies(pool).read()

    await PostgresSessionRecords(pool).erase(CHAT)

    assert await PostgresTallies(pool).read() == before


@pytest.mark.parametrize("bucket", range(LONGEST + 1))
async def test_a_turn_is_counted_by_how_long_it_took(pool: Pool, bucket: int) -> None:
    seconds = (*TURN_SECONDS, 2 * TURN_SECONDS[-1])[bucket] - 0.01
    turns = await opened(pool)
    turn = end(0, shown(1, 0), minute=10)

    await turns.end(turn.model_copy(update={"started_at": at(10 - seconds / 60)}))

    (tallied,) = (await PostgresTallies(pool).read()).ended
    assert tallied.buckets == took(bucket)
    assert tallied.seconds == pytest.approx(seconds, abs=1e-5)


async def test_sessions_that_end_turns_at_once_are_all_counted(pool: Pool) -> None:
    sessions = [SessionId(f"chat-{number}") for number in range(40)]

    async def live(session_id: SessionId) -> None:
        turns = PostgresTurns(pool)
        await turns.open(new_session(session_id), GREETING)
        await turns.end(end(0, shown(1, 0), session_id=session_id, closes="done"))

    await asyncio.gather(*map(live, sessions))

    tallied = await PostgresTallies(pool).read()
    assert (tallied.opened, tallied.closed, tallied.begun) == (40, 40, {"engine": 40})
