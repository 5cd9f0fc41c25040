from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers import breaker, health
from tertulia.domain.providers.attempts import CANARY_SLOT, LostAttempt
from tertulia.domain.providers.breaker import Phase
from tertulia.domain.providers.evidence import Ended, after_attempt, after_lost
from tertulia.domain.providers.state import Breaker, ProviderState, Sample
from tests.domain.conversations import NOW
from tests.domain.providers_seen import A, ago, ahead, answers, failures, provider, sample

CLOSED = Breaker()


def fail(
    before: Breaker,
    failure: FailureClass = FailureClass.SERVER,
    *,
    recent: tuple[Sample, ...] = (),
    started: float = 0,
    now: float = 0,
    canary: bool = False,
    jitter: float = 1,
) -> Breaker:
    """Let a call fail; times are seconds from NOW."""
    weighed = [(each, health.weight(each.failure) if each.failure else 0.0) for each in recent]
    at, weight = ahead(now), health.weight(failure)
    return breaker.after_failure(before, failure, weight, weighed, ahead(started), at, jitter, canary=canary)


def answer(before: Breaker, *, started: float = 0, now: float = 0, canary: bool = True) -> Breaker:
    return breaker.after_answer(before, ahead(started), ahead(now), canary=canary)


def opened(openings: int = 1, reason: FailureClass = FailureClass.SERVER) -> Breaker:
    return breaker.opened(Breaker(openings=openings - 1), reason, NOW, 1)


def test_five_failures_in_a_row_open_it() -> None:
    state = CLOSED
    for _ in range(4):
        state = fail(state)
        assert breaker.phase(state, NOW) is Phase.CLOSED
    state = fail(state)
    assert breaker.phase(state, NOW) is Phase.OPEN
    assert state.reason is FailureClass.SERVER


def test_two_failures_to_connect_open_it() -> None:
    once = fail(CLOSED, FailureClass.CONNECT)
    assert breaker.phase(once, NOW) is Phase.CLOSED
    assert breaker.phase(fail(once, FailureClass.CONNECT), NOW) is Phase.OPEN


def test_an_answer_ends_a_row_of_failures() -> None:
    state = CLOSED
    for _ in range(4):
        state = fail(state)
    state = fail(answer(state, canary=False))
    assert breaker.phase(state, NOW) is Phase.CLOSED


def test_an_answer_of_a_healthy_provider_changes_nothing() -> None:
    assert answer(CLOSED, canary=False) is CLOSED


def test_half_of_the_last_minutes_calls_failed_opens_it() -> None:
    mixed = (*answers(5), *failures(4))
    assert breaker.phase(fail(CLOSED, recent=mixed), NOW) is Phase.OPEN
    assert breaker.phase(fail(CLOSED, recent=(*answers(6), *failures(4))), NOW) is Phase.CLOSED


def test_few_calls_or_old_ones_are_no_majority() -> None:
    assert breaker.phase(fail(CLOSED, recent=failures(8)), NOW) is Phase.CLOSED
    old = tuple(sample(FailureClass.SERVER, ended=61 + number) for number in range(9))
    assert breaker.phase(fail(CLOSED, recent=old), NOW) is Phase.CLOSED


def test_refusals_are_neither_failures_nor_calls() -> None:
    limited = failures(20, FailureClass.RATE_LIMIT)
    assert breaker.phase(fail(CLOSED, recent=(*limited, *answers(4), *failures(4))), NOW) is Phase.CLOSED
    assert fail(CLOSED, FailureClass.RATE_LIMIT) is CLOSED


def test_half_weighted_failures_need_all_calls_to_fail() -> None:
    overloaded = failures(9, FailureClass.OVERLOADED)
    assert breaker.phase(fail(CLOSED, FailureClass.OVERLOADED, recent=overloaded), NOW) is Phase.OPEN
    one_answer = (*overloaded[1:], *answers(1))
    assert breaker.phase(fail(CLOSED, FailureClass.OVERLOADED, recent=one_answer), NOW) is Phase.CLOSED


@pytest.mark.parametrize(("openings", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (40, 300)])
def test_each_opening_lasts_twice_as_long_up_to_five_minutes(openings: int, seconds: int) -> None:
    state = CLOSED
    for _ in range(openings):
        state = breaker.opened(state, FailureClass.SERVER, NOW, 1)
    assert state.open_until == ahead(seconds)


@given(openings=st.integers(0, 50), jitter=st.floats(0.8, 1.2))
def test_it_never_stays_open_for_longer_than_five_minutes(openings: int, jitter: float) -> None:
    state = breaker.opened(Breaker(openings=openings), FailureClass.SERVER, NOW, jitter)
    assert state.open_until is not None
    assert timedelta(seconds=8) <= state.open_until - NOW <= timedelta(seconds=300)


