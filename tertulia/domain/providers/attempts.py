"""What is asked of the ledger of attempts before one is made, and what it answers."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.completions import Completion
from tertulia.domain.turns import AttemptKey, AttemptOutcome

# The slot of the only call that a provider gets while its breaker is not closed; 1 and up are everybody else's.
CANARY_SLOT = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """Asks for a place for one attempt.

    Attributes:
        limit: How many ordinary slots may be taken at a time, at least 1; slots are 1 to `limit`.
        canary: Asks for the canary's slot, and no other.
        reserve_usd: What it may cost at most; counts as spent until it is settled. 0 where no price is known.
        daily_budget_usd: What the provider may cost a day from midnight UTC, this attempt included; None: no bound.
        expires_at: When the lease ends unless it is renewed.
    """

    key: AttemptKey
    limit: int
    canary: bool
    reserve_usd: Decimal
    daily_budget_usd: Decimal | None
    at: datetime
    expires_at: datetime


class Refusal(StrEnum):
    """Why an attempt gets no place."""

    NO_ROOM = "no room: all its slots are taken"
    TRIAL_UNDER_WAY = "a trial call is under way"
    BUDGET_SPENT = "its budget of the day is spent"
    TENANT_BUDGET_SPENT = "the tenant's budget of the day is spent"  # no other provider helps
    ENDED = "this attempt has ended already"


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt whose lease ended because its worker died or froze."""

    attempt_id: str
    provider: ProviderName
    slot: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Made:
    """An attempt that was answered."""

    completion: Completion
    outcome: AttemptOutcome
