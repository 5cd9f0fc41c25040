"""What is known of the providers at one moment, worked out as far as no question is needed for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import breaker, estimates, gates, limits
from tertulia.domain.providers.breaker import Phase
from tertulia.domain.providers.configs import Feature, LoadBalanceStrategy, ProviderConfig, ProviderKind
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.estimates import Speed
from tertulia.domain.providers.health import Health, ProviderStatus, health_of, remaining_quota
from tertulia.domain.providers.state import GateKind, Known
from tertulia.domain.providers.strategies import Offer
from tertulia.domain.turns import Candidate, PassedOver

# How much calls under way slow a new one: on a machine of one's own they queue, a cloud has other customers.
_OWN_MACHINE = frozenset({ProviderKind.OLLAMA, ProviderKind.OFFLINE})
_OWN_CONTENTION = 1.0
_CLOUD_CONTENTION = 0.4

# A provider is silent where a call waits for its first text this many times longer than is usual, and this long at
# least; until it speaks it gets as few calls as one that starts slowly.
_SILENT_TIMES = 3
_SILENT_S = 3.0
_SILENT_SHARE = 0.1

# When a trial ends can't be foreseen; after this it is worth another look.
_SOON = timedelta(seconds=1)

_GATES = {
    GateKind.RATE_LIMIT: "its rate limit is reached",
    GateKind.QUOTA: "its quota is used up",
    GateKind.BILLING: "its account has no money left",
    GateKind.AUTH: "it does not accept the key",
    GateKind.CONFIG: "it does not know the model or the address",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A provider that is in use, and what of it depends on no question.

    Attributes:
        room: Calls that it may get now.
        window: Tokens of prompt and answer together; infinite where unknown.
        share: The part of its calls that it gets while it starts slowly or is silent; 1 otherwise.
    """

    provider: ProviderName
    offer: Offer
    priority: int
    room: int
    window: float
    features: frozenset[Feature]
    share: float


