from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers import evidence, gates, limits
from tertulia.domain.providers.attempts import LostAttempt
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.domain.providers.evidence import Ended
from tertulia.domain.providers.gates import Gates
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.state import NOTHING_DECIDED, Breaker, Gate, GateKind, ProviderState
from tests.domain.conversations import NOW
from tests.domain.providers_seen import A, ago, ahead, failures, provider

GROQ = provider("groq", kind="groq", api_key="first")
CLOSING = {
    FailureClass.RATE_LIMIT: (GateKind.RATE_LIMIT, ahead(5)),
    FailureClass.QUOTA: (GateKind.QUOTA, datetime(2026, 3, 11, tzinfo=UTC)),
    FailureClass.BILLING: (GateKind.BILLING, ahead(3600)),
    FailureClass.AUTH: (GateKind.AUTH, None),
    FailureClass.CONFIG: (GateKind.CONFIG, ahead(600)),
}


def close(failure: FailureClass, hint: float | None = None, *, before: Gates | None = None, chance: float = 0) -> Gates:
    retry_after = None if hint is None else timedelta(seconds=hint)
    failed = ProviderFailure(failure, "says why", retry_after=retry_after)
    return gates.after_failure(before or {}, GROQ, failed, NOW, chance)


def attempt(
    state: ProviderState,
    failure: FailureClass | None = None,
    *,
    hint: float | None = None,
    slot: int = 1,
    started: float = 0,
    now: float = 0,
    in_flight: int = 1,
    config: ProviderConfig = GROQ,
    jitter: float = 1,
) -> ProviderState:
    retry_after = None if hint is None else timedelta(seconds=hint)
    failed = None if failure is None else ProviderFailure(failure, "", retry_after=retry_after)
    ended = Ended("it", ahead(started), slot, in_flight, failed)
    return evidence.after_attempt(state, config, ended, (), ahead(now), jitter)


@pytest.mark.parametrize("failure", FailureClass)
def test_refusals_close_their_gate_and_illnesses_none(failure: FailureClass) -> None:
    closed = {kind: gate.until for kind, gate in close(failure).items()}
    assert closed == (dict([CLOSING[failure]]) if failure in CLOSING else {})


def test_an_overload_closes_a_gate_only_if_the_provider_says_for_how_long() -> None:
    assert close(FailureClass.OVERLOADED, 3)[GateKind.RATE_LIMIT].until == ahead(3)


@given(
    failure=st.sampled_from([FailureClass.RATE_LIMIT, FailureClass.QUOTA, FailureClass.OVERLOADED]),
    hint=st.floats(0.001, 86_400),
    jitter=st.floats(0.8, 1.2),
)
def test_a_gate_opens_never_before_the_hint_and_at_most_a_tenth_after_it(
    failure: FailureClass, hint: float, jitter: float
) -> None:
    state = attempt(NOTHING_DECIDED, failure, hint=hint, jitter=jitter)
    (gate,) = state.gates.values()
    assert gate.until is not None
    asked = timedelta(seconds=hint)
    assert asked <= gate.until - NOW <= asked * 1.1 + timedelta(microseconds=2)


def test_a_shorter_hint_does_not_open_a_gate_earlier() -> None:
    long = close(FailureClass.RATE_LIMIT, 60)
    assert close(FailureClass.RATE_LIMIT, 5, before=long) == long
    assert close(FailureClass.RATE_LIMIT, 90, before=long)[GateKind.RATE_LIMIT].until == ahead(90)


def test_the_gate_that_stays_closed_longest_is_named() -> None:
    both = close(FailureClass.QUOTA, 30, before=close(FailureClass.RATE_LIMIT, 60))
    for at, expected in ((NOW, GateKind.RATE_LIMIT), (ahead(59), GateKind.RATE_LIMIT)):
        closed = gates.closed(both, GROQ, at)
        assert closed is not None
        assert closed[0] is expected
    assert gates.closed(both, GROQ, ahead(60)) is None
    for_ever = gates.closed(close(FailureClass.AUTH, before=both), GROQ, NOW)
    assert for_ever is not None
    assert for_ever[0] is GateKind.AUTH


def test_a_gate_closed_for_one_key_is_open_for_another() -> None:
    closed = close(FailureClass.AUTH)
    assert gates.closed(closed, GROQ, NOW)
    assert gates.closed(closed, provider("groq", kind="groq", api_key="second"), NOW) is None


