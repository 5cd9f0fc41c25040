"""Which provider is asked next, and what follows from a failure. Pure functions of what is known."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.health import ProviderHealth, ProviderStatus
from tertulia.domain.ids import ProviderName
from tertulia.domain.turns import Candidate, PassedOver, Ranking

# Two of the questions that each class of failure is asked; the whole table stands in docs/providers.md.
_SAME_PROVIDER_AGAIN = frozenset(
    {
        FailureClass.CONNECT,
        FailureClass.SERVER,
        FailureClass.OVERLOADED,
        FailureClass.MALFORMED,
        FailureClass.RATE_LIMIT,
    }
)
_NO_OTHER_PROVIDER = frozenset({FailureClass.BAD_REQUEST, FailureClass.CANCELLED})

# Longer than this nobody waits for one provider while others are ready.
PATIENCE = timedelta(seconds=10)


def try_again_here(failure: ProviderFailure) -> bool:
    """Tell whether the same provider may be asked again, after the wait it asked for."""
    return failure.failure in _SAME_PROVIDER_AGAIN and (failure.retry_after or timedelta(0)) <= PATIENCE


def try_elsewhere(failure: FailureClass) -> bool:
    """Tell whether another provider could do better."""
    return failure not in _NO_OTHER_PROVIDER


class ConfiguredProvider(BaseModel):
    """A provider as the selection sees it: no key, no address.

    Attributes:
        timeout_s: Longest time for one attempt, seconds.
        max_attempts: Attempts at this provider before the next one is asked, at least 1.
        unusable: Why it can't be used at all (no key, say); None where it can.
    """

    model_config = ConfigDict(frozen=True)

    name: ProviderName
    timeout_s: float = 30.0
    max_attempts: int = 3
    unusable: str | None = None


def rank(configured: Sequence[ConfiguredProvider], health: Mapping[ProviderName, ProviderHealth]) -> Ranking:
    """Order the providers to ask: as configured, degraded behind healthy, unhealthy only if nobody else is left.

    Args:
        configured: Primary first.
        health: Stored health by name; a provider without an entry counts as healthy.
    """
    usable = [provider for provider in configured if provider.unusable is None]
    passed_over = [PassedOver(provider=p.name, reason=p.unusable) for p in configured if p.unusable is not None]
    by_status: dict[ProviderStatus, list[ConfiguredProvider]] = {status: [] for status in ProviderStatus}
    for provider in usable:
        known = health.get(provider.name)
        by_status[known.status if known else ProviderStatus.HEALTHY].append(provider)
    order = by_status[ProviderStatus.HEALTHY] + by_status[ProviderStatus.DEGRADED]
    unhealthy = by_status[ProviderStatus.UNHEALTHY]
    if order:
        passed_over += [PassedOver(provider=p.name, reason="unhealthy by its last probes") for p in unhealthy]
    else:
        order = unhealthy
    passed_over += [PassedOver(provider=p.name, reason="in maintenance") for p in by_status[ProviderStatus.MAINTENANCE]]
    return Ranking(
        candidates=tuple(Candidate(provider=p.name, timeout_s=p.timeout_s, max_attempts=p.max_attempts) for p in order),
        passed_over=tuple(passed_over),
    )