@dataclass(frozen=True, slots=True)
class Tier:
    """Providers of one priority that may be asked, in the order in which they are configured."""

    healthy: tuple[Target, ...]
    degraded: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Shut:
    """A provider that is not to be asked now.

    Attributes:
        opens_at: When that may change by time alone; None where it can't be foreseen.
        last_resort: It is tried where nobody else is left, the earliest first; None: not even then.
    """

    target: Target
    reason: str
    opens_at: datetime | None
    last_resort: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the providers at one moment.

    Attributes:
        valid_until: When something changes by time alone; None where nothing does.
        tiers: Best priority first.
        trials: Those that get a single call, on trial; best priority first, as those below.
        unusable: Those that are switched off or can't be used at all.
        output_tokens: To expect of an answer.
        healths: How each provider does, the unusable ones included.
        candidates: Of those in use, as below.
    """

    at: datetime
    valid_until: datetime | None
    strategy: LoadBalanceStrategy
    tiers: tuple[Tier, ...]
    trials: tuple[Target, ...]
    shut: tuple[Shut, ...]
    unusable: tuple[PassedOver, ...]
    output_tokens: float
    healths: Mapping[ProviderName, Health]
    candidates: Mapping[ProviderName, Candidate]
    priorities: Mapping[ProviderName, int]


def prepare(
    providers: Sequence[ProviderConfig],
    known: Mapping[ProviderName, Known],
    strategy: LoadBalanceStrategy,
    prices: Mapping[ProviderName, Prices],
    now: datetime,
) -> Snapshot:
    """Work out all that does not depend on a question.

    Args:
        providers: In order of preference where their priorities are equal.
        known: A provider without an entry is new.
        prices: Of those whose price is known.
    """
    in_use = sorted(
        (config for config in providers if config.enabled and config.unusable is None),
        key=lambda config: config.priority,
    )
    all_known = {config.provider: known.get(config.provider, Known()) for config in providers}
    healths = {config.provider: health_of(config, all_known[config.provider], now) for config in providers}
    speeds = estimates.speeds(in_use, all_known, now)
    tiers: dict[int, tuple[list[Target], list[Target]]] = {}
    trials: list[Target] = []
    shut: list[Shut] = []
    for config in in_use:
        name = config.provider
        target = _target(config, all_known[name], healths[name], speeds[name], prices.get(name), now)
        closed = _shut(config, all_known[name], healths[name], target, now)
        if closed is not None:
            shut.append(closed)
        elif breaker.phase(all_known[name].state.breaker, now) is Phase.HALF_OPEN:
            trials.append(target)
        else:
            # Of one that starts slowly its share says how much it gets.
            recovering = breaker.slow_start(all_known[name].state.breaker, now) < 1
            healthy = healths[name].status is ProviderStatus.HEALTHY or recovering
            tiers.setdefault(config.priority, ([], []))[0 if healthy else 1].append(target)
    return Snapshot(
        at=now,
        valid_until=min(
            (at for config in in_use for at in _changes(config, all_known[config.provider], now)), default=None
        ),
        strategy=strategy,
        tiers=tuple(Tier(tuple(healthy), tuple(degraded)) for healthy, degraded in tiers.values()),
        trials=tuple(trials),
        shut=tuple(shut),
        unusable=tuple(
            PassedOver(provider=config.provider, reason=config.unusable or "it is switched off")
            for config in providers
            if not config.enabled or config.unusable is not None
        ),
        output_tokens=estimates.output_tokens(all_known.values(), now),
        healths=healths,
        candidates={config.provider: _candidate(config) for config in in_use},
        priorities={config.provider: config.priority for config in in_use},
    )


def _candidate(config: ProviderConfig) -> Candidate:
    return Candidate(provider=config.provider, timeout_s=config.timeout_s, max_attempts=1 + config.max_retries)


def _target(
    config: ProviderConfig, known: Known, health: Health, speed: Speed, prices: Prices | None, now: datetime
) -> Target:
    silent_s = 0.0 if known.oldest_silent_since is None else (now - known.oldest_silent_since).total_seconds()
    state = known.state
    limit = limits.limit(state, config)
    return Target(
        provider=config.provider,
        offer=Offer(
            provider=config.provider,
            weight=config.weight,
            in_flight=known.in_flight,
            limit=limit,
            used_quota=1 - remaining_quota(known.samples, now),
            # A call that waits longer than is usual tells more than the answers before it: this is how a provider that
            # takes questions and never answers is noticed before the first timeout.
            ttft_s=max(speed.ttft_s, silent_s),
            tpot_s=speed.tpot_s,
            contention=_OWN_CONTENTION if config.kind in _OWN_MACHINE else _CLOUD_CONTENTION,
            heard_at=known.samples[-1].ended_at.timestamp() if known.samples else 0.0,
            input_usd=None if prices is None else float(prices.input),
            cached_usd=0.0 if prices is None else float(prices.cached_input),
            output_usd=0.0 if prices is None else float(prices.output),
            failed_per_answer=(1 - health.success) / health.success,
        ),
        priority=config.priority,
        room=limit - known.in_flight,
        window=float("inf") if config.context_window is None else config.context_window,
        features=config.features,
        share=min(
            breaker.slow_start(state.breaker, now), _SILENT_SHARE if _is_silent(silent_s, health, speed) else 1.0
        ),
    )


def _is_silent(silent_s: float, health: Health, speed: Speed) -> bool:
    usual_s = speed.ttft_s if health.ttft_p95_ms is None else health.ttft_p95_ms / 1000
    return silent_s > max(_SILENT_S, _SILENT_TIMES * usual_s)


def _shut(config: ProviderConfig, known: Known, health: Health, target: Target, now: datetime) -> Shut | None:
    """Tell why a provider is not to be asked, gravest reason first; None where it may be."""
    state = known.state
    if state.maintenance is not None:
        return Shut(target, f"in maintenance: {state.maintenance}" if state.maintenance else "in maintenance", None)
    if closed := gates.closed(state.gates, config, now):
        kind, gate = closed
        return Shut(target, _GATES[kind], gate.until)
    if config.daily_budget_usd is not None and known.spent_usd >= config.daily_budget_usd:
        return Shut(target, "its budget of the day is spent", gates.next_day(now))
    phase = breaker.phase(state.breaker, now)
    if phase is not Phase.CLOSED and known.canary_in_flight:
        return Shut(target, "a trial call is under way", now + _SOON)
    if phase is Phase.OPEN:
        reason = f"it kept failing ({state.breaker.reason})"
        return Shut(target, reason, state.breaker.open_until, last_resort=state.breaker.open_until)
    if health.status is ProviderStatus.UNHEALTHY:
        return Shut(target, f"unhealthy: it scores {health.score:.0f} of 100", None, last_resort=now)
    return None


def _changes(config: ProviderConfig, known: Known, now: datetime) -> Iterator[datetime]:
    """Yield the moments to come at which a provider's part in the selection changes by time alone."""
    state = known.state
    recovered_at = state.breaker.recovered_at
    moments = [
        *(gate.until for gate in state.gates.values()),
        state.breaker.open_until,
        None if recovered_at is None else recovered_at + breaker.SLOW_START,
        None if config.daily_budget_usd is None else gates.next_day(now),
    ]
    yield from (moment for moment in moments if moment is not None and moment > now)
