"""What is told about providers to those who look after them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import Health
from tertulia.domain.providers.state import ProviderState


class Origin(StrEnum):
    """Where a configuration comes from."""

    ENVIRONMENT = "environment"
    RUNTIME = "runtime"


@dataclass(frozen=True, slots=True)
class Configured:
    """A provider's configuration as it is in use, and where it comes from."""

    config: ProviderConfig
    origin: Origin


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """How one provider is at one moment.

    Attributes:
        limit: Calls under way at a time that are allowed now, over all workers.
        spent_usd: Spent and reserved since midnight UTC.
        passed_over: Why it would not be asked now; None where it would.
    """

    config: ProviderConfig
    state: ProviderState
    health: Health
    in_flight: int
    limit: int
    spent_usd: Decimal
    passed_over: str | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """How all providers are.

    Attributes:
        at: When this was known.
        stale: Whether storage can't be reached, so that this is what was known last.
    """

    at: datetime
    stale: bool
    providers: tuple[ProviderReport, ...]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a span of time, milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the ledger has of one provider's attempts that ended within a time; `Metrics()` is that of none.

    Attributes:
        attempts: All that have ended.
        answered: Those that were answered.
        failures: Those that failed, by class; classes that did not occur are left out.
        retries: Attempts that came after another one had failed for the same answer.
        ttft_ms: Until the first text; None where nothing was answered.
        latency_ms: Until the end of an answer; None where nothing was answered.
        latency_total_ms: Of all answers together.
        input_tokens: All tokens of prompts, those read from a cache included.
        cost_usd: Exact or best known.
        cost_at_most_usd: What it may have come to, where failed attempts were perhaps billed.
        wasted_usd: The part of `cost_usd` that failed attempts have cost.
        consecutive_failures: Failed since the last answer, whenever that was; those that we cancelled don't count.
        in_flight: Calls under way now, over all workers.
    """

    attempts: int = 0
    answered: int = 0
    failures: Mapping[FailureClass, int] = field(default_factory=dict)
    retries: int = 0
    ttft_ms: Percentiles | None = None
    latency_ms: Percentiles | None = None
    latency_total_ms: float = 0.0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_at_most_usd: Decimal = Decimal(0)
    wasted_usd: Decimal = Decimal(0)
    consecutive_failures: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of what was decided about a provider.

    Attributes:
        reason: Why, in a few words: the failure, the operator's act.
    """

    provider: ProviderName
    at: datetime
    reason: str
    before: ProviderState
    after: ProviderState


@dataclass(frozen=True, slots=True)
class TenantBudget:
    """What a tenant may spend.

    Attributes:
        daily_usd: At most, each day from midnight UTC.
        spent_usd: Spent and reserved today.
    """

    tenant: TenantId
    daily_usd: Decimal
    spent_usd: Decimal
