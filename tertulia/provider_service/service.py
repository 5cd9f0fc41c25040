"""The provider service: who is asked, the asking itself, and the care of the providers. One for each process."""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from tertulia.domain.errors import InvalidInput, Unavailable
from tertulia.domain.ids import DEFAULT_TENANT, ProviderName, TenantId
from tertulia.domain.providers import configs, evidence, limits
from tertulia.domain.providers.attempts import Made
from tertulia.domain.providers.completions import Completion, CompletionRequest
from tertulia.domain.providers.configs import LoadBalanceStrategy, ProviderConfig, ProviderKind, Providers
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.health import Health, ProbeResult
from tertulia.domain.providers.reports import (
    Configured,
    Metrics,
    ProviderReport,
    StateChange,
    StatusReport,
    TenantBudget,
)
from tertulia.domain.providers.routing import Decision, Demand
from tertulia.domain.providers.state import NOTHING_DECIDED, ProviderState
from tertulia.domain.turns import AttemptKey, Ranking
from tertulia.ports import Attempts, Budgets, Completer, ProviderConfigs, ProviderMetrics, ProviderStates
from tertulia.provider_service.calls import Calls
from tertulia.provider_service.choice import Choice
from tertulia.provider_service.fallback import Fallback
from tertulia.provider_service.live import Live
from tertulia.provider_service.registry import Registry
from tertulia.provider_service.upkeep import Upkeep

# How long a question may take that nobody set a limit for.
PATIENCE = timedelta(seconds=60)

_NO_METRICS = Metrics(
    attempts=0,
    answered=0,
    failures={},
    retries=0,
    ttft_ms=None,
    latency_ms=None,
    latency_total_ms=0,
    input_tokens=0,
    cached_tokens=0,
    output_tokens=0,
    cost_usd=Decimal(0),
    cost_at_most_usd=Decimal(0),
    wasted_usd=Decimal(0),
    consecutive_failures=0,
    in_flight=0,
)


@dataclass(frozen=True, slots=True)
class Stores:
    """What the workers share."""

    configs: ProviderConfigs
    states: ProviderStates
    attempts: Attempts
    metrics: ProviderMetrics
    budgets: Budgets


