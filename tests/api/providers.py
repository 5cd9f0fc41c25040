"""Providers in memory, behind the API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, Unavailable
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers import configs, limits, routing, snapshots
from tertulia.domain.providers.configs import LoadBalanceStrategy, ProviderConfig, ProviderKind, Providers
from tertulia.domain.providers.health import ProbeResult, health_of
from tertulia.domain.providers.reports import (
    Configured,
    Metrics,
    Origin,
    Percentiles,
    ProviderReport,
    StateChange,
    StatusReport,
    TenantBudget,
)
from tertulia.domain.providers.routing import Decision, Demand, Rotation
from tertulia.domain.providers.state import Known
from tests.fakes import NOON

GROQ = ProviderName("groq")
GEMINI = ProviderName("gemini")
KEY = "gsk_canary0123456789"

BUSY = Metrics(
    attempts=8,
    answered=6,
    failures={FailureClass.TIMEOUT: 2},
    retries=1,
    ttft_ms=Percentiles(80.5, 120.25, 121.0),
    latency_ms=Percentiles(410.0, 2210.0, 2300.0),
    latency_total_ms=3000.0,
    input_tokens=2100,
    cached_tokens=600,
    output_tokens=180,
    cost_usd=Decimal("0.0031"),
    cost_at_most_usd=Decimal("0.0035"),
    wasted_usd=Decimal("0.0004"),
    in_flight=1,
)


class InMemoryProviders:
    """Groq with a key and gemini without, of the environment; what is done to them is done by the domain's rules.

    Attributes:
        known: What is known of them; tests write it.
        stale: Whether storage is away: nothing can be changed then.
        windows: The windows for which metrics were asked.
        tenants: Whose metrics these were to be; None: all tenants'.
    """

    def __init__(self) -> None:
        groq = ProviderConfig(
            name=GROQ,
            kind=ProviderKind.GROQ,
            base_url="https://api.groq.com/openai/v1",
            model="llama",
            api_key=SecretStr(KEY),
        )
        gemini = ProviderConfig(
            name=GEMINI, kind=ProviderKind.GEMINI, base_url="https://g", priority=2, unusable="no key"
        )
        self._configs: Providers = {GROQ: groq, GEMINI: gemini}
        self._given: set[ProviderName] = set()
        self._changes: list[StateChange] = []
        self._budgets: dict[TenantId, Decimal] = {}
        self.known: dict[ProviderName, Known] = {}
        self.metrics: dict[ProviderName, Metrics] = {GROQ: BUSY}
        self.probe = ProbeResult(reachable=True, latency_ms=41.5)
        self.stale = False
        self.windows: list[tuple[datetime, datetime]] = []
        self.tenants: list[TenantId | None] = []

    def key(self, name: ProviderName) -> str | None:
        """Tell which key is in use."""
        key = self._configs[name].api_key
        return None if key is None else key.get_secret_value()

    def configured(self) -> Sequence[Configured]:
        by_priority = sorted(self._configs.values(), key=lambda config: config.priority)
        return [self._configured(config.provider) for config in by_priority]

    async def add_provider(self, config: ProviderConfig) -> Configured:
        return self._changed(config.provider, configs.added(self._configs, config))

    async def update_provider_config(self, name: ProviderName, patch: Mapping[str, Any]) -> Configured:
        return self._changed(name, configs.updated(self._configs, name, patch))

    async def remove_provider(self, name: ProviderName) -> None:
        rest = configs.removed(self._configs, name)
        self._reached()
        self._configs = rest

    async def get_provider_status(self) -> StatusReport:
        decision = await self.get_best_provider(Demand())
        passed_over = {passed.provider: passed.reason for passed in decision.passed_over}
        reports = [self._report(each.config, passed_over) for each in self.configured()]
        return StatusReport(at=NOON, stale=self.stale, providers=tuple(reports))

    async def get_provider_metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        self._reached()
        self.windows.append((since, until))
        self.tenants.append(tenant)
        return {name: self.metrics.get(name, Metrics()) for name in self._configs}

    async def provider_history(self, name: ProviderName, limit: int) -> Sequence[StateChange]:
        configs.find(self._configs, name)
        return [change for change in reversed(self._changes) if change.provider == name][:limit]

    async def set_maintenance(self, name: ProviderName, note: str | None) -> None:
        configs.find(self._configs, name)
        self._reached()
        known = self.known.get(name, Known())
        state = known.state.model_copy(update={"maintenance": note})
        self.known[name] = replace(known, state=state)
        reason = "back in service" if note is None else "maintenance"
        self._changes.append(StateChange(provider=name, at=NOON, reason=reason, before=known.state, after=state))

    async def check_provider(self, name: ProviderName) -> ProbeResult:
        configs.find(self._configs, name)
        return self.probe

    async def get_best_provider(self, demand: Demand) -> Decision:
        configs = [each.config for each in self.configured()]
        snapshot = snapshots.prepare(configs, self.known, LoadBalanceStrategy.ROUND_ROBIN, {}, NOON)
        return routing.decide(snapshot, demand, Rotation(), 0)

    async def budget(self, tenant: TenantId) -> TenantBudget | None:
        if tenant not in self._budgets:
            return None
        return TenantBudget(tenant=tenant, daily_usd=self._budgets[tenant], spent_usd=Decimal("0.5"))

    async def set_budget(self, tenant: TenantId, daily_usd: Decimal) -> TenantBudget:
        self._reached()
        self._budgets[tenant] = daily_usd
        return TenantBudget(tenant=tenant, daily_usd=daily_usd, spent_usd=Decimal("0.5"))

    async def remove_budget(self, tenant: TenantId) -> None:
        self._reached()
        self._budgets.pop(tenant, None)

    def _reached(self) -> None:
        if self.stale:
            raise Unavailable("Postgres", "can't be reached")

    def _changed(self, name: ProviderName, configs: Providers) -> Configured:
        self._reached()
        self._configs = configs
        self._given.add(name)
        return self._configured(name)

    def _configured(self, name: ProviderName) -> Configured:
        origin = Origin.RUNTIME if name in self._given else Origin.ENVIRONMENT
        return Configured(self._configs[name], origin)

    def _report(self, config: ProviderConfig, passed_over: Mapping[ProviderName, str]) -> ProviderReport:
        known = self.known.get(config.provider, Known())
        return ProviderReport(
            config=config,
            state=known.state,
            health=health_of(config, known, NOON),
            in_flight=known.in_flight,
            limit=limits.limit(known.state, config),
            spent_usd=known.spent_usd,
            passed_over=passed_over.get(config.provider),
        )
