from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import health, routing, snapshots
from tertulia.domain.providers.configs import Feature, LoadBalanceStrategy, ProviderConfig
from tertulia.domain.providers.routing import Decision, Demand, Rotation
from tertulia.domain.providers.snapshots import Snapshot
from tertulia.domain.providers.state import Breaker, Gate, GateKind
from tertulia.domain.turns import Candidate
from tests.domain.conversations import NOW
from tests.domain.providers_seen import A, B, C, ago, ahead, answers, failures, known, provider, usd_per_million

# Each behind the other.
TIERS = [provider("a", priority=1), provider("b", priority=2), provider("c", priority=3)]
PEERS = [provider("a"), provider("b"), provider("c")]

CLOSED_GATE = Gate(until=ahead(60))
OPEN = Breaker(opened_at=ago(1), open_until=ahead(9), openings=1, reason=FailureClass.TIMEOUT)
HALF_OPEN = Breaker(opened_at=ago(30), open_until=ago(20), openings=1, reason=FailureClass.TIMEOUT)
# Within the slow start; the share is a third.
STARTING = Breaker(openings=1, recovered_at=ago(10))
ANY = Demand()


def prepared(
    providers: list[ProviderConfig],
    strategy: LoadBalanceStrategy = LoadBalanceStrategy.ROUND_ROBIN,
    at: datetime = NOW,
    **facts: Any,
) -> Snapshot:
    prices = {each.provider: usd_per_million(1, 4) for each in providers}
    return snapshots.prepare(
        providers, {ProviderName(name): each for name, each in facts.items()}, strategy, prices, at
    )


def decided(providers: list[ProviderConfig], demand: Demand = ANY, *, seed: int = 1, **facts: Any) -> Decision:
    return routing.decide(prepared(providers, **facts), demand, Rotation(), seed)


def order(providers: list[ProviderConfig], demand: Demand = ANY, **facts: Any) -> list[ProviderName]:
    return list(decided(providers, demand, **facts).order)


def reasons(decision: Decision) -> dict[ProviderName, str]:
    return {left.provider: left.reason for left in decision.passed_over}


def first_of(snapshot: Snapshot, count: int = 2000) -> Counter[ProviderName]:
    """Count who goes first in so many questions, each with a fresh rotation."""
    return Counter(routing.decide(snapshot, ANY, Rotation(), seed).order[0] for seed in range(count))


# --- the table of failures --------------------------------------------------------------------------------------------

# again here, again later, elsewhere, weight against its health
TABLE = {
    "connect": (True, True, True, 1.0),
    "timeout": (False, True, True, 1.0),
    "server": (True, True, True, 1.0),
    "overloaded": (True, True, True, 0.5),
    "truncated": (False, True, True, 1.0),
    "malformed": (True, True, True, 0.5),
    "rate_limit": (True, True, True, 0.0),
    "quota": (False, True, True, 0.0),
    "billing": (False, True, True, 0.0),
    "auth": (False, True, True, 0.0),
    "context_length": (False, False, True, 0.0),
    "content_policy": (False, False, True, 0.0),
    "bad_request": (False, False, False, 0.0),
    "config": (False, True, True, 0.0),
    "cancelled": (False, False, False, 0.0),
    "lost": (True, True, True, 0.0),
    "internal": (False, True, True, 0.0),
}


@pytest.mark.parametrize("failure", FailureClass)
def test_every_failure_has_its_row_in_the_table(failure: FailureClass) -> None:
    assert (
        routing.again_here(failure),
        routing.again_later(failure),
        routing.try_elsewhere(failure),
        health.weight(failure),
    ) == TABLE[failure.value]


def test_nobody_waits_long_for_one_provider() -> None:
    def told_to_wait(seconds: int) -> ProviderFailure:
        return ProviderFailure(FailureClass.RATE_LIMIT, "", retry_after=timedelta(seconds=seconds))

    assert routing.try_again_here(told_to_wait(10))
    assert not routing.try_again_here(told_to_wait(11))


# --- who is asked -----------------------------------------------------------------------------------------------------


def test_providers_are_asked_by_their_priority() -> None:
    assert order(list(reversed(TIERS))) == [A, B, C]


def test_nobody_configured_means_nobody_to_ask() -> None:
    assert decided([]).order == ()


