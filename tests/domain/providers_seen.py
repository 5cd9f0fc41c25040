"""Providers and what is known of them, for tests."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import ProviderConfig, checked
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.state import Known, ProviderState, Sample
from tests.domain.conversations import NOW

A, B, C = (ProviderName(name) for name in "abc")


def provider(name: str = "a", **fields: Any) -> ProviderConfig:
    return checked({"name": name, **fields})


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def ahead(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def sample(
    failure: FailureClass | None = None,
    *,
    ended: float = 1,
    took: float = 0.5,
    ttft: float | None = 0.2,
    of: ProviderName = A,
    **facts: Any,
) -> Sample:
    """Make an attempt that ended so many seconds ago and took, and had its first text after, so many seconds."""
    return Sample(
        attempt_id=f"{of}-{ended}",
        provider=of,
        started_at=ago(ended + took),
        ended_at=ago(ended),
        failure=failure,
        ttft_ms=None if ttft is None or failure else ttft * 1000,
        latency_ms=took * 1000,
        **facts,
    )


def answers(count: int, **facts: Any) -> tuple[Sample, ...]:
    return tuple(sample(ended=count - number, **facts) for number in range(count))


def failures(count: int, failure: FailureClass = FailureClass.SERVER) -> tuple[Sample, ...]:
    return tuple(sample(failure, ended=count - number) for number in range(count))


def known(*samples: Sample, **facts: Any) -> Known:
    """Make what is known; fields of the state are taken by name."""
    state = {field: facts.pop(field) for field in tuple(facts) if field in ProviderState.model_fields}
    return Known(state=ProviderState(**state), samples=samples, **facts)


def usd_per_million(prompt: float, answer: float, *, cached: float | None = None) -> Prices:
    price, out, from_cache = (
        Decimal(str(amount)) / 1_000_000 for amount in (prompt, answer, prompt if cached is None else cached)
    )
    return Prices(input=price, output=out, cached_input=from_cache, cache_write=price, source="test")
