"""Keeps calls away from a provider that fails, and lets it back by single trials and a slow start.

Closed, calls pass. It opens after failures in a row, or when half of the last minute's calls failed, for a time that
doubles with every opening. Then it is half open: one call at a time over all workers, the canary, until two in a row
were answered. Only answers to canaries close it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.state import Breaker, Sample

# Failures in a row that open it. One to connect counts for three: two of them leave no doubt.
STRIKES = 5
_CONNECT_STRIKES = 3

# So many calls at least, and so much of them failed, open it too.
_WINDOW = timedelta(seconds=60)
_CALLS = 10
_FAILED_SHARE = 0.5

_FIRST_OPEN = timedelta(seconds=10)
_LONGEST_OPEN = timedelta(seconds=300)
_MOST_DOUBLINGS = 5  # 320 s
# Probes come this often at least while it is open, so a failed one keeps it open until the next.
_PROBE_EVERY = timedelta(seconds=30)
_FORGET_AN_OPENING = timedelta(seconds=30)

CANARIES = 2
SLOW_START = timedelta(seconds=30)
_LEAST_SHARE = 0.1


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def phase(breaker: Breaker, now: datetime) -> Phase:
    """Tell what the breaker does with a call now."""
    if breaker.open_until is None:
        return Phase.CLOSED
    return Phase.OPEN if now < breaker.open_until else Phase.HALF_OPEN


def slow_start(breaker: Breaker, now: datetime) -> float:
    """Return the share of its usual calls that a provider gets after it recovered, 0.1 rising to 1 within 30 s.

    Source: Envoy's slow start with aggression 1.
    """
    if breaker.recovered_at is None or breaker.opened_at is not None:
        return 1.0
    return min(1.0, max(_LEAST_SHARE, (now - breaker.recovered_at) / SLOW_START))


def after_answer(breaker: Breaker, started_at: datetime, now: datetime, *, canary: bool) -> Breaker:
    """Count an answer: it ends a row of failures; a canary's second in a row closes the breaker.

    An attempt that began before the breaker opened tells nothing of the time since.
    """
    if breaker.opened_at is None:
        return breaker.model_copy(update={"strikes": 0}) if breaker.strikes else breaker
    if not canary or started_at < breaker.opened_at:
        return breaker
    if breaker.canaries + 1 < CANARIES:
        # What answers is trusted with the next canary at once, even one that was asked early for want of others.
        open_until = min(breaker.open_until or now, now)
        return breaker.model_copy(update={"canaries": breaker.canaries + 1, "open_until": open_until})
    return Breaker(openings=breaker.openings, reason=breaker.reason, recovered_at=now)


def after_failure(
    breaker: Breaker,
    failure: FailureClass,
    weight: float,
    recent: Sequence[tuple[Sample, float]],
    started_at: datetime,
    now: datetime,
    jitter: float,
    *,
    canary: bool,
) -> Breaker:
    """Count a failure: it may open the breaker, and a canary's opens it again.

    Args:
        weight: How much the failure says about the provider's health, 0 to 1; at 0 it changes nothing.
        recent: The provider's last attempts with their failures' weights, without this one.
        jitter: Multiplies the time it stays open, 0.8 to 1.2.
    """
    if weight == 0:
        return breaker
    if breaker.opened_at is not None:
        return opened(breaker, failure, now, jitter) if canary and started_at >= breaker.opened_at else breaker
    if breaker.recovered_at is not None and started_at < breaker.recovered_at:
        return breaker
    strikes = breaker.strikes + (_CONNECT_STRIKES if failure is FailureClass.CONNECT else 1)
    if strikes >= STRIKES or _mostly_failing(breaker, weight, recent, now):
        return opened(breaker, failure, now, jitter)
    return breaker.model_copy(update={"strikes": strikes})


def after_probe(breaker: Breaker, now: datetime, *, reachable: bool) -> Breaker:
    """Move the end of an open time as a free probe shows; it never closes the breaker.

    A probe tells something only where no connection was made: the list of models is served by other machines than
    the answers.
    """
    if breaker.opened_at is None or breaker.open_until is None or breaker.reason is not FailureClass.CONNECT:
        return breaker
    usual = _open_time(breaker.openings)
    if reachable:
        earliest = breaker.opened_at + max(_FIRST_OPEN, usual / 4)
        open_until = min(breaker.open_until, max(earliest, now))
    else:
        open_until = max(breaker.open_until, now + min(usual, _PROBE_EVERY))
    return breaker.model_copy(update={"open_until": open_until})


def canary_lost(breaker: Breaker, started_at: datetime, now: datetime, jitter: float) -> Breaker:
    """Open the breaker again: what became of its canary will never be known."""
    if breaker.opened_at is None or started_at < breaker.opened_at:
        return breaker
    return opened(breaker, FailureClass.LOST, now, jitter)


def opened(breaker: Breaker, reason: FailureClass, now: datetime, jitter: float) -> Breaker:
    """Open, for 10 s the first time, twice as long each further time up to 300 s; 30 s of health undo one doubling."""
    healthy = timedelta(0) if breaker.recovered_at is None else now - breaker.recovered_at
    openings = min(max(0, breaker.openings - healthy // _FORGET_AN_OPENING), _MOST_DOUBLINGS) + 1
    return Breaker(
        opened_at=now,
        open_until=now + min(_LONGEST_OPEN, _open_time(openings) * jitter),
        openings=openings,
        reason=reason,
    )


def _open_time(openings: int) -> timedelta:
    return min(_LONGEST_OPEN, _FIRST_OPEN * (1 << (openings - 1)))


def _mostly_failing(breaker: Breaker, weight: float, recent: Sequence[tuple[Sample, float]], now: datetime) -> bool:
    since = max(now - _WINDOW, breaker.recovered_at or now - _WINDOW)
    # What says nothing of health, like a refusal for its rate, is no call here.
    weights = [lost for sample, lost in recent if sample.started_at >= since and (sample.failure is None or lost > 0)]
    weights.append(weight)
    return len(weights) >= _CALLS and sum(weights) >= _FAILED_SHARE * len(weights)
