"""How many calls a provider gets at a time: as configured, cut where it refuses, raised again while it bears it.

Source: additive increase, multiplicative decrease (Chiu and Jain, 1989).
"""

from datetime import datetime, timedelta

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.state import ProviderState

# A provider says by these that it gets more than it wants.
_TOO_MANY = frozenset({FailureClass.RATE_LIMIT, FailureClass.OVERLOADED})
_CUT = 0.7
_RAISE_EVERY = timedelta(seconds=10)

# Where a provider begins that has just recovered.
_AFTER_RECOVERY = 2.0


def limit(state: ProviderState, config: ProviderConfig) -> int:
    """Return how many calls may be under way at a time now, 1 to `max_concurrent`."""
    if state.limit is None:
        return config.max_concurrent
    return max(1, min(config.max_concurrent, int(state.limit)))


def after_failure(
    state: ProviderState,
    config: ProviderConfig,
    failure: FailureClass,
    in_flight: int,
    started_at: datetime,
    now: datetime,
) -> ProviderState:
    """Cut the limit where the provider refused. Calls that were under way at the last cut share its cause.

    Args:
        in_flight: Calls under way when it failed, this one included.
    """
    if failure not in _TOO_MANY or (state.limit_changed_at is not None and started_at <= state.limit_changed_at):
        return state
    used = min(float(in_flight), state.limit or config.max_concurrent)
    return _changed(state, max(1.0, used * _CUT), now)


def after_answer(state: ProviderState, config: ProviderConfig, in_flight: int, now: datetime) -> ProviderState:
    """Raise the limit by one, at most every ten seconds, where all of it was used.

    Args:
        in_flight: Calls under way when it was answered, this one included.
    """
    if state.limit is None or in_flight < limit(state, config):
        return state
    if state.limit_changed_at is not None and now - state.limit_changed_at < _RAISE_EVERY:
        return state
    return _changed(state, None if state.limit + 1 >= config.max_concurrent else state.limit + 1, now)


def after_recovery(state: ProviderState, config: ProviderConfig, now: datetime) -> ProviderState:
    """Begin again with few calls, where the limit is not that low already."""
    begin = min(_AFTER_RECOVERY, limit(state, config))
    return _changed(state, begin, now)


def _changed(state: ProviderState, to: float | None, now: datetime) -> ProviderState:
    return state.model_copy(update={"limit": to, "limit_changed_at": now})
