"""Slots and the ledger: who may ask a provider, and what became of it."""

import asyncio
from decimal import Decimal

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.attempts import CANARY_SLOT, Refusal
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.pool import Pool

from .examples import CHAT, at, begin, opened, said
from .provider_examples import GEMINI, GROQ, LEASE, Stores, answered, attempt, failed


async def test_attempts_take_the_lowest_free_slots_of_their_provider(stores: Stores) -> None:
    slots = [await stores.attempts.admit(attempt(attempt_id)) for attempt_id in ("a1", "a2", "a3", "a4")]
    await stores.attempts.settle("a2", answered(), at(1))

    assert slots == [1, 2, 3, Refusal.NO_ROOM]
    assert await stores.attempts.admit(attempt("a5")) == 2
    assert await stores.attempts.admit(attempt("a6", GEMINI)) == 1


async def test_attempts_that_come_and_go_at_once_never_exceed_the_limit(stores: Stores) -> None:
    async def ask(number: int) -> int:
        """Return how many were under way when this one was; 0 where there was no room for it."""
        attempt_id = f"a{number}"
        if isinstance(await stores.attempts.admit(attempt(attempt_id, limit=7)), Refusal):
            return 0
        under_way = (await stores.known()).in_flight
        await stores.attempts.settle(attempt_id, answered(), at(1))
        return under_way

    under_way = await asyncio.gather(*(ask(number) for number in range(200)))

    assert 1 <= max(under_way) <= 7
    known = await stores.known()
    assert (len(known.samples), known.in_flight) == (200 - under_way.count(0), 0)


async def test_fifty_attempts_at_once_that_do_not_end_get_as_many_slots_as_there_are(stores: Stores) -> None:
    await stores.attempts.admit(attempt("first", limit=7))

    slots = await asyncio.gather(*(stores.attempts.admit(attempt(f"a{number}", limit=7)) for number in range(50)))

    assert sorted(slot for slot in slots if not isinstance(slot, Refusal)) == [2, 3, 4, 5, 6, 7]


async def test_calls_above_a_limit_that_was_lowered_count_until_they_end(stores: Stores) -> None:
    for number in range(1, 5):
        assert await stores.attempts.admit(attempt(f"a{number}", limit=4)) == number
    await stores.attempts.settle("a1", answered(), at(1))
    await stores.attempts.settle("a2", answered(), at(1))

    assert await stores.attempts.admit(attempt("b1", limit=2)) == Refusal.NO_ROOM
    await stores.attempts.settle("a4", answered(), at(1))
    assert await stores.attempts.admit(attempt("b1", limit=2)) == 1
    assert await stores.attempts.admit(attempt("b2", limit=2)) == Refusal.NO_ROOM


async def test_there_is_one_canary_at_a_time_whatever_else_is_under_way(stores: Stores) -> None:
    for number in range(3):
        await stores.attempts.admit(attempt(f"a{number}"))

    tried = await asyncio.gather(*(stores.attempts.admit(attempt(f"c{number}", canary=True)) for number in range(20)))

    assert sorted(tried, key=str) == [CANARY_SLOT, *[Refusal.TRIAL_UNDER_WAY] * 19]
    assert (await stores.known()).canary_in_flight
    await stores.attempts.settle(f"c{tried.index(CANARY_SLOT)}", answered(), at(1))
    assert not (await stores.known()).canary_in_flight
    assert await stores.attempts.admit(attempt("next", canary=True)) == CANARY_SLOT


async def test_an_attempt_asked_for_again_has_the_slot_it_has(stores: Stores) -> None:
    await stores.attempts.admit(attempt("other"))

    slots = await asyncio.gather(*(stores.attempts.admit(attempt("a1", reserve="1", budget="9")) for _ in range(10)))

    assert slots == [2] * 10
    known = await stores.known()
    assert (known.in_flight, known.spent_usd) == (2, Decimal(1))


async def test_an_attempt_that_has_ended_is_not_made_again(stores: Stores) -> None:
    await stores.ended(attempt("a1"), answered(), 1)

    assert await stores.attempts.admit(attempt("a1", minute=2)) == Refusal.ENDED
    assert (await stores.known()).in_flight == 0


async def test_an_attempt_ended_again_stands_as_it_is(stores: Stores) -> None:
    await stores.ended(attempt("a1", reserve="2", budget="9"), answered("1"), 1)
    await stores.attempts.admit(attempt("a2"))

    await stores.attempts.settle("a1", failed(cost_at_most_usd="5"), at(2))

    known = await stores.known()
    assert ([sample.failure for sample in known.samples], known.in_flight, known.spent_usd) == ([None], 1, Decimal(1))