class ProviderService:
    """Asks providers, and looks after them.

    Use it with `async with`: inside, it follows what other workers do. End with `shutdown`; left without it, it looks
    to other workers as if it had died.
    """

    def __init__(
        self,
        configured: Providers,
        stores: Stores,
        *,
        make_completer: Callable[[ProviderConfig], Completer],
        prices: Callable[[ProviderConfig], Prices | None],
        check_base_url: Callable[[str], Awaitable[None]],
        strategy: LoadBalanceStrategy,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        chance: random.Random,
    ) -> None:
        self._stores = stores
        self._check_base_url = check_base_url
        self._now = now
        self._new_id = new_id
        self._chance = chance
        self._registry = Registry(configured, make_completer, prices)
        self._live = Live(stores.states, self._registry, strategy, now)
        self._choice = Choice(self._live, chance)
        self._calls = Calls(self._registry, self._live, self._choice, stores.attempts, stores.states, now, chance)
        self._upkeep = Upkeep(stores.configs, stores.states, self._registry, self._live, self._calls)

    async def __aenter__(self) -> Self:
        """Read what is known, and begin to follow it.

        Raises:
            Unavailable: Storage can't be reached.
        """
        await self._upkeep.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._upkeep.__aexit__(*error)

    # --- asking -----------------------------------------------------------------------------------------------------

    async def get_best_provider(self, demand: Demand) -> Decision:
        """Tell who would be asked now, in which order, and why others would not."""
        return self._choice.look(demand)

    def rank(self, demand: Demand) -> Ranking:
        """Choose whom a turn asks, from what is known here; waits for nothing."""
        return self._choice.rank(demand)

    async def rank_afresh(self, demand: Demand) -> Ranking:
        """Choose whom a turn asks, from what all workers know now; from what is known here where storage is away."""
        with suppress(Unavailable):
            await self._upkeep.refresh()
        return self._choice.rank(demand)

    async def attempt(
        self, key: AttemptKey, request: CompletionRequest, *, on_text: Callable[[str], None] = lambda _text: None
    ) -> Made:
        """Ask one provider once. Cancelled, the attempt is settled as such before the cancellation goes on.

        Args:
            on_text: Gets the text as it comes.

        Raises:
            NotFound: There is no provider of that name.
            NotAdmitted: Nothing was sent.
            Unavailable: Storage is away, and nothing was sent; or this worker stops.
            ProviderFailure: There is no answer; its `cost` says what it cost all the same.
        """
        return await self._calls.make(key, request, on_text)

    async def execute_with_fallback(
        self,
        request: CompletionRequest,
        *,
        tenant: str = DEFAULT_TENANT,
        within: timedelta = PATIENCE,
        only: Collection[ProviderName] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Ask one provider after the other until one answers; wait for one where that is worth it.

        Args:
            tenant: Whose budget it is.
            within: No attempt begins and nothing is waited for after this time.
            only: Nobody else is asked; everybody may be where it is empty.
            on_text: Gets the text as it comes. Once it has had some, a failure is the end: nothing can be taken back.

        Raises:
            ProviderFailure: The last one, where nobody answered.
            NotAdmitted: Nobody could be asked in time.
            Unavailable: Storage is away, or there is nobody to ask.
        """
        return await Fallback(
            self._choice,
            self._calls,
            request,
            tenant,
            self._now() + within,
            only=only,
            on_text=on_text,
            now=self._now,
            new_id=self._new_id,
            chance=self._chance,
        ).answer()

    async def shutdown(self, within: timedelta) -> None:
        """Take no new attempts, let those under way end for a time, then cancel them; all are settled.

        Raises:
            Unavailable: Storage is away, and some ends could not be written.
        """
        await self._calls.close(within)

    # --- looking after providers ------------------------------------------------------------------------------------

    def configured(self) -> Sequence[Configured]:
        """List the providers, in the order of preference."""
        return self._registry.configured

    async def add_provider(self, config: ProviderConfig) -> Configured:
        """Use one more provider, on every worker within a second.

        Raises:
            InvalidInput: The name is in use, or the address must not be asked.
            Unavailable: Storage is away.
        """
        configs.added(self._registry.over(await self._stores.configs.read()), config)
        await self._check_address(config)
        await self._change(config.provider, lambda _state: NOTHING_DECIDED, reason="added")
        return await self._store(config)

    async def update_provider_config(self, name: ProviderName, patch: Mapping[str, Any]) -> Configured:
        """Change a provider, on every worker within a second. Calls under way go on as they began.

        Args:
            patch: New values by field; None puts a field back to its default.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: A value can't be used; nothing has changed.
            Unavailable: Storage is away.
        """
        known = self._registry.over(await self._stores.configs.read())
        old = configs.find(known, name)
        new = configs.updated(known, name, patch)[name]
        if (new.kind, new.base_url) != (old.kind, old.base_url):
            await self._check_address(new)
        stored = await self._store(new)
        await self._change(name, lambda state: evidence.after_update(state, old, new), reason="changed")
        return stored

    async def remove_provider(self, name: ProviderName) -> None:
        """Ask a provider no more. Calls under way go on to their end.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: It is the last one that can be asked.
            Unavailable: Storage is away.
        """
        configs.removed(self._registry.over(await self._stores.configs.read()), name)
        await self._stores.configs.remove(name, at=self._now())
        await self._upkeep.refresh()

    async def set_maintenance(self, name: ProviderName, note: str | None) -> None:
        """Take a provider out of service, with a note why, or back into service with None.

        Raises:
            NotFound: There is none of that name.
            Unavailable: Storage is away.
        """
        self._registry.find(name)
        await self._change(
            name,
            lambda state: evidence.in_service(state) if note is None else evidence.in_maintenance(state, note),
            reason="back in service" if note is None else "maintenance",
        )

    async def check_provider(self, name: ProviderName) -> ProbeResult:
        """Find out at no cost whether a provider can be reached, and let the selection know.

        Raises:
            NotFound: There is none of that name.
            Unavailable: Storage is away.
        """
        in_use = self._registry.find(name)
        if in_use.completer is None:
            return ProbeResult(reachable=False, latency_ms=0, detail=in_use.config.unusable or "")
        probe = await in_use.completer.probe()
        now = self._now()
        await self._change(name, lambda state: evidence.after_probe(state, in_use.config, probe, now), reason="probe")
        return probe

    async def get_provider_status(self) -> StatusReport:
        """Tell how all providers are; where storage is away, how they were."""
        with suppress(Unavailable):
            await self._upkeep.refresh()
        snapshot = self._live.snapshot()
        passed_over = {each.provider: each.reason for each in self._choice.look(Demand()).passed_over}
        return StatusReport(
            at=self._live.at,
            stale=self._live.stale,
            providers=tuple(
                self._report(configured.config, snapshot.healths[configured.config.provider], passed_over)
                for configured in self._registry.configured
            ),
        )

    async def get_provider_metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        """Tell what the ledger has of the attempts that ended in a time, for each provider in use.

        Args:
            tenant: Whose attempts count; None: all tenants'.

        Raises:
            Unavailable: Storage is away.
        """
        found = await self._stores.metrics.metrics(since, until, tenant)
        return dict.fromkeys(self._registry.providers, _NO_METRICS) | dict(found)

    async def provider_history(self, name: ProviderName, limit: int) -> Sequence[StateChange]:
        """List what was decided about a provider, newest first; of a removed one too.

        Raises:
            NotFound: There never was one of that name.
            Unavailable: Storage is away.
        """
        history = await self._stores.metrics.history(name, limit)
        if not history:
            self._registry.find(name)
        return history

    async def budget(self, tenant: TenantId) -> TenantBudget | None:
        """Return what a tenant may spend a day; None where nothing bounds it."""
        return await self._stores.budgets.read(tenant, self._now())

    async def set_budget(self, tenant: TenantId, daily_usd: Decimal) -> TenantBudget:
        """Bound what a tenant may spend a day.

        Raises:
            InvalidInput: The amount is none that can be spent.
            Unavailable: Storage is away.
        """
        if not daily_usd.is_finite() or daily_usd <= 0:
            raise InvalidInput("has to be greater than 0", field="daily_usd")
        await self._stores.budgets.store(tenant, daily_usd)
        budget = await self._stores.budgets.read(tenant, self._now())
        return budget or TenantBudget(tenant, daily_usd, spent_usd=Decimal(0))

    async def remove_budget(self, tenant: TenantId) -> None:
        """Bound a tenant's spending no more; no error where nothing did."""
        await self._stores.budgets.remove(tenant)

    async def _check_address(self, config: ProviderConfig) -> None:
        if config.kind is not ProviderKind.OFFLINE:
            await self._check_base_url(config.base_url)

    async def _store(self, config: ProviderConfig) -> Configured:
        await self._stores.configs.store(self._registry.storable(config), at=self._now())
        await self._upkeep.refresh()
        in_use = self._registry.find(config.provider)
        return Configured(in_use.config, in_use.origin)

    async def _change(
        self, name: ProviderName, change: Callable[[ProviderState], ProviderState], *, reason: str
    ) -> None:
        self._live.changed(name, await self._stores.states.change(name, change, at=self._now(), reason=reason))

    def _report(
        self, config: ProviderConfig, health: Health, passed_over: Mapping[ProviderName, str]
    ) -> ProviderReport:
        known = self._live.known(config.provider)
        return ProviderReport(
            config=config,
            state=known.state,
            health=health,
            in_flight=known.in_flight,
            limit=limits.limit(known.state, config),
            spent_usd=known.spent_usd,
            passed_over=passed_over.get(config.provider),
        )
