"""What follows for a provider's state from all that happens to it. Each function returns the new state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers import breaker, gates, limits
from tertulia.domain.providers.attempts import CANARY_SLOT, LostAttempt
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProbeResult, weight
from tertulia.domain.providers.state import Probe, ProviderState, Sample

_LEAST_JITTER, _JITTER = 0.8, 0.4

# With these a probe ends that nobody has answered.
_NO_ANSWER = frozenset({None, FailureClass.CONNECT, FailureClass.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended.

    Attributes:
        in_flight: The provider's calls under way when it ended, over all workers, this one included.
        failure: None where it was answered.
    """

    attempt_id: str
    started_at: datetime
    slot: int
    in_flight: int
    failure: ProviderFailure | None


def after_attempt(
    state: ProviderState,
    config: ProviderConfig,
    ended: Ended,
    recent: Sequence[Sample],
    now: datetime,
    jitter: float,
) -> ProviderState:
    """Learn from an attempt. An answer of a healthy provider changes nothing.

    Args:
        config: With which the attempt was made.
        recent: The provider's last attempts; whether this one is among them does not matter.
        jitter: Spreads what many wait for, 0.8 to 1.2.
    """
    if ended.failure is None:
        return _after_answer(state, config, ended, now)
    failure = ended.failure
    state = limits.after_failure(state, config, failure.failure, ended.in_flight, ended.started_at, now)
    return state.model_copy(
        update={
            "gates": gates.after_failure(state.gates, config, failure, now, (jitter - _LEAST_JITTER) / _JITTER),
            "breaker": breaker.after_failure(
                state.breaker,
                failure.failure,
                weight(failure.failure),
                [
                    (sample, 0.0 if sample.failure is None else weight(sample.failure))
                    for sample in recent
                    if sample.attempt_id != ended.attempt_id
                ],
                ended.started_at,
                now,
                jitter,
                canary=ended.slot == CANARY_SLOT,
            ),
        }
    )


def after_probe(state: ProviderState, config: ProviderConfig, probe: ProbeResult, now: datetime) -> ProviderState:
    """Learn from a free probe. It opens gates and may bring a trial forward, but never closes a breaker."""
    failed_before = state.probe.failed_in_a_row if state.probe else 0
    # A refusal, of the key say, shows that the provider can be reached.
    answered = probe.reachable or probe.failure not in _NO_ANSWER
    return state.model_copy(
        update={
            "gates": gates.after_probe(state.gates, config, probe, now),
            "breaker": breaker.after_probe(state.breaker, now, reachable=answered),
            "probe": Probe(
                at=now,
                reachable=probe.reachable,
                latency_ms=probe.latency_ms,
                detail=probe.detail,
                failed_in_a_row=0 if probe.reachable else failed_before + 1,
            ),
        }
    )


def after_lost(state: ProviderState, lost: LostAttempt, now: datetime, jitter: float) -> ProviderState:
    """Learn from the death of a worker: it tells nothing of the provider, but a canary must have an outcome."""
    if lost.slot != CANARY_SLOT:
        return state
    return state.model_copy(update={"breaker": breaker.canary_lost(state.breaker, lost.started_at, now, jitter)})


def after_update(state: ProviderState, old: ProviderConfig, new: ProviderConfig) -> ProviderState:
    """Open the gates that the change of a configuration may have mended."""
    return state.model_copy(update={"gates": gates.after_update(state.gates, old, new)})


def in_maintenance(state: ProviderState, note: str) -> ProviderState:
    """Take a provider out of service; calls under way go on to their end."""
    return state.model_copy(update={"maintenance": note})


def in_service(state: ProviderState) -> ProviderState:
    """End the maintenance."""
    return state.model_copy(update={"maintenance": None})


def _after_answer(state: ProviderState, config: ProviderConfig, ended: Ended, now: datetime) -> ProviderState:
    after = breaker.after_answer(state.breaker, ended.started_at, now, canary=ended.slot == CANARY_SLOT)
    recovered = state.breaker.opened_at is not None and after.opened_at is None
    state = state.model_copy(update={"breaker": after, "gates": gates.after_answer(state.gates, ended.started_at)})
    if recovered:
        return limits.after_recovery(state, config, now)
    return limits.after_answer(state, config, ended.in_flight, now)