def test_thirty_seconds_of_health_undo_one_doubling() -> None:
    recovered = Breaker(openings=3, recovered_at=NOW)
    assert breaker.opened(recovered, FailureClass.SERVER, ahead(29), 1).openings == 4
    assert breaker.opened(recovered, FailureClass.SERVER, ahead(30), 1).openings == 3
    assert breaker.opened(recovered, FailureClass.SERVER, ahead(3600), 1).openings == 1


def test_after_its_time_it_is_half_open() -> None:
    state = opened()
    assert breaker.phase(state, ahead(9.9)) is Phase.OPEN
    assert breaker.phase(state, ahead(10)) is Phase.HALF_OPEN


def test_two_answered_canaries_close_it() -> None:
    once = answer(opened(), started=11, now=12)
    assert breaker.phase(once, ahead(12)) is Phase.HALF_OPEN
    closed = answer(once, started=13, now=14)
    assert breaker.phase(closed, ahead(14)) is Phase.CLOSED
    assert closed.recovered_at == ahead(14)


def test_a_failed_canary_opens_it_for_longer() -> None:
    once = answer(opened(), started=11, now=12)
    again = fail(once, started=13, now=14, canary=True)
    assert again.open_until == ahead(34)
    assert again.canaries == 0


def test_a_canary_that_is_refused_proves_nothing() -> None:
    state = opened()
    assert fail(state, FailureClass.RATE_LIMIT, started=11, now=12, canary=True) is state


def test_calls_from_before_it_opened_tell_nothing() -> None:
    state = opened()
    assert answer(state, started=-1, now=2) is state
    assert answer(state, started=1, now=2, canary=False) is state
    assert fail(state, started=-1, now=2, canary=True) is state
    recovered = Breaker(openings=1, recovered_at=NOW)
    assert fail(recovered, started=-1, now=2) is recovered


def test_a_canary_asked_early_for_want_of_others_brings_the_next_one_forward() -> None:
    state = answer(opened(6), started=1, now=2)
    assert breaker.phase(state, ahead(2)) is Phase.HALF_OPEN


def test_a_lost_canary_opens_it_again() -> None:
    state = breaker.canary_lost(opened(), ahead(11), ahead(30), 1)
    assert (state.open_until, state.reason) == (ahead(50), FailureClass.LOST)


def test_a_canary_lost_before_the_last_opening_changes_nothing() -> None:
    state = opened()
    assert breaker.canary_lost(state, ago(1), ahead(5), 1) is state
    assert breaker.canary_lost(CLOSED, ago(1), ahead(5), 1) is CLOSED


def test_a_passed_probe_brings_the_trial_forward_where_no_connection_was_made() -> None:
    state = opened(5, FailureClass.CONNECT)
    assert breaker.after_probe(state, ahead(1), reachable=True).open_until == ahead(40)
    assert breaker.after_probe(state, ahead(60), reachable=True).open_until == ahead(60)
    short = opened(1, FailureClass.CONNECT)
    assert breaker.after_probe(short, ahead(1), reachable=True) == short


def test_a_failed_probe_keeps_it_open_until_the_next_one() -> None:
    state = breaker.after_probe(opened(2, FailureClass.CONNECT), ahead(15), reachable=False)
    assert state.open_until == ahead(35)


@pytest.mark.parametrize("reachable", [True, False])
def test_a_probe_tells_nothing_where_answers_failed(reachable: bool) -> None:
    state = opened(3, FailureClass.TIMEOUT)
    assert breaker.after_probe(state, ahead(5), reachable=reachable) is state


@given(
    state=st.builds(opened, st.integers(1, 8), st.sampled_from(FailureClass)),
    at=st.floats(0, 1000),
    reachable=st.booleans(),
)
def test_no_probe_ever_closes_it(state: Breaker, at: float, reachable: bool) -> None:
    after = breaker.after_probe(state, ahead(at), reachable=reachable)
    assert after.opened_at == state.opened_at
    assert after.open_until is not None


def test_the_slow_start_rises_from_a_tenth_to_all_within_thirty_seconds() -> None:
    recovered = Breaker(openings=1, recovered_at=NOW)
    shares = [breaker.slow_start(recovered, ahead(seconds)) for seconds in (0, 3, 15, 30, 60)]
    assert shares == pytest.approx([0.1, 0.1, 0.5, 1, 1])
    assert breaker.slow_start(CLOSED, NOW) == 1


# --- every order of events with several workers -----------------------------------------------------------------------
# The workers share the state and the canary's lease, as storage keeps them, and act on views of the state that may be
# old. Any of them may die, or freeze and settle after its lease has been swept.

STEP = timedelta(seconds=8)
LEASE = timedelta(seconds=15)
Item = TypeVar("Item")
FAILED = ProviderFailure(FailureClass.SERVER, "")


@dataclass(frozen=True)
class Call:
    canary: bool
    started_at: datetime
    frozen: bool = False


