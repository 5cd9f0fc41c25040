"""How well a provider does, computed from its last attempts: a score for people, a status for the selection."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.breaker import Phase, phase, slow_start
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.state import Known, Sample

# How much a failure says against the provider; what is not named says nothing: a refusal is no illness, and neither is
# what we broke or cancelled ourselves.
_WEIGHTS = {
    FailureClass.CONNECT: 1.0,
    FailureClass.TIMEOUT: 1.0,
    FailureClass.SERVER: 1.0,
    FailureClass.TRUNCATED: 1.0,
    FailureClass.OVERLOADED: 0.5,
    FailureClass.MALFORMED: 0.5,
}

# What is believed of a provider without evidence: 95 of 100 calls succeed, as if five had shown it.
_PRIOR_STRENGTH = 5.0
_PRIOR_SUCCESS = 0.95 * _PRIOR_STRENGTH
_HALF_LIFE_S = 60.0

# Spreads the scores: 95 % success scores 86, 90 % 73, 80 % 51, 50 % 12.
_EXPONENT = 3
_HEALTHY_FROM = 80.0
_HEALTHY_UNTIL = 70.0
_UNHEALTHY_BELOW = 30.0

# Answers that take more than half of the timeout are near to failing.
_SLOW_SHARE = 0.5
_LEAST_LATENCY_FACTOR = 0.3
_LOW_QUOTA = 0.1
_LEAST_QUOTA_FACTOR = 0.5
# Fewer answers have no 95th percentile to speak of.
_ENOUGH_ANSWERS = 5


class ProviderStatus(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    MAINTENANCE = "maintenance"


class ProbeResult(BaseModel):
    """What a free probe (no tokens) found out.

    Attributes:
        reachable: Whether all that it asks for is well: the connection, the key, the account, the model.
        failure: What was wrong; None where nothing was, or nobody knows.
    """

    model_config = ConfigDict(frozen=True)

    reachable: bool
    latency_ms: float
    detail: str = ""
    failure: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider does.

    Attributes:
        score: 0 to 100; 86 where nothing is known.
        confidence: How many recent calls the score rests on, weighted by age.
        success: The probability that the next call is answered.
    """

    status: ProviderStatus
    score: float
    confidence: float
    success: float
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None


def weight(failure: FailureClass) -> float:
    """Return how much a failure says against its provider's health, 0 to 1."""
    return _WEIGHTS.get(failure, 0.0)


def health_of(config: ProviderConfig, known: Known, now: datetime) -> Health:
    """Rate a provider by what is known of it. Computed from the same samples, all workers say the same.

    Healthy is who scores 80, until under 70; unhealthy who scores under 30 or whose breaker is open; who comes back
    from that counts as degraded until the slow start is over.
    """
    ttft = sorted(sample.ttft_ms for sample in known.samples if sample.failure is None and sample.ttft_ms is not None)
    latency = sorted(sample.latency_ms for sample in known.samples if sample.failure is None)
    scale = 100 * _latency_factor(latency, config.timeout_s) * _quota_factor(known.samples, now)
    evidence = _Evidence(scale, half_life_s=max(_HALF_LIFE_S, 2 * (percentile(latency, 0.5) or 0) / 1000))
    for sample in known.samples:
        evidence.add(sample)
    evidence.pass_time(now)
    evidence.judge()
    return Health(
        status=_status(known, evidence, now),
        score=evidence.score,
        confidence=evidence.answered + evidence.failed,
        success=evidence.success,
        ttft_p50_ms=percentile(ttft, 0.5),
        ttft_p95_ms=percentile(ttft, 0.95),
        latency_p50_ms=percentile(latency, 0.5),
        latency_p95_ms=percentile(latency, 0.95),
    )


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """Return the smallest value that is not exceeded by `share` of the values; None where there are none."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else None


class _Evidence:
    """Answers and failures, each worth half as much after every half-life; gathered in the order of their ends."""

    def __init__(self, scale: float, half_life_s: float) -> None:
        self.answered = self.failed = 0.0
        self.healthy = True
        self._scale = scale
        self._half_life_s = half_life_s
        self._at: datetime | None = None

    @property
    def success(self) -> float:
        return (self.answered + _PRIOR_SUCCESS) / (self.answered + self.failed + _PRIOR_STRENGTH)

    @property
    def score(self) -> float:
        return self._scale * self.success**_EXPONENT

    def add(self, sample: Sample) -> None:
        self.pass_time(sample.ended_at)
        if sample.failure is None:
            self.answered += 1
        else:
            self.failed += weight(sample.failure)
        self.judge()

    def pass_time(self, to: datetime) -> None:
        if self._at is not None and to > self._at:
            left = 0.5 ** ((to - self._at).total_seconds() / self._half_life_s)
            self.answered *= left
            self.failed *= left
        self._at = to

    def judge(self) -> None:
        # Two thresholds, so that a score between them does not make the status flutter.
        self.healthy = self.score >= (_HEALTHY_UNTIL if self.healthy else _HEALTHY_FROM)


def _status(known: Known, evidence: _Evidence, now: datetime) -> ProviderStatus:
    if known.state.maintenance is not None:
        return ProviderStatus.MAINTENANCE
    breaker = known.state.breaker
    if phase(breaker, now) is Phase.OPEN:
        return ProviderStatus.UNHEALTHY
    if phase(breaker, now) is Phase.HALF_OPEN or slow_start(breaker, now) < 1:
        return ProviderStatus.DEGRADED
    if evidence.score < _UNHEALTHY_BELOW:
        return ProviderStatus.UNHEALTHY
    return ProviderStatus.HEALTHY if evidence.healthy else ProviderStatus.DEGRADED


def _latency_factor(ascending_ms: Sequence[float], timeout_s: float) -> float:
    p95_ms = percentile(ascending_ms, 0.95)
    if p95_ms is None or len(ascending_ms) < _ENOUGH_ANSWERS or p95_ms <= 0:
        return 1.0
    return min(1.0, max(_LEAST_LATENCY_FACTOR, _SLOW_SHARE * timeout_s * 1000 / p95_ms))


def _quota_factor(samples: Iterable[Sample], now: datetime) -> float:
    remaining = remaining_quota(samples, now)
    return min(1.0, max(_LEAST_QUOTA_FACTOR, remaining / _LOW_QUOTA))


def remaining_quota(samples: Iterable[Sample], now: datetime) -> float:
    """Return the share of its rate limits that the provider last reported as left, 0 to 1; 1 where it says nothing."""
    reported = None
    for sample in samples:
        if sample.remaining is not None:
            reported = sample
    if reported is None or reported.remaining is None:
        return 1.0
    # Without a word about when it is full again it is the usual minute.
    until = reported.remaining_until or reported.ended_at + timedelta(minutes=1)
    return reported.remaining if now < until else 1.0