def test_another_key_opens_the_gates_of_the_account_and_another_model_all() -> None:
    closed = close(FailureClass.CONFIG, before=close(FailureClass.BILLING, before=close(FailureClass.AUTH)))
    state = ProviderState(gates=closed)
    other_key = provider("groq", kind="groq", api_key="second")
    other_model = provider("groq", kind="groq", api_key="first", model="other")
    assert set(evidence.after_update(state, GROQ, other_key).gates) == {GateKind.CONFIG}
    assert evidence.after_update(state, GROQ, other_model).gates == {}
    heavier = provider("groq", kind="groq", api_key="first", weight=2)
    assert evidence.after_update(state, GROQ, heavier) == state


@pytest.mark.parametrize(
    ("kind", "still_closed"),
    [
        (ProviderKind.OPENROUTER, {GateKind.CONFIG, GateKind.QUOTA}),
        (ProviderKind.GEMINI, {GateKind.BILLING, GateKind.QUOTA}),
        (ProviderKind.GROQ, {GateKind.BILLING, GateKind.CONFIG, GateKind.QUOTA}),
    ],
)
def test_a_passed_probe_opens_what_it_can_prove(kind: ProviderKind, still_closed: set[GateKind]) -> None:
    config = provider("it", kind=kind)
    kinds = (GateKind.AUTH, GateKind.BILLING, GateKind.CONFIG, GateKind.QUOTA)
    state = ProviderState(gates={each: Gate(until=ahead(60)) for each in kinds})
    after = evidence.after_probe(state, config, ProbeResult(reachable=True, latency_ms=3), NOW)
    assert set(after.gates) == still_closed


def test_a_failed_probe_closes_what_it_finds_wrong_and_is_counted() -> None:
    wrong_key = ProbeResult(reachable=False, latency_ms=3, detail="no", failure=FailureClass.AUTH)
    once = evidence.after_probe(NOTHING_DECIDED, GROQ, wrong_key, NOW)
    assert gates.closed(once.gates, GROQ, NOW)
    twice = evidence.after_probe(once, GROQ, ProbeResult(reachable=False, latency_ms=3), NOW)
    assert twice.gates == once.gates
    assert twice.probe is not None
    assert twice.probe.failed_in_a_row == 2
    healed = evidence.after_probe(twice, GROQ, ProbeResult(reachable=True, latency_ms=3), NOW)
    assert healed.gates == {}
    assert healed.probe is not None
    assert healed.probe.failed_in_a_row == 0


@pytest.mark.parametrize(
    ("failure", "until"),
    [
        (FailureClass.AUTH, ahead(12)),
        (FailureClass.RATE_LIMIT, ahead(12)),
        (FailureClass.CONNECT, ahead(42)),
        (FailureClass.TIMEOUT, ahead(42)),
        (None, ahead(42)),
    ],
)
def test_any_refusal_shows_that_the_provider_can_be_reached(failure: FailureClass | None, until: datetime) -> None:
    open_for_long = Breaker(opened_at=NOW, open_until=ahead(40), openings=3, reason=FailureClass.CONNECT)
    refused = ProbeResult(reachable=False, latency_ms=3, failure=failure)
    after = evidence.after_probe(ProviderState(breaker=open_for_long), GROQ, refused, ahead(12))
    assert after.breaker.open_until == until


def test_an_answer_forgets_gates_that_have_opened_by_themselves() -> None:
    state = ProviderState(gates=close(FailureClass.RATE_LIMIT, 5))
    assert attempt(state, started=4, now=9) == state
    assert attempt(state, started=6, now=9).gates == {}


def test_an_answer_of_a_healthy_provider_changes_nothing() -> None:
    assert attempt(NOTHING_DECIDED, in_flight=10) == NOTHING_DECIDED


def test_a_call_that_we_cancelled_changes_nothing() -> None:
    assert attempt(NOTHING_DECIDED, FailureClass.CANCELLED) == NOTHING_DECIDED
    assert attempt(NOTHING_DECIDED, FailureClass.INTERNAL) == NOTHING_DECIDED


