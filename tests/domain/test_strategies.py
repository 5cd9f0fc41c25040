from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import estimates, strategies
from tertulia.domain.providers.configs import LoadBalanceStrategy
from tertulia.domain.providers.state import Known
from tertulia.domain.providers.strategies import Offer, Owed, Picked, Question
from tests.domain.conversations import NOW
from tests.domain.providers_seen import A, B, C, ahead, answers, failures, known, provider, sample

PLAIN = Offer(
    provider=A,
    weight=1,
    in_flight=0,
    limit=10,
    used_quota=0,
    ttft_s=1,
    tpot_s=0.01,
    contention=0.4,
    heard_at=100,
    input_usd=1e-6,
    cached_usd=1e-6,
    output_usd=4e-6,
    failed_per_answer=0,
)
QUESTION = Question(input_tokens=1000, output_tokens=200, warm=None, warm_tokens=0, warm_age_s=0, luck=0.5, explore=0.5)


def offer(name: ProviderName, **facts: Any) -> Offer:
    return replace(PLAIN, provider=name, **facts)


def order(
    strategy: LoadBalanceStrategy, *offers: Offer, question: Question = QUESTION, picked: Picked | None = None
) -> list[ProviderName]:
    return strategies.order(strategy, offers, question, {}, picked or {})[0]


def first_of(strategy: LoadBalanceStrategy, *offers: Offer) -> set[ProviderName]:
    """Return who goes first, over all draws."""
    return {order(strategy, *offers, question=replace(QUESTION, luck=luck / 100))[0] for luck in range(100)}


# --- round robin ------------------------------------------------------------------------------------------------------


@given(weights=st.lists(st.floats(0.01, 1000) | st.integers(1, 10), min_size=1, max_size=8))
def test_after_any_number_of_calls_each_provider_has_its_share_to_less_than_one_call(weights: list[float]) -> None:
    offers = [offer(ProviderName(f"p{place}"), weight=weight) for place, weight in enumerate(weights)]
    got: Counter[ProviderName] = Counter()
    owed: Owed = {}
    for calls in range(1, 120):
        names, owed = strategies.round_robin(offers, owed)
        got[names[0]] += 1
        for each in offers:
            assert abs(got[each.provider] - calls * each.weight / sum(weights)) < 1


def test_turns_are_spread_evenly() -> None:
    offers = [offer(A, weight=5), offer(B), offer(C)]
    owed: Owed = {}
    turns = ""
    for _ in range(14):
        names, owed = strategies.round_robin(offers, owed)
        turns += names[0]
    assert turns[:7] == turns[7:]
    assert Counter(turns[:7]) == {"a": 5, "b": 1, "c": 1}
    assert not {"bb", "cc", "bc", "cb"} & {turns[place : place + 2] for place in range(13)}


def test_the_order_behind_the_first_has_all_the_others() -> None:
    names, _ = strategies.round_robin([offer(A), offer(B), offer(C)], {})
    assert sorted(names) == [A, B, C]


def test_a_set_of_two_leaves_alone_what_the_third_is_owed() -> None:
    _, owed = strategies.round_robin([offer(A), offer(B), offer(C)], {})
    _, after = strategies.round_robin([offer(A), offer(B)], owed)
    assert after[C] == owed[C]


# --- least load -------------------------------------------------------------------------------------------------------


def test_the_least_loaded_provider_goes_first() -> None:
    offers = offer(A, in_flight=5), offer(B, in_flight=1), offer(C, in_flight=3)
    assert order(LoadBalanceStrategy.LEAST_LOAD, *offers) == [B, C, A]


def test_load_is_measured_by_the_limit_and_the_weight() -> None:
    assert order(LoadBalanceStrategy.LEAST_LOAD, offer(A, in_flight=2), offer(B, in_flight=5, limit=100))[0] == B
    assert order(LoadBalanceStrategy.LEAST_LOAD, offer(A, in_flight=2), offer(B, in_flight=5, weight=3))[0] == B


def test_a_used_up_quota_is_load() -> None:
    assert order(LoadBalanceStrategy.LEAST_LOAD, offer(A, used_quota=0.95), offer(B, in_flight=7))[0] == B


def test_calls_picked_since_the_snapshot_are_load() -> None:
    assert order(LoadBalanceStrategy.LEAST_LOAD, offer(A), offer(B, in_flight=2), picked={A: 3})[0] == B


# --- fastest response -------------------------------------------------------------------------------------------------


def test_the_expected_length_of_the_answer_decides_between_a_quick_start_and_a_quick_pace() -> None:
    offers = offer(A, ttft_s=0.2, tpot_s=0.05), offer(B, ttft_s=2, tpot_s=0.001)
    fastest = LoadBalanceStrategy.FASTEST_RESPONSE
    assert order(fastest, *offers, question=replace(QUESTION, output_tokens=5))[0] == A
    assert order(fastest, *offers, question=replace(QUESTION, output_tokens=500))[0] == B


def test_calls_under_way_slow_ones_own_machine_more_than_a_cloud() -> None:
    cloud, own = offer(A, in_flight=3), offer(B, in_flight=3, ttft_s=0.5, contention=1)
    assert order(LoadBalanceStrategy.FASTEST_RESPONSE, cloud, own)[0] == A
    assert order(LoadBalanceStrategy.FASTEST_RESPONSE, replace(cloud, in_flight=0), replace(own, in_flight=0))[0] == B


def test_now_and_then_the_one_heard_of_longest_ago_is_asked() -> None:
    offers = offer(A, heard_at=50), offer(B, ttft_s=9, heard_at=10), offer(C, ttft_s=8)
    exploring = replace(QUESTION, explore=0.01)
    assert order(LoadBalanceStrategy.FASTEST_RESPONSE, *offers, question=exploring) == [B, A, C]


