from datetime import timedelta

import pytest

from tertulia.domain import routing
from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.health import ProviderHealth, ProviderStatus
from tertulia.domain.ids import ProviderName
from tertulia.domain.routing import ConfiguredProvider
from tertulia.domain.turns import Candidate
from tests.domain.conversations import NOW

PRIMARY, SECONDARY, FALLBACK = (ProviderName(name) for name in ("openrouter", "gemini", "groq"))
CONFIGURED = [ConfiguredProvider(name=name) for name in (PRIMARY, SECONDARY, FALLBACK)]


def health(**statuses: ProviderStatus) -> dict[ProviderName, ProviderHealth]:
    return {
        ProviderName(name): ProviderHealth(
            provider=ProviderName(name), status=status, failed_probes=0, latency_ms=None, detail="", checked_at=NOW
        )
        for name, status in statuses.items()
    }


def order(configured: list[ConfiguredProvider], **statuses: ProviderStatus) -> list[ProviderName]:
    return [candidate.provider for candidate in routing.rank(configured, health(**statuses)).candidates]


def passed_over(configured: list[ConfiguredProvider], **statuses: ProviderStatus) -> dict[ProviderName, str]:
    return {left.provider: left.reason for left in routing.rank(configured, health(**statuses)).passed_over}


def test_providers_are_asked_in_the_order_in_which_they_are_configured() -> None:
    assert order(CONFIGURED) == [PRIMARY, SECONDARY, FALLBACK]


def test_a_degraded_provider_is_asked_after_the_healthy_ones() -> None:
    assert order(CONFIGURED, openrouter=ProviderStatus.DEGRADED) == [SECONDARY, FALLBACK, PRIMARY]


def test_an_unhealthy_provider_is_passed_over_with_its_reason() -> None:
    assert order(CONFIGURED, openrouter=ProviderStatus.UNHEALTHY) == [SECONDARY, FALLBACK]
    assert passed_over(CONFIGURED, openrouter=ProviderStatus.UNHEALTHY) == {PRIMARY: "unhealthy by its last probes"}


def test_unhealthy_providers_are_asked_if_nobody_else_is_left() -> None:
    all_down = dict.fromkeys(("openrouter", "gemini", "groq"), ProviderStatus.UNHEALTHY)
    assert order(CONFIGURED, **all_down) == [PRIMARY, SECONDARY, FALLBACK]
    assert passed_over(CONFIGURED, **all_down) == {}


def test_a_provider_in_maintenance_is_never_asked() -> None:
    statuses = {"openrouter": ProviderStatus.MAINTENANCE, "gemini": ProviderStatus.UNHEALTHY}
    assert order(CONFIGURED[:2], **statuses) == [SECONDARY]
    assert passed_over(CONFIGURED[:2], **statuses) == {PRIMARY: "in maintenance"}


def test_a_provider_that_can_not_be_used_is_passed_over_with_its_reason() -> None:
    keyless = [ConfiguredProvider(name=PRIMARY, unusable="no key"), CONFIGURED[1]]
    assert order(keyless) == [SECONDARY]
    assert passed_over(keyless) == {PRIMARY: "no key"}


def test_nobody_configured_means_nobody_to_ask() -> None:
    assert routing.rank([], {}).candidates == ()


def test_a_candidate_carries_its_own_limits() -> None:
    configured = ConfiguredProvider(name=PRIMARY, timeout_s=7, max_attempts=2)
    (candidate,) = routing.rank([configured], {}).candidates
    assert candidate == Candidate(provider=PRIMARY, timeout_s=7, max_attempts=2)


@pytest.mark.parametrize("failure", FailureClass)
def test_only_what_may_pass_by_itself_is_tried_again_at_the_same_provider(failure: FailureClass) -> None:
    passing = {"connect", "server", "overloaded", "malformed", "rate_limit"}
    assert routing.try_again_here(ProviderFailure(failure, "")) == (failure.value in passing)


def test_nobody_waits_long_for_one_provider() -> None:
    def told_to_wait(seconds: int) -> ProviderFailure:
        return ProviderFailure(FailureClass.RATE_LIMIT, "", retry_after=timedelta(seconds=seconds))

    assert routing.try_again_here(told_to_wait(10))
    assert not routing.try_again_here(told_to_wait(11))


@pytest.mark.parametrize("failure", FailureClass)
def test_another_provider_is_asked_unless_the_request_itself_is_at_fault(failure: FailureClass) -> None:
    assert routing.try_elsewhere(failure) == (failure.value not in {"bad_request", "cancelled"})
