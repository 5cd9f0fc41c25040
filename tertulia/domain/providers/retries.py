"""How often a question may be asked again: within one turn, and at one provider over all turns."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tertulia.domain.conversation import Payload
from tertulia.domain.providers import gates
from tertulia.domain.providers.state import Sample
from tertulia.domain.turns import Candidate

# Failed attempts of one turn, over all providers.
MAX_FAILED = 4

# A turn that has wasted this much on failed attempts asks nobody any more.
MAX_WASTED_USD = Decimal(1)

_WINDOW = timedelta(minutes=2)
_FLOOR = 3
_SHARE = 0.2

_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=8)


class Ledger(Payload):
    """What a turn, or a part of it, has spent of its patience.

    Attributes:
        attempts: That were made; one that was not admitted was not.
        failed: Those of them that failed.
        wasted_usd: What the failed ones can have cost, as far as that can be told.
    """

    attempts: int = 0
    failed: int = 0
    wasted_usd: Decimal = Decimal(0)

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(
            attempts=self.attempts + other.attempts,
            failed=self.failed + other.failed,
            wasted_usd=self.wasted_usd + other.wasted_usd,
        )

    @property
    def spent(self) -> bool:
        """Whether no further attempt is allowed."""
        return self.failed >= MAX_FAILED or self.wasted_usd >= MAX_WASTED_USD


def allowed_here(ledger: Ledger, candidate: Candidate, behind: int) -> int:
    """Return how many attempts a turn may make at a provider; 0 where the turn has none left.

    Args:
        behind: Candidates that come after it; for each of them one attempt is kept, as far as there are any.
    """
    if ledger.spent:
        return 0
    left = MAX_FAILED - ledger.failed
    return min(candidate.max_attempts, max(1, left - behind))


def retries_left(samples: Sequence[Sample], now: datetime) -> int:
    """Return how many more retries a provider gets, from whoever; in an outage of all they would only add load.

    Within two minutes three retries may fail, and one more for every five answers.

    Source: the retry throttling of gRPC (A6): an answer earns a share of what a failure costs.
    """
    recent = [sample for sample in samples if sample.ended_at >= now - _WINDOW]
    answered = sum(sample.failure is None for sample in recent)
    failed = sum(sample.is_retry and sample.failure is not None for sample in recent)
    return max(0, int(_FLOOR + _SHARE * answered) - failed)


def pause(attempt: int, retry_after: timedelta | None, chance: float) -> timedelta:
    """Return how long to wait before the same provider is asked again.

    Args:
        attempt: Number of the attempt that failed, from 1.
        retry_after: What the provider asked for, which goes before our own.
        chance: Spreads the waits of several callers, 0 to 1.
    """
    if retry_after is not None:
        return gates.wait(retry_after, chance)
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << (attempt - 1))) * chance