@pytest.mark.parametrize(
    ("fields", "facts", "reason", "opens_at"),
    [
        ({"enabled": False}, {}, "it is switched off", None),
        ({"unusable": "no key"}, {}, "no key", None),
        ({}, {"maintenance": ""}, "in maintenance", None),
        ({}, {"maintenance": "a new key"}, "in maintenance: a new key", None),
        ({}, {"gates": {GateKind.RATE_LIMIT: CLOSED_GATE}}, "its rate limit is reached", ahead(60)),
        ({}, {"gates": {GateKind.QUOTA: CLOSED_GATE}}, "its quota is used up", ahead(60)),
        ({}, {"gates": {GateKind.BILLING: CLOSED_GATE}}, "its account has no money left", ahead(60)),
        ({}, {"gates": {GateKind.AUTH: Gate(until=None)}}, "it does not accept the key", None),
        ({}, {"gates": {GateKind.CONFIG: CLOSED_GATE}}, "it does not know the model or the address", ahead(60)),
        (
            {"daily_budget_usd": 5},
            {"spent_usd": Decimal(5)},
            "its budget of the day is spent",
            datetime(2026, 3, 11, tzinfo=UTC),
        ),
        ({}, {"breaker": OPEN}, "it kept failing (timeout)", ahead(9)),
        ({}, {"breaker": OPEN, "canary_in_flight": True}, "a trial call is under way", ahead(1)),
        ({}, {"breaker": HALF_OPEN, "canary_in_flight": True}, "a trial call is under way", ahead(1)),
    ],
)
def test_who_is_passed_over_is_named_with_the_reason_and_when_that_may_end(
    fields: dict[str, Any], facts: dict[str, Any], reason: str, opens_at: datetime | None
) -> None:
    decision = decided([provider("a", **fields), provider("b")], a=known(**facts))
    assert decision.order == (B,)
    assert reasons(decision) == {A: reason}
    assert decision.retry_at == opens_at


def test_a_provider_that_fails_all_its_calls_is_passed_over_before_its_breaker_opens() -> None:
    decision = decided(PEERS[:2], a=known(*failures(3)))
    assert reasons(decision) == {A: "unhealthy: it scores 21 of 100"}


@pytest.mark.parametrize(
    ("fields", "demand", "reason"),
    [
        (
            {"context_window": 5000},
            Demand(input_tokens=4000, max_tokens=1000),
            "its window of 5000 tokens is too small",
        ),
        (
            {"features": {"json_schema"}},
            Demand(needs=frozenset({Feature.JSON_SCHEMA, Feature.TOOLS})),
            "it lacks tools",
        ),
        ({}, Demand(tried=frozenset({A})), "it has been asked already"),
    ],
)
def test_who_can_not_answer_this_question_is_passed_over(fields: dict[str, Any], demand: Demand, reason: str) -> None:
    both = [provider("a", **fields), provider("b", features={"json_schema", "tools"})]
    decision = decided(both, demand)
    assert (decision.order, reasons(decision)) == ((B,), {A: reason})
    assert order(both) == [A, B]


def test_a_preferred_provider_goes_first_whatever_its_priority() -> None:
    assert order(TIERS, Demand(prefer=(C,))) == [C, A, B]
    assert order(TIERS, Demand(prefer=(C, B))) == [C, B, A]


def test_a_preference_for_somebody_who_can_not_be_asked_changes_nothing() -> None:
    assert order(TIERS, Demand(prefer=(C,)), c=known(gates={GateKind.AUTH: CLOSED_GATE})) == [A, B]
    assert order(TIERS, Demand(prefer=(C,)), c=known(in_flight=10)) == [A, B, C]
    assert order(TIERS, Demand(prefer=(ProviderName("nobody"),))) == [A, B, C]


def test_a_preference_takes_nothing_from_the_turns_of_the_others() -> None:
    snapshot, rotation, firsts = prepared(PEERS), Rotation(), Counter[ProviderName]()
    for number in range(40):
        demand = Demand(prefer=(C,)) if number % 4 == 0 else ANY
        decision = routing.decide(snapshot, demand, rotation, number)
        rotation = Rotation(decision.rotation.at, decision.rotation.owed)
        if demand is ANY:
            firsts[decision.order[0]] += 1

    assert firsts == {A: 10, B: 10, C: 10}


