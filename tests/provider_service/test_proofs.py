"""The promises of the provider service, each measured in a story told in virtual time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from tertulia.domain.providers.retries import MAX_FAILED
from tests.provider_service import proofs


@pytest.fixture(scope="module")
def outages() -> Mapping[float, Sequence[proofs.Outage]]:
    """Outages while a question comes every so many seconds."""
    return {4: proofs.outages(4, seeds=range(2)), 0.25: proofs.outages(0.25, seeds=range(1))}


@pytest.mark.parametrize("every_s", [4, 0.25])
def test_a_provider_that_is_away_is_hardly_asked_and_costs_nobody_an_answer(
    outages: Mapping[float, Sequence[proofs.Outage]], every_s: float
) -> None:
    for figures in outages[every_s]:
        assert figures.answered == figures.questions
        assert figures.attempts_at_the_dead <= 4


def test_a_provider_that_is_back_is_found_and_begins_with_a_small_share(
    outages: Mapping[float, Sequence[proofs.Outage]],
) -> None:
    for figures in outages[0.25]:
        assert figures.back_after_s <= 40
        assert figures.share_at_first <= 0.25
        assert figures.share_in_the_end == 1


def test_a_restart_forgets_no_breaker_no_gate_and_no_cent_of_a_budget() -> None:
    figures = proofs.restart()

    assert figures.calls_to_the_dead == 0
    assert figures.calls_to_the_exhausted == 0
    assert figures.answered_after > 0
    assert Decimal("0.4") <= figures.spent_before < figures.spent_at_last <= 1


def test_the_ledger_has_what_was_billed_whatever_happens() -> None:
    _is_conserved(proofs.money(25))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_ledger_has_what_was_billed_over_ten_thousand_schedules() -> None:
    _is_conserved(proofs.money(10_000))


def _is_conserved(figures: proofs.Money) -> None:
    assert figures.wrong == ()
    assert figures.exact + figures.within == figures.schedules
    assert figures.exact > 0 < figures.within
    assert figures.unended == 0
    assert figures.doubled == 0
    assert figures.most_failed == MAX_FAILED
    assert figures.most_attempts <= MAX_FAILED + 1


def test_retries_add_at_most_a_fifth_to_the_load_where_nobody_can_answer() -> None:
    assert proofs.total_outage().amplification <= 1.2


def test_waits_are_as_long_as_asked_and_at_most_a_tenth_longer() -> None:
    for wait in proofs.hints():
        assert wait.hint_s <= wait.waited_s <= 1.1 * wait.hint_s + proofs.WAY_S


def test_knowing_whose_cache_is_warm_makes_a_conversation_cheaper() -> None:
    knowing, by_price_alone = proofs.conversations(knows_caches=True), proofs.conversations(knows_caches=False)

    assert knowing.switches == 0
    assert knowing.cached > by_price_alone.cached
    assert knowing.usd < by_price_alone.usd


@pytest.mark.parametrize("priority", [1, 2])
def test_a_provider_that_never_says_a_word_is_avoided_before_its_first_timeout(priority: int) -> None:
    seeing = proofs.black_hole(sees_silence=True, priority_of_the_other=priority)
    blind = proofs.black_hole(sees_silence=False, priority_of_the_other=priority)

    assert seeing.share_after_5s <= 0.1
    assert seeing.exposed <= blind.exposed / 2


def test_no_token_is_paid_to_know_how_providers_are() -> None:
    figures = proofs.quiet_day(hours=3)

    assert figures.probes > 250
    assert figures.attempts == 0
    assert figures.billed_usd == 0
