"""All timeouts and retry policies, in one place, each with its reason."""

from datetime import timedelta
from typing import NotRequired, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from tertulia.domain.turns import Candidate


class LocalActivityOptions(TypedDict):
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    local_retry_threshold: timedelta


class RemoteActivityOptions(TypedDict):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: NotRequired[timedelta]
    retry_policy: RetryPolicy


class ActivityOptions(TypedDict):
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    summary: str


class ErrandOptions(TypedDict):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


# Storage that is away comes back: writes wait for it for as long as it takes. Waits beyond the threshold become durable
# timers, so that a session that waits costs the worker nothing.
STORAGE = LocalActivityOptions(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
    ),
    local_retry_threshold=timedelta(seconds=5),
)

# Temporal itself is what is asked here, and it is there where a workflow runs.
WAKE = RemoteActivityOptions(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
)

# Whoever follows a session that was cut off waits for its end. What can't be had for this long is left to a later run.
UPKEEP = RemoteActivityOptions(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
)

# A message is handed over as soon as that is possible; those behind it wait.
HAND_OVER = RemoteActivityOptions(
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=15)),
)

# A file that can't be had for this long is done without, because the messages behind it wait.
FETCH_FILE = RemoteActivityOptions(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
)

# Longer than a call's own time limits. What can't be sent for a day is not sent: nobody waits for it any more.
SEND = RemoteActivityOptions(
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=5)),
)

# Between two looks at storage that has been away for longer than an activity's retries: at first, and at most. Each
# look is a dozen events, and a history that is full ends its session.
_STORAGE_WAIT = timedelta(seconds=3)
_LONGEST_STORAGE_WAIT = timedelta(minutes=1)

# Workers that may die in one call before its provider is given up: more than a deploy takes down one after the other.
LOST_WORKERS = 5

# A turn that waits for a provider asks again after this at the earliest, twice as long with each wait, up to half a
# minute: whoever says "at once" again and again is not to fill a history.
_LEAST_WAIT = timedelta(seconds=1)
_LONGEST_LEAST_WAIT = timedelta(seconds=32)

# Longer than the attempt's own time limit, so that the attempt, which knows why it is slow, speaks first.
_GRACE = timedelta(seconds=15)
# A worker that died is noticed after this long; the activity heartbeats every second.
_HEARTBEAT = timedelta(seconds=6)


def least_wait(waits: int) -> timedelta:
    """Return the shortest wait for a provider in a turn that has waited so often before."""
    return _doubled(_LEAST_WAIT, waits, at_most=_LONGEST_LEAST_WAIT)


def storage_wait(waits: int) -> timedelta:
    """Return how long to wait for storage in a call that has waited so often before."""
    return _doubled(_STORAGE_WAIT, waits, at_most=_LONGEST_STORAGE_WAIT)


def _doubled(wait: timedelta, times: int, *, at_most: timedelta) -> timedelta:
    # So many doublings make the least wait longer than any.
    return min(wait * (1 << min(times, 16)), at_most)


def jitter(wait: timedelta, chance: float) -> timedelta:
    """Return what is added to a wait, so that those who wait for the same gate don't all come back at once.

    Args:
        chance: In [0, 1).
    """
    return (wait * 0.1 + timedelta(seconds=0.25)) * chance


def provider_call(candidate: Candidate, attempts: int, *, summary: str) -> ActivityOptions:
    """Options for asking one provider: Temporal retries it there, up to `attempts`, then the next one is asked."""
    return ActivityOptions(
        start_to_close_timeout=timedelta(seconds=candidate.timeout_s) + _GRACE,
        heartbeat_timeout=_HEARTBEAT,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(milliseconds=500),
            backoff_coefficient=2.0,
            maximum_interval=timedelta(seconds=8),
            maximum_attempts=attempts,
        ),
        cancellation_type=ActivityCancellationType.TRY_CANCEL,
        summary=summary,
    )


def errand(*, summary: str) -> ErrandOptions:
    """Options for what a skill has done: storage that is away is waited for, but not as long as a person would not."""
    return ErrandOptions(
        start_to_close_timeout=timedelta(seconds=60),
        schedule_to_close_timeout=timedelta(minutes=5),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(milliseconds=200),
            backoff_coefficient=2.0,
            maximum_interval=timedelta(seconds=10),
        ),
        summary=summary,
    )


def health_check(*, summary: str) -> ActivityOptions:
    """Options for one free probe: its own time limit is shorter; what is down is found again at the next run."""
    return ActivityOptions(
        start_to_close_timeout=timedelta(seconds=20),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=RetryPolicy(maximum_attempts=2),
        cancellation_type=ActivityCancellationType.TRY_CANCEL,
        summary=summary,
    )