def test_nobody_but_those_allowed_is_asked_not_even_as_a_last_resort() -> None:
    only_b = Demand(only=frozenset({B}))

    assert order(TIERS, only_b) == [B]
    assert reasons(decided(TIERS, only_b))[A] == "the application does not use it"
    assert order(TIERS, only_b, b=known(gates={GateKind.AUTH: CLOSED_GATE}), a=known(breaker=OPEN)) == []


def test_a_window_that_just_fits_the_question_fits() -> None:
    fits = [provider("a", context_window=5400)]
    assert order(fits, Demand(input_tokens=4000, max_tokens=1000)) == [A]
    assert order(fits, Demand(input_tokens=4001, max_tokens=1000)) == []


def test_a_degraded_provider_is_asked_after_the_healthy_ones_of_its_priority_but_before_worse_ones() -> None:
    same, worse = [provider("a"), provider("b")], [provider("c", priority=2)]
    assert order(same + worse, a=known(*answers(6), *failures(2))) == [B, A, C]


def test_a_degraded_provider_goes_first_now_and_then() -> None:
    snapshot = prepared(PEERS[:2], a=known(*answers(6), *failures(2)))
    assert first_of(snapshot)[A] / 2000 == pytest.approx(0.05, abs=0.02)


def test_who_has_no_room_is_asked_after_everybody_who_has() -> None:
    full = known(in_flight=10)
    assert order(TIERS, a=full) == [B, C, A]
    assert order(TIERS, a=full, b=full, c=full) == [A, B, C]


def test_calls_picked_since_the_snapshot_take_up_room() -> None:
    snapshot = prepared([provider("a", max_concurrent=2), provider("b", priority=2)])
    rotation, firsts = Rotation(), []
    for seed in range(4):
        decision = routing.decide(snapshot, ANY, rotation, seed)
        rotation = decision.rotation
        firsts.append(decision.order[0])
    assert firsts == [A, A, B, B]


def test_a_refused_provider_gets_as_many_calls_as_it_taught() -> None:
    assert order(TIERS, a=known(limit=3.5, in_flight=3)) == [B, C, A]


def test_who_starts_slowly_gets_its_share_and_goes_behind_the_others_otherwise() -> None:
    snapshot = prepared(TIERS[:2], a=known(breaker=STARTING))
    firsts = first_of(snapshot)
    assert firsts[A] / 2000 == pytest.approx(1 / 3, abs=0.04)
    assert order([TIERS[0]], a=known(breaker=STARTING)) == [A]


# --- trials -----------------------------------------------------------------------------------------------------------


def test_a_provider_on_trial_goes_first_where_somebody_stands_behind_it() -> None:
    assert order(TIERS, a=known(breaker=HALF_OPEN)) == [A, B, C]
    assert order(PEERS[:2], b=known(breaker=HALF_OPEN)) == [B, A]


def test_a_provider_on_trial_goes_last_behind_better_ones() -> None:
    assert order(TIERS, b=known(breaker=HALF_OPEN)) == [A, C, B]


def test_only_one_question_in_front_is_risked_on_a_trial() -> None:
    assert order(TIERS, a=known(breaker=HALF_OPEN), b=known(breaker=HALF_OPEN)) == [A, C, B]


def test_a_worker_begins_one_trial() -> None:
    snapshot = prepared(TIERS[:2], a=known(breaker=HALF_OPEN))
    first = routing.decide(snapshot, ANY, Rotation(), 1)
    second = routing.decide(snapshot, ANY, first.rotation, 2)
    assert (first.order[0], second.order) == (A, (B,))
    assert reasons(second) == {A: "a trial call is under way"}


def test_on_trial_alone_a_provider_is_asked() -> None:
    assert order([TIERS[0]], a=known(breaker=HALF_OPEN)) == [A]


# --- nobody is left ---------------------------------------------------------------------------------------------------


def test_where_nobody_is_left_the_breaker_that_opens_soonest_is_tried_alone() -> None:
    later = OPEN.model_copy(update={"open_until": ahead(20)})
    decision = decided(TIERS, a=known(breaker=later), b=known(breaker=OPEN), c=known(breaker=later))
    assert decision.order == (B,)
    assert set(reasons(decision)) == {A, C}
    assert decision.retry_at == ahead(9)


