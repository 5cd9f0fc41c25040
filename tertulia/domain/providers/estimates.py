"""How fast each provider is expected to be, from its last attempts.

Time to the first token and time per further token are kept apart: whole times would compare prompts, not providers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import weight
from tertulia.domain.providers.state import Known, Sample

# Providers are asked a few times a minute, so evidence must last about that long.
_DECAY_S = 60.0

# As many answers as the belief in the usual is worth: an unknown provider counts as the median of the known ones, and
# one that was not asked for long comes back to it.
_BELIEF = 1.0

# Where no provider is known at all.
_TTFT_S = 1.0
_TPOT_S = 0.02
_OUTPUT_TOKENS = 300.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What to expect of a provider: seconds to the first token, and for each further one."""

    ttft_s: float
    tpot_s: float


@dataclass(frozen=True, slots=True)
class _Mean:
    total: float
    weight: float

    def towards(self, usual: float) -> float:
        return (self.total + _BELIEF * usual) / (self.weight + _BELIEF)


def speeds(
    providers: Sequence[ProviderConfig], known: Mapping[ProviderName, Known], now: datetime
) -> Mapping[ProviderName, Speed]:
    """Estimate every provider's speed: a mean of its attempts, newest heaviest.

    A failed attempt counts as one that took the whole timeout, else who fails fastest would look fastest.
    """
    ttft, tpot = {}, {}
    for config in providers:
        samples = known[config.provider].samples if config.provider in known else ()
        ttft[config.provider] = _mean(_ttfts(samples, config.timeout_s), now)
        tpot[config.provider] = _mean(_tpots(samples), now)
    usual_ttft = _usual(ttft.values(), _TTFT_S)
    usual_tpot = _usual(tpot.values(), _TPOT_S)
    return {name: Speed(ttft[name].towards(usual_ttft), tpot[name].towards(usual_tpot)) for name in ttft}


def output_tokens(known: Iterable[Known], now: datetime) -> float:
    """Estimate the length of an answer from the last ones of all providers."""
    lengths = [
        (sample.ended_at, float(sample.output_tokens))
        for each in known
        for sample in each.samples
        if sample.failure is None and sample.output_tokens
    ]
    return _mean(lengths, now).towards(_OUTPUT_TOKENS)


def _ttfts(samples: Iterable[Sample], timeout_s: float) -> list[tuple[datetime, float]]:
    answered = [
        (s.ended_at, (s.latency_ms if s.ttft_ms is None else s.ttft_ms) / 1000) for s in samples if not s.failure
    ]
    failed = [(s.ended_at, timeout_s) for s in samples if s.failure is not None and weight(s.failure)]
    return answered + failed


def _tpots(samples: Iterable[Sample]) -> list[tuple[datetime, float]]:
    return [
        (s.ended_at, max(0.0, s.latency_ms - s.ttft_ms) / 1000 / (s.output_tokens - 1))
        for s in samples
        if s.failure is None and s.ttft_ms is not None and s.output_tokens > 1
    ]


def _mean(values: Iterable[tuple[datetime, float]], now: datetime) -> _Mean:
    total = weights = 0.0
    for at, value in values:
        share = math.exp(-max(0.0, (now - at).total_seconds()) / _DECAY_S)
        total += share * value
        weights += share
    return _Mean(total, weights)


def _usual(means: Iterable[_Mean], default: float) -> float:
    seen = [mean.total / mean.weight for mean in means if mean.weight > 0]
    return median(seen) if seen else default