@dataclass(frozen=True)
class Lease:
    worker: int
    started_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class World:
    """What there is.

    Attributes:
        views: The breaker as each worker knows it.
        calls: What each worker has under way.
        proofs: Answers to calls on trial that began after the breaker opened last.
    """

    now: datetime
    breaker: Breaker
    views: tuple[Breaker, ...]
    calls: tuple[Call | None, ...]
    lease: Lease | None = None
    proofs: int = 0


def moves(world: World) -> list[World]:
    return [tick(world), *sweep(world), *(after for worker in range(len(world.calls)) for after in acts(world, worker))]


def tick(world: World) -> World:
    """Pass time; living workers renew their leases."""
    now, lease = world.now + STEP, world.lease
    if lease and (call := world.calls[lease.worker]) and holds(world, lease.worker, call) and not call.frozen:
        lease = replace(lease, expires_at=now + LEASE)
    return replace(world, now=now, lease=lease)


def holds(world: World, worker: int, call: Call) -> bool:
    lease = world.lease
    return call.canary and lease is not None and (lease.worker, lease.started_at) == (worker, call.started_at)


def sweep(world: World) -> list[World]:
    if world.lease is None or world.now < world.lease.expires_at:
        return []
    lost = LostAttempt("canary", A, CANARY_SLOT, world.lease.started_at)
    after = after_lost(ProviderState(breaker=world.breaker), lost, world.now, 1).breaker
    return [changed(replace(world, lease=None), after)]


def acts(world: World, worker: int) -> list[World]:
    seen = replace(world, views=put(world.views, worker, world.breaker))
    call = world.calls[worker]
    if call is None:
        return [seen, *begin(world, worker)]
    died = replace(world, calls=put(world.calls, worker, None))
    froze = replace(world, calls=put(world.calls, worker, replace(call, frozen=True)))
    return [seen, died, froze, settle(world, worker, call, None), settle(world, worker, call, FAILED)]


def begin(world: World, worker: int) -> list[World]:
    """Ask as the view says. An open breaker is asked too, for that is what happens where nobody else is left."""
    canary = breaker.phase(world.views[worker], world.now) is not Phase.CLOSED
    if canary and world.lease is not None:
        return []
    begun = replace(world, calls=put(world.calls, worker, Call(canary, world.now)))
    return [replace(begun, lease=Lease(worker, world.now, world.now + LEASE)) if canary else begun]


def settle(world: World, worker: int, call: Call, failure: ProviderFailure | None) -> World:
    ended = Ended(f"{worker}", call.started_at, CANARY_SLOT if call.canary else 1, in_flight=1, failure=failure)
    before = ProviderState(breaker=world.breaker)
    after = after_attempt(before, provider("a"), ended, (), world.now, 1).breaker
    opened_at = world.breaker.opened_at
    proof = failure is None and call.canary and opened_at is not None and call.started_at >= opened_at
    world = replace(
        world,
        calls=put(world.calls, worker, None),
        lease=None if holds(world, worker, call) else world.lease,
        proofs=world.proofs + proof,
    )
    return changed(world, after)


def changed(world: World, after: Breaker) -> World:
    if world.breaker.opened_at is not None and after.opened_at is None:
        assert world.proofs >= breaker.CANARIES, "it closed without real answers"
    reopened = after.opened_at != world.breaker.opened_at
    return replace(world, breaker=after, proofs=0 if reopened else world.proofs)


def put(items: tuple[Item, ...], place: int, item: Item) -> tuple[Item, ...]:
    return (*items[:place], item, *items[place + 1 :])


def start(workers: int) -> World:
    """Begin with a breaker that the next failure opens, and a call under way."""
    almost = Breaker(strikes=4)
    calls = (Call(canary=False, started_at=NOW), *[None] * (workers - 1))
    return World(NOW, almost, (almost,) * workers, calls)


def explored(workers: int, depth: int) -> set[World]:
    """Return all worlds that so many moves can lead to."""
    seen = latest = {start(workers)}
    for _ in range(depth):
        latest = {after for world in latest for after in moves(world)} - seen
        seen = seen | latest
    return seen


@pytest.mark.parametrize(("workers", "depth"), [(2, 11), (3, 8)])
def test_whatever_workers_do_there_is_one_canary_its_slot_comes_free_and_only_answers_close(
    workers: int, depth: int
) -> None:
    worlds = explored(workers, depth)  # asserts at every move that only answers to canaries close it
    assert any(world.breaker.recovered_at for world in worlds)
    for world in worlds:
        under_way = [call for call in world.calls if call and call.canary and not call.frozen]
        assert len(under_way) <= 1, world
        if world.lease and not under_way:
            # Its worker has died or froze: two ticks later the sweep frees the slot, whatever state it is in.
            (swept,) = sweep(tick(tick(world)))
            assert swept.lease is None
