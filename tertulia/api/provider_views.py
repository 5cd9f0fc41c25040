"""What operators get about providers and budgets. No view has a key, nor a place where one could hide."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

from pydantic import ConfigDict

from tertulia.api.views import View
from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers import gates
from tertulia.domain.providers.breaker import Phase, phase
from tertulia.domain.providers.configs import Feature, LoadBalanceStrategy, ProviderKind
from tertulia.domain.providers.health import ProbeResult, ProviderStatus
from tertulia.domain.providers.reports import (
    Configured,
    Metrics,
    Origin,
    ProviderReport,
    StateChange,
    StatusReport,
    TenantBudget,
)
from tertulia.domain.providers.routing import Decision
from tertulia.domain.providers.state import GateKind, Probe, ProviderState
from tertulia.domain.turns import PassedOver


class ProviderView(View):
    """A provider's configuration as it is in use.

    Attributes:
        key_fingerprint: Tells keys apart: the beginning of the key's SHA-256; null where there is no key.
        origin: Where the configuration comes from; one that was changed at runtime counts as from there.
        unusable: Why it can't be asked at all; null where it can.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "groq",
                    "kind": "groq",
                    "base_url": "https://api.groq.com/openai/v1",
                    "model": "openai/gpt-oss-120b",
                    "key_fingerprint": "9f86d081884c",
                    "timeout_s": 30.0,
                    "max_retries": 3,
                    "enabled": True,
                    "priority": 1,
                    "weight": 1.0,
                    "cost_per_token": None,
                    "input_price": "0.15",
                    "output_price": "0.60",
                    "cached_input_price": None,
                    "max_concurrent": 10,
                    "context_window": 131072,
                    "features": ["json_schema", "tools"],
                    "daily_budget_usd": "5.00",
                    "unusable": None,
                    "origin": "environment",
                }
            ]
        }
    )

    name: ProviderName
    kind: ProviderKind
    base_url: str
    model: str
    key_fingerprint: str | None
    timeout_s: float
    max_retries: int
    enabled: bool
    priority: int
    weight: float
    cost_per_token: Decimal | None
    input_price: Decimal | None
    output_price: Decimal | None
    cached_input_price: Decimal | None
    max_concurrent: int
    context_window: int | None
    features: tuple[Feature, ...]
    daily_budget_usd: Decimal | None
    unusable: str | None
    origin: Origin

    @classmethod
    def of(cls, configured: Configured) -> "ProviderView":
        """View a configuration."""
        config = configured.config
        return cls.model_validate(
            {
                **config.model_dump(),
                "base_url": _without_secrets(config.base_url),
                "key_fingerprint": config.key_fingerprint,
                "features": sorted(config.features),
                "origin": configured.origin,
            }
        )


def _without_secrets(address: str) -> str:
    """Leave out of an address the user and the query; some put a key there."""
    url = urlsplit(address)
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


class ProviderList(View):
    """The providers in the order of preference."""

    providers: tuple[ProviderView, ...]

    @classmethod
    def of(cls, configured: Sequence[Configured]) -> "ProviderList":
        """View all configurations."""
        return cls(providers=tuple(ProviderView.of(each) for each in configured))


class Quantiles(View):
    """Half are at most `p50`, 95 of 100 at most `p95`; null where nothing was measured."""

    p50: float | None
    p95: float | None


class BreakerView(View):
    """What keeps calls away from a provider that fails.

    Attributes:
        phase: `half_open` lets one call at a time through, to see whether it is well.
        open_until: When it lets the first one through; null where it is closed.
        reason: The class of the failure that opened it last.
    """

    phase: Phase
    open_until: datetime | None
    reason: FailureClass | None


class GateView(View):
    """Why a provider is not asked although it is well.

    Attributes:
        until: When it opens by itself; null: when the configuration changes, or a probe shows that it may.
    """

    kind: GateKind
    until: datetime | None
    detail: str


