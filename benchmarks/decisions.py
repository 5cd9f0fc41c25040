"""How long it takes to choose among providers, from a prepared snapshot."""

import gc
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from benchmarks.measuring import percentile
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import snapshots
from tertulia.domain.providers.configs import LoadBalanceStrategy, ProviderConfig
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.routing import Demand, Rotation, decide
from tertulia.domain.providers.state import Known, Sample

_NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
_SAMPLES = 50
_DEMAND = Demand(input_tokens=2000, warm=ProviderName("p1"), warm_tokens=1500, warm_age_s=30)


@dataclass(frozen=True, slots=True)
class DecisionCosts:
    """Microseconds of one decision, the slowest strategy's; and milliseconds of preparing for many."""

    providers: int
    p50_us: float
    p99_us: float
    prepare_ms: float


def decision_costs(providers: int, *, decisions: int) -> DecisionCosts:
    """Time decisions among so many providers, all of them healthy and of three priorities."""
    times = [_decisions(providers, strategy, decisions) for strategy in LoadBalanceStrategy]
    started = time.perf_counter()
    _snapshot(providers, LoadBalanceStrategy.ROUND_ROBIN)
    prepare_ms = (time.perf_counter() - started) * 1000
    return DecisionCosts(
        providers,
        max(percentile(each, 50) for each in times),
        max(percentile(each, 99) for each in times),
        prepare_ms,
    )


def _decisions(providers: int, strategy: LoadBalanceStrategy, decisions: int) -> list[float]:
    snapshot = _snapshot(providers, strategy)
    rotation = Rotation()
    times = []
    gc.collect()
    gc.disable()
    try:
        for seed in range(decisions):
            # The thread's own time: a machine that is shared takes none of it.
            started = time.thread_time_ns()
            decision = decide(snapshot, _DEMAND, rotation, seed)
            times.append((time.thread_time_ns() - started) / 1000)
            rotation = Rotation(decision.rotation.at, decision.rotation.owed)
    finally:
        gc.enable()
    return times


def _snapshot(providers: int, strategy: LoadBalanceStrategy) -> snapshots.Snapshot:
    configs = [ProviderConfig(name=f"p{n}", priority=1 + n % 3, context_window=128_000) for n in range(providers)]
    prices = {c.provider: _prices(place) for place, c in enumerate(configs)}
    return snapshots.prepare(configs, {c.provider: _known(c.provider) for c in configs}, strategy, prices, _NOW)


def _prices(place: int) -> Prices:
    usd = Decimal(1 + place % 5) / 1_000_000
    return Prices(input=usd, output=4 * usd, cached_input=usd / 4, cache_write=usd, source="configured")


def _known(provider: ProviderName) -> Known:
    ids = count()
    ended = (_NOW - timedelta(seconds=3 * (_SAMPLES - n)) for n in range(_SAMPLES))
    return Known(
        samples=tuple(
            Sample(
                attempt_id=f"{provider}/{next(ids)}",
                provider=provider,
                started_at=at - timedelta(seconds=2),
                ended_at=at,
                failure=None,
                ttft_ms=400,
                latency_ms=2000,
                output_tokens=120,
            )
            for at in ended
        )
    )
