from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers import costs
from tertulia.domain.providers.completions import Completion, FinishReason, Usage
from tertulia.domain.providers.costs import Cost, Prices
from tests.domain.providers_seen import provider, usd_per_million

PRICES = usd_per_million(1, 4, cached=0.1)
FREE = usd_per_million(0, 0)
RESERVED = Decimal("0.01")
USAGE = Usage(input_uncached=1000, input_cached=500, output_visible=100, output_reasoning=50, source="reported")
PRICED = Decimal("0.00165")
NOTHING = Decimal(0)


def answered(usage: Usage = USAGE, charged: Decimal | None = None) -> Completion:
    return Completion(text="yes", finish=FinishReason.STOP, usage=usage, charged_usd=charged)


def test_reasoning_is_billed_as_output_and_what_was_cached_by_its_own_price() -> None:
    assert costs.cost(USAGE, PRICES) == PRICED


def test_what_the_provider_charged_goes_before_any_price() -> None:
    charged = Decimal("0.5")
    assert costs.cost_of_answer(answered(charged=charged), PRICES, RESERVED) == Cost(charged, charged, "charged")
    failure = ProviderFailure(FailureClass.TRUNCATED, "", charged_usd=charged)
    assert costs.cost_of_failure(failure, PRICES, RESERVED) == Cost(charged, charged, "charged")


def test_a_reported_usage_is_priced_exactly() -> None:
    assert costs.cost_of_answer(answered(), PRICES, RESERVED) == Cost(PRICED, PRICED, "priced")


def test_without_a_report_the_cost_lies_between_our_count_and_what_was_reserved() -> None:
    counted = USAGE.model_copy(update={"source": "estimated"})
    assert costs.cost_of_answer(answered(counted), PRICES, RESERVED) == Cost(PRICED, RESERVED, "estimated")


def test_without_a_price_nothing_is_known() -> None:
    for cost in (
        costs.cost_of_answer(answered(), None, NOTHING),
        costs.cost_of_failure(ProviderFailure(FailureClass.TIMEOUT, ""), None, NOTHING),
    ):
        assert cost == Cost(None, None, "unknown")


def test_what_is_free_is_free_whatever_happens() -> None:
    assert costs.cost_of_answer(answered(), FREE, NOTHING) == Cost(NOTHING, NOTHING, "free")
    failure = ProviderFailure(FailureClass.TIMEOUT, "")
    assert costs.cost_of_failure(failure, FREE, NOTHING) == Cost(NOTHING, NOTHING, "free")


@pytest.mark.parametrize("failure", FailureClass)
def test_only_an_attempt_that_failed_under_way_may_have_been_billed(failure: FailureClass) -> None:
    under_way = {"timeout", "server", "truncated", "malformed", "content_policy", "cancelled", "lost", "internal"}
    cost = costs.cost_of_failure(ProviderFailure(failure, ""), PRICES, RESERVED)
    assert cost == (
        Cost(NOTHING, RESERVED, "estimated") if failure.value in under_way else Cost(NOTHING, NOTHING, "free")
    )


def test_what_a_failed_attempt_reports_to_have_used_is_the_least_it_cost() -> None:
    overloaded_in_the_middle = ProviderFailure(FailureClass.OVERLOADED, "", usage=USAGE)
    assert costs.cost_of_failure(overloaded_in_the_middle, PRICES, RESERVED) == Cost(PRICED, RESERVED, "estimated")


@given(
    failure=st.sampled_from(FailureClass),
    usage=st.none() | st.builds(Usage, input_uncached=st.integers(0, 10**6), output_visible=st.integers(0, 10**6)),
    reserved=st.decimals(0, 10, places=6),
)
def test_what_was_lost_at_least_is_never_more_than_at_most(
    failure: FailureClass, usage: Usage | None, reserved: Decimal
) -> None:
    cost = costs.cost_of_failure(ProviderFailure(failure, "", usage=usage), PRICES, reserved)
    assert cost.usd is not None
    assert cost.at_most is not None
    assert 0 <= cost.usd <= cost.at_most


def test_an_estimate_counts_on_nothing_in_the_cache() -> None:
    assert costs.estimate(1000, 100, PRICES) == Decimal("0.0014")
    assert costs.estimate(1000, 100, None) == 0


def test_configured_prices_go_before_published_ones() -> None:
    configured = provider("it", input_price="2", output_price="8")
    prices = costs.prices_of(configured, PRICES)
    assert prices == Prices(
        Decimal("0.000002"), Decimal("0.000008"), Decimal("0.000002"), Decimal("0.000002"), "configured"
    )


def test_one_price_for_all_tokens_serves_for_both_ways() -> None:
    prices = costs.prices_of(provider("it", cost_per_token="0.000003"), None)
    assert prices is not None
    assert (prices.input, prices.output) == (Decimal("0.000003"), Decimal("0.000003"))


def test_what_is_not_configured_is_taken_from_the_published_prices() -> None:
    prices = costs.prices_of(provider("it", input_price="2"), PRICES)
    assert prices is not None
    assert (prices.input, prices.output) == (Decimal("0.000002"), PRICES.output)
    assert costs.prices_of(provider("it"), PRICES) is PRICES


def test_half_a_price_is_none() -> None:
    assert costs.prices_of(provider("it", input_price="2"), None) is None
    assert costs.prices_of(provider("it"), None) is None


@pytest.mark.parametrize("kind", ["ollama", "offline"])
def test_ones_own_machine_is_free(kind: str) -> None:
    prices = costs.prices_of(provider("it", kind=kind), None)
    assert prices is not None
    assert prices.free


def test_a_price_can_be_given_to_ones_own_machine() -> None:
    prices = costs.prices_of(provider("it", kind="ollama", cost_per_token="0.000001"), None)
    assert prices is not None
    assert not prices.free