class ProviderStatusView(View):
    """How a provider is.

    Attributes:
        score: 0 to 100, of its last attempts, newest heaviest.
        confidence: How many attempts the score rests on, newest heaviest; 0 where nothing is known.
        in_flight: Calls under way, over all workers.
        limit: Calls at a time that are allowed now: the configured number, or less after refusals.
        maintenance: The operator's note; null where it is in service.
        probe: The last free probe; null before the first one.
        latency_ms: Of whole answers of the last minutes.
        ttft_ms: Until the first text, of the last minutes.
        spent_usd: Spent and reserved since midnight UTC.
        passed_over: Why it would not be asked now; null where it would.
    """

    provider: ProviderName
    status: ProviderStatus
    score: float
    confidence: float
    breaker: BreakerView
    gates: tuple[GateView, ...]
    in_flight: int
    limit: int
    maintenance: str | None
    probe: Probe | None
    latency_ms: Quantiles
    ttft_ms: Quantiles
    spent_usd: Decimal
    passed_over: str | None

    @classmethod
    def of(cls, report: ProviderReport, at: datetime) -> "ProviderStatusView":
        """View how a provider is at a time."""
        state, health = report.state, report.health
        return cls(
            provider=report.config.provider,
            status=health.status,
            score=round(health.score, 1),
            confidence=round(health.confidence, 1),
            breaker=BreakerView(
                phase=phase(state.breaker, at),
                open_until=state.breaker.open_until,
                reason=state.breaker.reason,
            ),
            gates=tuple(
                GateView(kind=kind, until=gate.until, detail=gate.detail)
                for kind, gate in sorted(state.gates.items())
                if gates.closed({kind: gate}, report.config, at)
            ),
            in_flight=report.in_flight,
            limit=report.limit,
            maintenance=state.maintenance,
            probe=state.probe,
            latency_ms=Quantiles(p50=health.latency_p50_ms, p95=health.latency_p95_ms),
            ttft_ms=Quantiles(p50=health.ttft_p50_ms, p95=health.ttft_p95_ms),
            spent_usd=report.spent_usd,
            passed_over=report.passed_over,
        )


class ProviderStatusList(View):
    """How all providers are.

    Attributes:
        at: When this was known.
        stale: Whether storage can't be reached, so that this is what was known last.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-03-14T12:00:00Z",
                    "stale": False,
                    "providers": [
                        {
                            "provider": "groq",
                            "status": "unhealthy",
                            "score": 21.5,
                            "confidence": 6.2,
                            "breaker": {"phase": "open", "open_until": "2026-03-14T12:00:08Z", "reason": "server"},
                            "gates": [{"kind": "rate_limit", "until": "2026-03-14T12:00:20Z", "detail": "30 a minute"}],
                            "in_flight": 1,
                            "limit": 7,
                            "maintenance": None,
                            "probe": {
                                "at": "2026-03-14T11:59:40Z",
                                "reachable": True,
                                "latency_ms": 82.1,
                                "detail": "",
                                "failed_in_a_row": 0,
                            },
                            "latency_ms": {"p50": 910.0, "p95": 2210.5},
                            "ttft_ms": {"p50": 180.0, "p95": 402.5},
                            "spent_usd": "0.0314",
                            "passed_over": "its breaker is open",
                        }
                    ],
                }
            ]
        }
    )

    at: datetime
    stale: bool
    providers: tuple[ProviderStatusView, ...]

    @classmethod
    def of(cls, report: StatusReport) -> "ProviderStatusList":
        """View how all providers are."""
        providers = tuple(ProviderStatusView.of(each, report.at) for each in report.providers)
        return cls(at=report.at, stale=report.stale, providers=providers)


class Spread(View):
    """Milliseconds that half, 95 of 100 and 99 of 100 took at most."""

    p50: float
    p95: float
    p99: float


class ProviderMetricsView(View):
    """What came of a provider's attempts that ended within the window.

    Attributes:
        success_rate: Answered ones among all, 0 to 1; null where there were none.
        failures: How many failed, by class.
        retries: Attempts that came after another one had failed for the same answer.
        ttft_ms: Until the first text.
        latency_ms: Until the end of an answer.
        input_tokens: Of prompts, those read from a cache included.
        cost_usd: Exact where the provider or its price tells; else as estimated.
        cost_at_most_usd: What it may have come to, where failed attempts were perhaps billed.
        wasted_usd: The part of `cost_usd` that failed attempts have cost.
        consecutive_failures: Failed since the last answer, whenever that was.
        in_flight: Calls under way now, over all workers.
    """

    provider: ProviderName
    attempts: int
    answered: int
    success_rate: float | None
    failures: Mapping[FailureClass, int]
    retries: int
    ttft_ms: Spread | None
    latency_ms: Spread | None
    latency_mean_ms: float | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: Decimal
    cost_at_most_usd: Decimal
    wasted_usd: Decimal
    consecutive_failures: int
    in_flight: int

    @classmethod
    def of(cls, provider: ProviderName, metrics: Metrics) -> "ProviderMetricsView":
        """View one provider's metrics."""
        answered = metrics.answered
        return cls.model_validate(
            {
                **asdict(metrics),
                "provider": provider,
                "success_rate": round(answered / metrics.attempts, 4) if metrics.attempts else None,
                "latency_mean_ms": round(metrics.latency_total_ms / answered, 1) if answered else None,
            }
        )


