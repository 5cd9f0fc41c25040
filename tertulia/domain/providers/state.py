"""What is known of a provider while it is in use. All workers share it through storage, and a restart forgets none.

Two kinds of knowledge: the *state* holds what was decided (breaker, gates, limit, maintenance) and changes seldom, by
pure functions under a lock; *samples* are the last attempts of the ledger, from which everything else is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName


class State(BaseModel):
    model_config = ConfigDict(frozen=True)


class Breaker(State):
    """Keeps calls away from a provider that fails.

    It is closed where `opened_at` is None, open until `open_until`, and half open from then on: one call at a time, the
    canary, over all workers.

    Attributes:
        openings: How often it has opened without a time of health in between; decides how long it stays open.
        reason: The class of the failure that opened it last.
        strikes: Countable failures in a row; one to connect counts for three.
        canaries: Canaries in a row that were answered.
        recovered_at: When it closed again, from which the slow start counts; None where it never opened.
    """

    opened_at: AwareDatetime | None = None
    open_until: AwareDatetime | None = None
    openings: int = 0
    reason: FailureClass | None = None
    strikes: int = 0
    canaries: int = 0
    recovered_at: AwareDatetime | None = None


class GateKind(StrEnum):
    """Why a provider is not asked although it is well."""

    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    BILLING = "billing"
    AUTH = "auth"
    CONFIG = "config"


class Gate(State):
    """A closed gate.

    Attributes:
        until: When it opens by itself; None: when the configuration changes, or a free probe shows that it may.
        detail: The provider's words.
        key_fingerprint: The key it was closed for; another key opens it.
    """

    until: AwareDatetime | None
    detail: str = ""
    key_fingerprint: str | None = None


class Probe(State):
    """The last free probe.

    Attributes:
        failed_in_a_row: Failed probes without a successful one in between, this one included.
    """

    at: AwareDatetime
    reachable: bool
    latency_ms: float
    detail: str = ""
    failed_in_a_row: int = 0


class ProviderState(State):
    """All that was decided about a provider.

    Attributes:
        limit: Calls under way at a time as the provider's refusals have taught; None where it never refused.
        limit_changed_at: When `limit` was last cut or raised.
        maintenance: What the operator says about it; None where it is in service.
    """

    breaker: Breaker = Breaker()
    gates: Mapping[GateKind, Gate] = {}
    limit: float | None = None
    limit_changed_at: AwareDatetime | None = None
    maintenance: str | None = None
    probe: Probe | None = None


NOTHING_DECIDED = ProviderState()


@dataclass(frozen=True, slots=True)
class Sample:
    """One attempt that has ended, as the selection sees it.

    Attributes:
        failure: None where it answered.
        ttft_ms: Until the first text; None where none came.
        output_tokens: As reported; 0 where unknown.
        is_retry: Whether another attempt had failed before it for the same answer, here or at another provider.
        remaining: The smallest share of its own rate limits that the provider reported as left, 0 to 1; None unknown.
        remaining_until: When the dimension of `remaining` is full again.
    """

    attempt_id: str
    provider: ProviderName
    started_at: datetime
    ended_at: datetime
    failure: FailureClass | None
    ttft_ms: float | None
    latency_ms: float
    output_tokens: int = 0
    is_retry: bool = False
    remaining: float | None = None
    remaining_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one provider at one moment.

    Attributes:
        samples: Oldest first; the last few minutes, bounded in number.
        in_flight: Calls under way over all workers.
        canary_in_flight: Whether the canary's slot is taken.
        oldest_silent_since: Start of the oldest call under way that has had no text yet; None where there is none.
        spent_usd: Spent and reserved today.
    """

    state: ProviderState = NOTHING_DECIDED
    samples: tuple[Sample, ...] = ()
    in_flight: int = 0
    canary_in_flight: bool = False
    oldest_silent_since: datetime | None = None
    spent_usd: Decimal = Decimal(0)