@pytest.mark.parametrize(
    "facts",
    [
        {"maintenance": "a new key"},
        {"gates": {GateKind.AUTH: Gate(until=None)}},
        {"gates": {GateKind.QUOTA: CLOSED_GATE}},
        {"canary_in_flight": True},
    ],
)
def test_who_is_not_to_be_asked_whatever_happens_is_not_asked_then_either(facts: dict[str, Any]) -> None:
    decision = decided([TIERS[0]], a=known(breaker=OPEN, **facts))
    assert decision.order == ()
    assert len(decision.passed_over) == 1


def test_an_unhealthy_provider_is_tried_before_one_whose_breaker_is_open() -> None:
    assert order(TIERS[:2], a=known(breaker=OPEN), b=known(*failures(3))) == [B]


def test_a_last_resort_must_be_able_to_answer() -> None:
    small = provider("a", context_window=100)
    assert order([small], a=known(breaker=OPEN)) == []
    assert decided([small], a=known(breaker=OPEN)).retry_at is None


def test_the_earliest_opening_of_those_who_could_answer_is_told() -> None:
    small = provider("a", context_window=100)
    decision = decided(
        [small, *TIERS[1:]],
        a=known(gates={GateKind.RATE_LIMIT: Gate(until=ahead(5))}),
        b=known(gates={GateKind.RATE_LIMIT: Gate(until=ahead(40))}),
        c=known(gates={GateKind.AUTH: Gate(until=None)}),
    )
    assert (decision.order, decision.retry_at) == ((), ahead(40))


# --- snapshots and rotations ------------------------------------------------------------------------------------------


def test_a_snapshot_is_valid_until_something_changes_by_time_alone() -> None:
    gate = known(gates={GateKind.RATE_LIMIT: Gate(until=ahead(5)), GateKind.QUOTA: Gate(until=ago(5))})
    assert prepared(TIERS).valid_until is None
    assert prepared(TIERS, a=gate, b=known(breaker=OPEN)).valid_until == ahead(5)
    assert prepared(TIERS, b=known(breaker=OPEN)).valid_until == ahead(9)
    assert prepared(TIERS, b=known(breaker=STARTING)).valid_until == ahead(20)
    assert prepared([provider(daily_budget_usd=1)]).valid_until == datetime(2026, 3, 11, tzinfo=UTC)


def test_the_round_robin_goes_on_over_snapshots() -> None:
    rotation, firsts = Rotation(), ""
    for second in range(9):
        decision = routing.decide(prepared(PEERS, at=ahead(second)), ANY, rotation, seed=second)
        rotation = decision.rotation
        firsts += decision.order[0]
    assert firsts == firsts[:3] * 3
    assert sorted(firsts[:3]) == [A, B, C]


def test_who_comes_back_is_not_owed_the_calls_it_missed() -> None:
    rotation, firsts = Rotation(), ""
    for second in range(60):
        away = known(breaker=OPEN) if second < 30 else known()
        decision = routing.decide(prepared(PEERS[:2], at=ahead(second / 10), a=away), ANY, rotation, seed=second)
        rotation = decision.rotation
        firsts += decision.order[0]
    assert firsts[:30] == "b" * 30
    assert Counter(firsts[30:]) == {A: 15, B: 15}
    assert "aa" not in firsts


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    refreshed=st.integers(1, 20),
)
def test_shares_are_kept_to_one_call_whenever_snapshots_come(weights: list[int], refreshed: int) -> None:
    providers = [provider(f"p{place}", weight=weight, max_concurrent=1000) for place, weight in enumerate(weights)]
    rotation, got = Rotation(), Counter[ProviderName]()
    for call in range(1, 60):
        if call % refreshed in {0, 1}:
            snapshot = prepared(providers, at=ahead(call))
        decision = routing.decide(snapshot, ANY, rotation, call)
        rotation = decision.rotation
        got[decision.order[0]] += 1
        for each in providers:
            assert abs(got[each.provider] - call * each.weight / sum(weights)) < 1


def test_one_decision_for_one_seed() -> None:
    snapshot = prepared(PEERS, LoadBalanceStrategy.LEAST_LOAD)
    once, again = (routing.decide(snapshot, ANY, Rotation(), 7) for _ in range(2))
    assert once == again
    assert len(first_of(snapshot, 100)) == 3


