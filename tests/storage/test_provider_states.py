"""What was decided about the providers: changed under a lock, told to all workers, and remembered."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.state import Breaker, Gate, GateKind, Known, Probe, ProviderState
from tertulia.storage.pool import Pool
from tertulia.storage.provider_states import SAMPLES, PostgresProviderStates

from .examples import at
from .provider_examples import ACME, GEMINI, GROQ, Stores, answered, attempt, failed

OPEN = ProviderState(
    breaker=Breaker(opened_at=at(1), open_until=at(2), openings=1, reason=FailureClass.SERVER, strikes=5),
    gates={GateKind.QUOTA: Gate(until=at(9), detail="50 a day", key_fingerprint="abc")},
    limit=2.5,
    limit_changed_at=at(1),
    maintenance="moving house",
    probe=Probe(at=at(1), reachable=False, latency_ms=12.5, failed_in_a_row=2),
)
PROBED = ProviderState(probe=Probe(at=at(3), reachable=True, latency_ms=9))


def struck(state: ProviderState, times: int = 1) -> ProviderState:
    return state.model_copy(update={"breaker": Breaker(strikes=state.breaker.strikes + times)})


def becomes(state: ProviderState) -> Callable[[ProviderState], ProviderState]:
    return lambda _: state


async def test_nothing_is_known_of_providers_that_nobody_asked(stores: Stores) -> None:
    assert await stores.states.read(at(0), at(1)) == {}


async def test_a_state_comes_back_as_it_was_decided(stores: Stores) -> None:
    changed = await stores.states.change(GROQ, becomes(OPEN), at=at(1), reason="server")

    assert changed == OPEN
    assert await stores.states.read(at(0), at(1)) == {GROQ: Known(state=OPEN)}


async def test_changes_of_many_workers_at_once_all_count(stores: Stores) -> None:
    await asyncio.gather(
        *(stores.states.change(GROQ, partial(struck, times=number), at=at(1), reason="server") for number in range(30))
    )

    assert (await stores.known()).state.breaker.strikes == sum(range(30))


async def test_a_change_that_fails_changes_nothing_and_holds_nobody_up(stores: Stores) -> None:
    def broken(_: ProviderState) -> ProviderState:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await stores.states.change(GROQ, broken, at=at(1), reason="server")

    assert await stores.states.change(GROQ, struck, at=at(2), reason="server") == struck(ProviderState())


async def test_every_change_is_news_to_everybody_and_what_stays_the_same_is_not(stores: Stores) -> None:
    async with stores.states.news() as here, stores.states.news() as there:
        await settled(stores, here, there)
        await stores.states.change(GROQ, becomes(PROBED), at=at(3), reason="probe")
        await asyncio.gather(here.wait(), there.wait())
        here.clear()

        await stores.states.change(GROQ, becomes(PROBED), at=at(4), reason="probe")
        await stores.states.change(GEMINI, lambda state: state, at=at(4), reason="probe")
        assert not here.is_set()
        await stores.configs.remove(GEMINI, at=at(5))
        await here.wait()


async def settled(stores: Stores, *events: asyncio.Event) -> None:
    """Wait until all are listening, of which they are told, or can tell at once."""
    if isinstance(stores.states, PostgresProviderStates):
        await asyncio.gather(*(event.wait() for event in events))
    for event in events:
        event.clear()


async def test_what_lets_calls_through_or_keeps_them_away_is_remembered_newest_first(stores: Stores) -> None:
    closed = OPEN.model_copy(update={"maintenance": None, "breaker": Breaker()})
    for minute, state in enumerate([PROBED, OPEN, struck(OPEN), struck(struck(OPEN)), closed, OPEN]):
        await stores.states.change(GROQ, becomes(state), at=at(minute), reason=f"reason {minute}")
    await stores.states.change(GEMINI, becomes(OPEN), at=at(9), reason="another")

    history = await stores.metrics.history(GROQ, 3)

    assert [(each.at, each.reason, each.before, each.after) for each in history] == [
        (at(5), "reason 5", closed, OPEN),
        (at(4), "reason 4", struck(struck(OPEN)), closed),
        (at(2), "reason 2", OPEN, struck(OPEN)),
    ]
    assert len(await stores.metrics.history(GROQ, 99)) == 4


async def test_samples_are_the_attempts_that_ended_lately_oldest_first(stores: Stores) -> None:
    await stores.ended(attempt("old", minute=1), answered(), 2)
    await stores.ended(
        attempt("a1", minute=3, is_retry=True),
        answered(usage={"output_visible": 7, "output_reasoning": 3}, limits={"remaining": 0.4, "until": at(9)}),
        5,
    )
    await stores.ended(attempt("a2", minute=3), failed(), 4)
    await stores.ended(attempt("g1", GEMINI, minute=3), answered(), 4)
    await stores.attempts.admit(attempt("running", minute=4))

    bad, good = (await stores.known(since=2.5)).samples

    assert (bad.attempt_id, bad.failure, bad.ttft_ms, bad.latency_ms, bad.is_retry, bad.remaining) == (
        "a2",
        FailureClass.SERVER,
        None,
        30,
        False,
        None,
    )
    assert (good.attempt_id, good.provider, good.started_at, good.ended_at, good.failure, good.is_retry) == (
        "a1",
        GROQ,
        at(3),
        at(5),
        None,
        True,
    )
    assert (good.ttft_ms, good.output_tokens, good.remaining, good.remaining_until) == (80, 10, 0.4, at(9))


async def test_samples_are_bounded_and_the_newest(stores: Stores) -> None:
    for number in range(SAMPLES + 5):
        await stores.ended(attempt(f"a{number}"), answered(), number / 100)

    samples = (await stores.known()).samples

    assert [sample.attempt_id for sample in samples] == [f"a{number}" for number in range(5, SAMPLES + 5)]


async def test_what_is_reserved_and_spent_today_is_known(stores: Stores) -> None:
    await stores.ended(attempt("y", minute=-60 * 13, reserve="4", budget="9"), answered("4"), -60 * 13)
    await stores.ended(attempt("a1", reserve="2", budget="9"), answered("0.5"), 1)
    await stores.attempts.admit(attempt("a2", reserve="3", budget="9", tenant=ACME))

    assert (await stores.known()).spent_usd == Decimal("3.5")
    assert (await stores.known(minute=60 * 13)).spent_usd == 0


async def test_a_state_is_stored_only_where_it_differs(pool: Pool, database: str) -> None:
    states = PostgresProviderStates(pool, database)
    await states.change(GROQ, becomes(OPEN), at=at(1), reason="server")

    await states.change(GROQ, lambda state: state, at=at(2), reason="server")

    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT updated_at FROM provider_state") == at(1)