def test_an_attempt_is_not_counted_twice_where_the_ledger_has_it_already() -> None:
    before = failures(9)
    last = ProviderFailure(FailureClass.SERVER, "")
    counted = Ended(before[-1].attempt_id, ago(1), 1, 1, last)
    assert evidence.after_attempt(NOTHING_DECIDED, GROQ, counted, before, NOW, 1).breaker.opened_at is None
    another = Ended("another", ago(1), 1, 1, last)
    assert evidence.after_attempt(NOTHING_DECIDED, GROQ, another, before, NOW, 1).breaker.opened_at == NOW


def test_a_lost_worker_says_nothing_of_the_provider_but_of_its_canary() -> None:
    state = ProviderState(breaker=Breaker(opened_at=ago(30), open_until=ago(20), openings=1))
    assert evidence.after_lost(state, LostAttempt("it", A, 1, ago(10)), NOW, 1) == state
    reopened = evidence.after_lost(state, LostAttempt("it", A, 0, ago(10)), NOW, 1)
    assert reopened.breaker.open_until == ahead(20)


def test_maintenance_begins_and_ends() -> None:
    state = evidence.in_maintenance(NOTHING_DECIDED, "a new key")
    assert state.maintenance == "a new key"
    assert evidence.in_service(state) == NOTHING_DECIDED


# --- limits -----------------------------------------------------------------------------------------------------------

TEN = provider("ten", max_concurrent=10)


def test_without_a_refusal_the_limit_is_the_configured_one() -> None:
    assert limits.limit(NOTHING_DECIDED, TEN) == 10


@pytest.mark.parametrize("failure", [FailureClass.RATE_LIMIT, FailureClass.OVERLOADED])
def test_a_refusal_cuts_the_limit_to_seven_tenths_of_what_was_under_way(failure: FailureClass) -> None:
    assert limits.limit(attempt(NOTHING_DECIDED, failure, in_flight=10, config=TEN), TEN) == 7
    assert limits.limit(attempt(NOTHING_DECIDED, failure, in_flight=4, config=TEN), TEN) == 2


def test_other_failures_leave_the_limit() -> None:
    assert attempt(NOTHING_DECIDED, FailureClass.SERVER, in_flight=10).limit is None


def test_calls_that_were_under_way_share_one_cut() -> None:
    once = attempt(NOTHING_DECIDED, FailureClass.RATE_LIMIT, in_flight=10, now=5, config=TEN)
    shared = attempt(once, FailureClass.RATE_LIMIT, in_flight=9, started=4, now=6, config=TEN)
    assert limits.limit(shared, TEN) == 7
    later = attempt(once, FailureClass.RATE_LIMIT, in_flight=7, started=6, now=7, config=TEN)
    assert limits.limit(later, TEN) == 4


def test_a_fully_used_limit_rises_by_one_every_ten_seconds_until_it_is_gone() -> None:
    state = attempt(NOTHING_DECIDED, FailureClass.RATE_LIMIT, in_flight=10, config=TEN)
    assert attempt(state, in_flight=7, now=9, config=TEN).limit == state.limit
    assert attempt(state, in_flight=6, now=10, config=TEN).limit == state.limit
    raised = [state := attempt(state, in_flight=10, now=10 * step, config=TEN) for step in range(1, 4)]
    assert [limits.limit(each, TEN) for each in raised] == [8, 9, 10]
    assert raised[-1].limit is None


@given(limit=st.floats(0.1, 2000) | st.none(), most=st.integers(1, 1000), in_flight=st.integers(1, 1000))
def test_the_limit_stays_between_one_and_the_configured_one(limit: float | None, most: int, in_flight: int) -> None:
    config = provider("it", max_concurrent=most)
    state = ProviderState(limit=limit)
    for after in (state, attempt(state, FailureClass.RATE_LIMIT, in_flight=in_flight, config=config)):
        assert 1 <= limits.limit(after, config) <= most


def test_a_recovered_provider_begins_with_two_calls() -> None:
    half_open = Breaker(opened_at=ago(30), open_until=ago(20), openings=1, canaries=1)
    recovered = attempt(ProviderState(breaker=half_open), slot=0, config=TEN)
    assert recovered.breaker.recovered_at == NOW
    assert limits.limit(recovered, TEN) == 2
    one = provider("one", max_concurrent=1)
    assert limits.limit(attempt(ProviderState(breaker=half_open), slot=0, config=one), one) == 1