async def test_what_nobody_renews_ends_as_lost_exactly_once(stores: Stores) -> None:
    for number in range(1, 6):
        await stores.attempts.admit(attempt(f"a{number}", limit=5))
    await stores.attempts.renew(["a1", "a2"], at(0) + 2 * LEASE)
    await stores.attempts.settle("a3", answered(), at(0.1))

    swept = await asyncio.gather(*(stores.attempts.sweep(at(0) + LEASE) for _ in range(10)))

    lost = [(each.attempt_id, each.provider, each.slot, each.started_at) for found in swept for each in found]
    assert sorted(lost) == [("a4", GROQ, 4, at(0)), ("a5", GROQ, 5, at(0))]
    known = await stores.known()
    assert known.in_flight == 2
    assert {sample.attempt_id: sample.failure for sample in known.samples} == {
        "a3": None,
        "a4": FailureClass.LOST,
        "a5": FailureClass.LOST,
    }
    assert [await stores.attempts.admit(attempt(f"b{number}", limit=5)) for number in range(3)] == [3, 4, 5]


async def test_a_lease_is_not_over_before_its_time(stores: Stores) -> None:
    await stores.attempts.admit(attempt())

    assert await stores.attempts.sweep(at(0) + LEASE * 0.99) == []


async def test_a_lost_canary_is_told_as_one(stores: Stores) -> None:
    await stores.attempts.admit(attempt(canary=True))

    [lost] = await stores.attempts.sweep(at(1))

    assert (lost.slot, (await stores.known()).canary_in_flight) == (CANARY_SLOT, False)


async def test_a_lost_attempt_that_ends_after_all_gets_its_true_outcome_and_frees_no_slot_of_others(
    stores: Stores,
) -> None:
    await stores.attempts.admit(attempt("a1", limit=1))
    await stores.attempts.sweep(at(1))
    assert await stores.attempts.admit(attempt("a2", limit=1, minute=1)) == 1

    await stores.attempts.settle("a1", answered(), at(1.1))

    known = await stores.known()
    assert ([sample.failure for sample in known.samples], known.in_flight) == ([None], 1)
    assert await stores.attempts.sweep(at(1.1)) == []


async def test_a_call_that_stays_silent_is_known_from_its_next_renewal_on(stores: Stores) -> None:
    for minute in (1, 2, 3):
        await stores.attempts.admit(attempt(f"a{minute}", minute=minute))
    before = (await stores.known(minute=3)).oldest_silent_since
    await stores.attempts.renew(["a1", "a2", "a3"], at(9), silent=["a2", "a3"])
    silent = (await stores.known(minute=3)).oldest_silent_since
    await stores.attempts.renew(["a2", "a3"], at(9), silent=["a3"])
    await stores.attempts.settle("a3", answered(), at(3))

    assert (before, silent) == (None, at(2))
    assert (await stores.known(minute=3)).oldest_silent_since is None


async def test_the_ends_of_attempts_their_renewals_and_sweeps_do_not_wait_for_each_other(stores: Stores) -> None:
    names = [f"a{number}" for number in range(40)]
    await asyncio.gather(*(stores.attempts.admit(attempt(name, limit=40, budget="99")) for name in names))
    under_way = (await stores.known()).in_flight

    await asyncio.gather(
        *(stores.attempts.settle(name, answered("1"), at(1)) for name in names),
        *(stores.attempts.renew(names, at(0) + LEASE * (1 + number % 2)) for number in range(20)),
        *(stores.attempts.sweep(at(1)) for _ in range(20)),
    )

    known = await stores.known(minute=1)
    assert (known.in_flight, len(known.samples), known.spent_usd) == (0, under_way, Decimal(under_way))


async def test_the_ledger_outlives_the_session(pool: Pool) -> None:
    turns, attempts = await opened(pool), PostgresAttempts(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await attempts.admit(attempt("a1", session_id=CHAT, turn=1))
    await attempts.settle("a1", answered("0.5"), at(1))

    async with pool.connection() as connection:
        await connection.execute("DELETE FROM sessions")
        rows = await connection.fetch("SELECT session_id, turn, cost_usd FROM attempts")

    assert [tuple(row) for row in rows] == [(None, 1, Decimal("0.5"))]