def test_workers_with_an_old_snapshot_do_not_all_go_to_the_same_provider() -> None:
    providers = [provider(name, max_concurrent=100) for name in "abcd"]
    busy = {name: known(in_flight=in_flight) for name, in_flight in zip("abcd", (0, 4, 4, 4), strict=True)}
    snapshot = prepared(providers, LoadBalanceStrategy.LEAST_LOAD, NOW, **busy)
    got: Counter[ProviderName] = Counter()
    for worker in range(4):
        rotation = Rotation()
        for call in range(10):
            decision = routing.decide(snapshot, ANY, rotation, seed=100 * worker + call)
            rotation = decision.rotation
            got[decision.order[0]] += 1
    # Each alone evens out what it knows of: 5 or 6 of its 10 calls. All 40 would go there otherwise.
    assert 20 <= got[A] <= 24


def test_a_provider_that_takes_questions_and_never_answers_is_avoided_before_the_first_timeout() -> None:
    seen = answers(10, ttft=0.2)
    snapshot = prepared(
        PEERS[:2],
        LoadBalanceStrategy.FASTEST_RESPONSE,
        a=known(*seen, in_flight=1, oldest_silent_since=ago(8)),
        b=known(*answers(10, ttft=0.4, of=B), in_flight=1),
    )
    assert first_of(snapshot, 200)[B] / 200 > 0.95


@pytest.mark.parametrize(("usual", "silent", "first"), [(0.2, 2.9, 1.0), (0.2, 3.1, 0.1), (2, 5.9, 1.0), (2, 6.1, 0.1)])
def test_who_is_silent_for_far_longer_than_usual_goes_behind_worse_ones(
    usual: float, silent: float, first: float
) -> None:
    seen = known(*answers(10, ttft=usual), in_flight=1, oldest_silent_since=ago(silent))
    assert first_of(prepared(TIERS[:2], a=seen))[A] / 2000 == pytest.approx(first, abs=0.03)


def test_a_turn_gets_its_candidates_with_their_limits() -> None:
    providers = [provider("a", timeout_s=7, max_retries=1), provider("b", unusable="no key")]
    snapshot = prepared(providers, a=known(breaker=OPEN))
    ranking = routing.ranking(snapshot, routing.decide(snapshot, ANY, Rotation(), 1))
    assert ranking.candidates == (Candidate(provider=A, timeout_s=7, max_attempts=2),)
    assert [left.provider for left in ranking.passed_over] == [B]
    assert ranking.retry_at == ahead(9)


def test_without_a_price_the_cheapest_is_found_among_the_others() -> None:
    prices = {B: usd_per_million(2, 2), C: usd_per_million(1, 1)}
    snapshot = snapshots.prepare(PEERS, {}, LoadBalanceStrategy.COST_OPTIMIZED, prices, NOW)
    assert routing.decide(snapshot, Demand(input_tokens=100), Rotation(), 1).order == (C, B, A)


@given(data=st.data())
def test_everybody_is_either_asked_or_passed_over(data: st.DataObject) -> None:
    facts = st.sampled_from(
        [
            known(),
            known(in_flight=10),
            known(breaker=OPEN),
            known(breaker=HALF_OPEN),
            known(breaker=STARTING),
            known(*failures(3)),
            known(*answers(6), *failures(2)),
            known(gates={GateKind.QUOTA: CLOSED_GATE}),
            known(maintenance=""),
        ]
    )
    providers = [
        provider(
            name,
            priority=data.draw(st.integers(1, 3)),
            enabled=data.draw(st.booleans()),
            context_window=data.draw(st.sampled_from([None, 100])),
        )
        for name in "abcdef"
    ]
    snapshot = prepared(
        providers,
        data.draw(st.sampled_from(LoadBalanceStrategy)),
        NOW,
        **{each.name: data.draw(facts) for each in providers},
    )
    demand = Demand(tried=frozenset(data.draw(st.sets(st.sampled_from([A, B, C])))))
    rotation = Rotation()
    for seed in range(3):
        decision = routing.decide(snapshot, demand, rotation, seed)
        rotation = decision.rotation
        named = [*decision.order, *reasons(decision)]
        assert sorted(named) == [each.name for each in providers]
        assert not demand.tried & set(decision.order)