# --- cost -------------------------------------------------------------------------------------------------------------


def test_the_cheapest_answer_goes_first_whatever_its_parts_cost() -> None:
    cheap_prompt, cheap_answer = offer(A, input_usd=1e-6, output_usd=20e-6), offer(B, input_usd=3e-6, output_usd=3e-6)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, cheap_prompt, cheap_answer)[0] == B
    long_prompt = replace(QUESTION, input_tokens=10_000)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, cheap_prompt, cheap_answer, question=long_prompt)[0] == A


def test_failures_make_a_provider_dearer() -> None:
    flaky = offer(A, failed_per_answer=3)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, flaky, offer(B, input_usd=2e-6))[0] == B


def test_who_has_the_conversation_in_its_cache_keeps_it_until_it_has_cooled() -> None:
    dearer = offer(A, input_usd=1.5e-6, cached_usd=0.15e-6)
    warm = replace(QUESTION, warm=A, warm_tokens=900)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, dearer, offer(B))[0] == B
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, dearer, offer(B), question=warm)[0] == A
    cold = replace(warm, warm_age_s=3600)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, dearer, offer(B), question=cold)[0] == B


def test_an_unknown_price_goes_behind_every_known_one() -> None:
    unknown = offer(A, input_usd=None, cached_usd=0, output_usd=0)
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, unknown, offer(B, input_usd=9e-6), offer(C)) == [C, B, A]
    assert order(LoadBalanceStrategy.COST_OPTIMIZED, unknown) == [A]


# --- equals -----------------------------------------------------------------------------------------------------------


def test_between_near_equals_chance_decides_and_others_have_none() -> None:
    assert first_of(LoadBalanceStrategy.LEAST_LOAD, offer(A), offer(B), offer(C, in_flight=1)) == {A, B}
    assert first_of(LoadBalanceStrategy.FASTEST_RESPONSE, offer(A), offer(B, ttft_s=1.1), offer(C, ttft_s=2)) == {A, B}
    assert first_of(
        LoadBalanceStrategy.COST_OPTIMIZED, offer(A), offer(B, output_usd=4.5e-6), offer(C, output_usd=6e-6)
    ) == {A, B}


@pytest.mark.parametrize("strategy", LoadBalanceStrategy)
@given(
    offers=st.lists(
        st.builds(
            offer,
            st.integers(0, 99).map(lambda number: ProviderName(f"p{number}")),
            in_flight=st.integers(0, 20),
            ttft_s=st.floats(0, 60),
            used_quota=st.floats(0, 1),
            input_usd=st.none() | st.floats(0, 1e-3),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda each: each.provider,
    ),
    luck=st.floats(0, 1, exclude_max=True),
    explore=st.floats(0, 1, exclude_max=True),
)
def test_every_strategy_orders_everybody_once(
    strategy: LoadBalanceStrategy, offers: list[Offer], luck: float, explore: float
) -> None:
    question = replace(QUESTION, luck=luck, explore=explore)
    assert sorted(order(strategy, *offers, question=question)) == sorted(each.provider for each in offers)


# --- estimates --------------------------------------------------------------------------------------------------------

TWO = [provider("a"), provider("b")]


def ttft_s(**seen: Known) -> dict[str, float]:
    providers = [provider(name) for name in seen]
    speeds = estimates.speeds(providers, {ProviderName(name): each for name, each in seen.items()}, NOW)
    return {name: speed.ttft_s for name, speed in speeds.items()}


def test_an_unseen_provider_counts_as_the_median_of_the_seen() -> None:
    seen = ttft_s(a=known(*answers(5, ttft=1)), b=known(*answers(5, ttft=2)), c=known(*answers(5, ttft=9)), d=known())
    assert seen["d"] == pytest.approx(2)


def test_who_fails_fast_does_not_look_fast() -> None:
    seen = ttft_s(a=known(*failures(5, FailureClass.CONNECT)), b=known(*answers(5, ttft=2)))
    assert seen["a"] > seen["b"]


def test_refusals_say_nothing_of_the_speed() -> None:
    limited = known(*answers(5, ttft=1), *failures(5, FailureClass.RATE_LIMIT))
    assert ttft_s(a=limited) == ttft_s(a=known(*answers(5, ttft=1)))


def test_the_newest_answers_weigh_most() -> None:
    slow_first = known(*(sample(ended=200 - number, ttft=5) for number in range(5)), *answers(5, ttft=1))
    assert ttft_s(a=slow_first, b=known(*answers(5, ttft=1)))["a"] < 1.5


def test_who_was_not_asked_for_long_counts_as_usual_again() -> None:
    long_ago = known(*(sample(ended=900 + number, ttft=20) for number in range(5)))
    others = {name: known(*answers(5, ttft=1)) for name in ("b", "c")}
    assert ttft_s(a=long_ago, **others)["a"] == pytest.approx(1, abs=0.1)


def test_the_pace_is_counted_from_the_first_text_on() -> None:
    seen = known(*answers(200, took=4.2, ttft=0.2, output_tokens=101))
    assert estimates.speeds([provider("a")], {A: seen}, NOW)[A].tpot_s == pytest.approx(0.04)


def test_the_expected_length_comes_from_the_last_answers_of_all() -> None:
    seen = [known(*answers(200, output_tokens=50)), known(*answers(200, output_tokens=150))]
    assert estimates.output_tokens(seen, NOW) == pytest.approx(100, rel=0.05)
    assert estimates.output_tokens([], ahead(0)) == 300
