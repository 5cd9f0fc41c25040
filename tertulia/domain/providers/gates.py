"""Gates keep calls away from a provider that is well but refuses: too many calls, no money, a wrong key or model."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.state import Gate, GateKind

Gates = Mapping[GateKind, Gate]

# Where the provider does not say how long: most limits are counted by the minute, most of those in a moving window.
_RATE_LIMIT = timedelta(seconds=5)

# Somebody has to act. A free probe that can tell opens these earlier; the others are tried again now and then, which
# costs a refusal.
_BILLING = timedelta(hours=1)
_CONFIG = timedelta(minutes=10)

# Waits are at most this much longer than asked, so that not everybody comes back at once; never shorter.
_SPREAD = 0.1

# Whose free probe asks for the account's money, and whose for the model.
_PROBES_BILLING = frozenset({ProviderKind.OPENROUTER})
_PROBES_MODEL = frozenset({ProviderKind.GEMINI, ProviderKind.ANTHROPIC, ProviderKind.OLLAMA})


def wait(retry_after: timedelta, chance: float) -> timedelta:
    """Return how long to wait for what a provider asked: never less, at most a tenth more.

    Args:
        chance: Where in between, 0 to 1.
    """
    return retry_after * (1 + _SPREAD * chance)


def closed(gates: Gates, config: ProviderConfig, now: datetime) -> tuple[GateKind, Gate] | None:
    """Return the gate that stays closed longest; None where all are open."""
    shut = [
        (kind, gate)
        for kind, gate in gates.items()
        if (gate.until is None or now < gate.until) and _concerns(kind, gate, config)
    ]
    return max(shut, key=lambda each: (each[1].until is None, each[1].until or now), default=None)


def after_failure(
    gates: Gates, config: ProviderConfig, failure: ProviderFailure, now: datetime, chance: float
) -> Gates:
    """Close the gate that a failure calls for, if any. A gate never opens earlier because of it.

    Args:
        chance: Spreads the waits of several callers, 0 to 1.
    """
    kind = _gate(failure)
    if kind is None:
        return gates
    before = gates.get(kind)
    until = _until(kind, failure.retry_after, now, chance)
    if before is not None and until is not None and (before.until is None or before.until >= until):
        return gates
    return {**gates, kind: Gate(until=until, detail=failure.detail, key_fingerprint=config.key_fingerprint)}


def after_answer(gates: Gates, started_at: datetime) -> Gates:
    """Forget the gates that had opened by themselves before an attempt began that was answered."""
    return {kind: gate for kind, gate in gates.items() if gate.until is None or started_at < gate.until}


def after_probe(gates: Gates, config: ProviderConfig, probe: ProbeResult, now: datetime) -> Gates:
    """Open or close gates as a free probe shows: it opens those of which it proves the contrary."""
    if probe.reachable:
        return {kind: gate for kind, gate in gates.items() if not _proves(config.kind, kind)}
    if probe.failure not in (FailureClass.AUTH, FailureClass.BILLING, FailureClass.CONFIG):
        return gates
    return after_failure(gates, config, ProviderFailure(probe.failure, probe.detail), now, 0)


def after_update(gates: Gates, old: ProviderConfig, new: ProviderConfig) -> Gates:
    """Open the gates that a change of the configuration may have mended.

    Another address or model opens all of them, another key those of the account.
    """
    if (old.kind, old.base_url, old.model) != (new.kind, new.base_url, new.model):
        return {}
    return {kind: gate for kind, gate in gates.items() if _concerns(kind, gate, new)}


def _concerns(kind: GateKind, gate: Gate, config: ProviderConfig) -> bool:
    """Tell whether a gate holds for the key in use: a call under way may close one for the key before it."""
    return kind is GateKind.CONFIG or gate.key_fingerprint == config.key_fingerprint


def _gate(failure: ProviderFailure) -> GateKind | None:
    match failure.failure:
        case FailureClass.RATE_LIMIT:
            return GateKind.RATE_LIMIT
        case FailureClass.OVERLOADED if failure.retry_after is not None:
            return GateKind.RATE_LIMIT
        case FailureClass.QUOTA:
            return GateKind.QUOTA
        case FailureClass.BILLING:
            return GateKind.BILLING
        case FailureClass.AUTH:
            return GateKind.AUTH
        case FailureClass.CONFIG:
            return GateKind.CONFIG
        case _:
            return None


def _until(kind: GateKind, retry_after: timedelta | None, now: datetime, chance: float) -> datetime | None:
    if kind is GateKind.AUTH:
        return None
    if retry_after is not None:
        return now + wait(retry_after, chance)
    match kind:
        case GateKind.RATE_LIMIT:
            return now + _RATE_LIMIT
        case GateKind.QUOTA:
            return next_day(now)
        case GateKind.BILLING:
            return now + _BILLING
        case GateKind.CONFIG:
            return now + _CONFIG


def next_day(now: datetime) -> datetime:
    """Return the next midnight UTC, when budgets of the day, and most quotas, begin anew."""
    return (now.astimezone(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def _proves(provider: ProviderKind, gate: GateKind) -> bool:
    match gate:
        case GateKind.AUTH:
            return True
        case GateKind.BILLING:
            return provider in _PROBES_BILLING
        case GateKind.CONFIG:
            return provider in _PROBES_MODEL
        case GateKind.RATE_LIMIT | GateKind.QUOTA:
            return False
