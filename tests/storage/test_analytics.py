"""The figures are those that one gets by counting one by one."""

from collections.abc import Iterator
from datetime import timedelta, timezone
from random import Random

import pytest

from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.ids import SessionId, TenantId
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns

from .analytics_world import CHANNELS, DEFINITIONS, EVE, JOBS, TENANTS, Reckoning, World, made_up, store
from .examples import GREETING, at, begin, end, new_session, opened, said, shown

SELECTIONS = 25
EVERYTHING = Selection(tenant=TenantId("default"), since=at(-60), until=at(60))


def selections(random: Random, world: World) -> Iterator[Selection]:
    """All of each tenant, then selections whose bounds are often the very moment at which something happened."""
    for tenant in TENANTS:
        yield Selection(tenant=TenantId(tenant), since=EVE - timedelta(days=1), until=EVE + timedelta(days=30))
    moments = world.moments()
    for _ in range(SELECTIONS):
        since, until = sorted(random.sample(moments, 2))
        # Where the bounds come from must not matter to what an hour or a day is.
        zone = timezone(timedelta(hours=random.randint(-12, 14), minutes=random.choice([0, 30])))
        yield Selection(
            tenant=TenantId(random.choice(TENANTS)),
            since=since.astimezone(zone),
            until=until.astimezone(zone),
            definition=random.choice([None, None, *DEFINITIONS, "nothing"]),
            job_id=random.choice([None, None, *JOBS]),
            channel=random.choice([None, None, *CHANNELS]),
        )


@pytest.mark.parametrize("seed", range(3))
async def test_every_figure_of_any_selection_is_what_counting_one_by_one_gives(pool: Pool, seed: int) -> None:
    random = Random(seed)
    world = made_up(random, sessions=60)
    await store(pool, world)
    analytics = PostgresAnalytics(pool)

    for of in selections(random, world):
        counted = Reckoning(world, of)
        assert await analytics.funnel(of) == counted.funnel()
        assert await analytics.state_times(of) == counted.state_times()
        assert await analytics.slots(of) == counted.slots()
        assert await analytics.knock_outs(of) == counted.knock_outs()
        assert await analytics.costs(of) == counted.costs()
        assert await analytics.providers(of) == counted.providers()
        for by in By:
            assert await analytics.volumes(of, by) == counted.volumes(by)
        for by_day in ByDay:
            assert await analytics.response_times(of, by_day) == counted.response_times(by_day)
            assert await analytics.outcomes(of, by_day) == counted.outcomes(by_day)


async def test_nothing_is_told_of_a_tenant_that_has_nothing(pool: Pool) -> None:
    analytics = PostgresAnalytics(pool)

    assert await analytics.funnel(EVERYTHING) == []
    assert await analytics.outcomes(EVERYTHING, ByDay.ALL) == []
    assert await analytics.providers(EVERYTHING) == []


async def test_a_turn_that_was_taken_again_counts_as_it_ended_the_last_time(pool: Pool) -> None:
    turns, analytics = await opened(pool), PostgresAnalytics(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.end(end(1, shown(2, 1), ids=["m1"], state="questions"))
    await turns.begin(begin(2, said("m2", 3, 2)))
    await turns.end(end(2, shown(4, 2), ids=["m2"], state="elsewhere", minute=3))

    await turns.begin(begin(2, said("m2", 3, 2), minute=10))
    await turns.end(end(2, shown(4, 2), ids=["m2"], state="done", minute=11))

    assert {row.state for row in await analytics.funnel(EVERYTHING)} == {"questions", "done"}
    (replies,) = await analytics.response_times(EVERYTHING, ByDay.ALL)
    assert (replies.replies, replies.p95_ms) == (2, 2)
    (volume,) = await analytics.volumes(EVERYTHING, By.ALL)
    assert (volume.turns, volume.from_person, volume.from_assistant) == (2, 2, 2)


async def test_what_was_erased_is_counted_no_more(pool: Pool) -> None:
    turns, analytics = await opened(pool), PostgresAnalytics(pool)
    await turns.end(end(1, shown(1, 1)))
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM sessions")

    assert await analytics.funnel(EVERYTHING) == []
    assert await analytics.volumes(EVERYTHING, By.ALL) == []


async def test_sessions_that_open_at_the_same_moment_share_their_segment(pool: Pool) -> None:
    for number in range(5):
        await PostgresTurns(pool).open(new_session(SessionId(f"s{number}")), GREETING)
        await PostgresTurns(pool).open(new_session(SessionId(f"j{number}"), job_id="baker"), GREETING)

    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM segments") == 2