class ProviderMetricsList(View):
    """What came of all attempts that ended from `since` to before `until`; by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "since": "2026-03-14T11:00:00Z",
                    "until": "2026-03-14T12:00:00Z",
                    "providers": [
                        {
                            "provider": "groq",
                            "attempts": 120,
                            "answered": 117,
                            "success_rate": 0.975,
                            "failures": {"rate_limit": 2, "timeout": 1},
                            "retries": 3,
                            "ttft_ms": {"p50": 180.0, "p95": 402.5, "p99": 610.0},
                            "latency_ms": {"p50": 910.0, "p95": 2210.5, "p99": 3050.0},
                            "latency_mean_ms": 1042.3,
                            "input_tokens": 94210,
                            "cached_tokens": 61000,
                            "output_tokens": 14022,
                            "cost_usd": "0.0225",
                            "cost_at_most_usd": "0.0231",
                            "wasted_usd": "0.0004",
                            "consecutive_failures": 0,
                            "in_flight": 1,
                        }
                    ],
                }
            ]
        }
    )

    since: datetime
    until: datetime
    providers: tuple[ProviderMetricsView, ...]

    @classmethod
    def of(cls, since: datetime, until: datetime, metrics: Mapping[ProviderName, Metrics]) -> "ProviderMetricsList":
        """View the metrics of all providers."""
        providers = tuple(ProviderMetricsView.of(name, metrics[name]) for name in sorted(metrics))
        return cls(since=since, until=until, providers=providers)


class StateChangeView(View):
    """A change of what was decided about a provider.

    Attributes:
        reason: Why, in a few words.
        changed: What of the state.
    """

    at: datetime
    reason: str
    changed: tuple[str, ...]
    before: ProviderState
    after: ProviderState

    @classmethod
    def of(cls, change: StateChange) -> "StateChangeView":
        """View a change."""
        before, after = dict(change.before), dict(change.after)
        changed = tuple(part for part in after if before[part] != after[part])
        return cls(at=change.at, reason=change.reason, changed=changed, before=change.before, after=change.after)


class ProviderHistory(View):
    """What was decided about a provider, newest first."""

    provider: ProviderName
    changes: tuple[StateChangeView, ...]

    @classmethod
    def of(cls, provider: ProviderName, changes: Sequence[StateChange]) -> "ProviderHistory":
        """View a provider's history."""
        return cls(provider=provider, changes=tuple(StateChangeView.of(change) for change in changes))


class ProbeView(View):
    """What a free probe found out just now.

    Attributes:
        failure: What was wrong, where the provider said it.
    """

    provider: ProviderName
    reachable: bool
    latency_ms: float
    detail: str
    failure: FailureClass | None

    @classmethod
    def of(cls, provider: ProviderName, probe: ProbeResult) -> "ProbeView":
        """View a probe."""
        return cls(provider=provider, **dict(probe))


class DecisionView(View):
    """Who would be asked now, best first, who would not and why.

    Attributes:
        retry_at: Earliest time at which one of those passed over may be asked; null where time alone changes nothing.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "strategy": "cost_optimized",
                    "order": ["groq", "gemini"],
                    "passed_over": [{"provider": "openrouter", "reason": "its breaker is open"}],
                    "retry_at": "2026-03-14T12:00:08Z",
                }
            ]
        }
    )

    strategy: LoadBalanceStrategy
    order: tuple[ProviderName, ...]
    passed_over: tuple[PassedOver, ...]
    retry_at: datetime | None

    @classmethod
    def of(cls, decision: Decision) -> "DecisionView":
        """View a decision."""
        return cls(
            strategy=decision.strategy,
            order=decision.order,
            passed_over=decision.passed_over,
            retry_at=decision.retry_at,
        )


class BudgetView(View):
    """What a tenant may spend each day from midnight UTC, and has spent and reserved today, USD."""

    model_config = ConfigDict(
        frozen=True,
        from_attributes=True,
        json_schema_extra={"examples": [{"tenant": "default", "daily_usd": "20.00", "spent_usd": "0.0314"}]},
    )

    tenant: TenantId
    daily_usd: Decimal
    spent_usd: Decimal

    @classmethod
    def of(cls, budget: TenantBudget) -> "BudgetView":
        """View a budget."""
        return cls.model_validate(budget)
