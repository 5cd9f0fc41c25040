"""The stores of the provider service in memory, of one process. They have no clock: every time is given to them."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, InvalidInput
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.attempts import CANARY_SLOT, Admission, LostAttempt, Refusal
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.reports import Metrics, Percentiles, StateChange, TenantBudget
from tertulia.domain.providers.state import NOTHING_DECIDED, Known, ProviderState, Sample
from tertulia.domain.turns import AttemptOutcome
from tertulia.storage.provider_states import SAMPLES, is_turn_of_events

_NOBODYS_FAULT = {FailureClass.CANCELLED, FailureClass.INTERNAL}


@dataclass(frozen=True, slots=True)
class Entry:
    """An attempt in the ledger. Its slot is taken while it has not ended."""

    admission: Admission
    slot: int
    expires_at: datetime
    silent: bool = False
    ended_at: datetime | None = None
    outcome: AttemptOutcome | None = None

    @property
    def provider(self) -> ProviderName:
        return self.admission.key.provider

    @property
    def failure(self) -> FailureClass | None:
        return self.outcome.failure if self.outcome else None

    @property
    def counted_usd(self) -> Decimal:
        """What a budget counts: at most what it has cost, or what was reserved where that can't be told."""
        at_most = self.outcome.cost_at_most_usd if self.outcome else None
        return self.admission.reserve_usd if at_most is None else at_most


class InMemoryAttempts:
    """The ledger, with slots and budgets."""

    def __init__(self, *, tenant_daily_usd: Decimal | None = None) -> None:
        self.tenant_daily_usd = tenant_daily_usd
        self.budgets: dict[str, Decimal] = {}
        self.ledger: dict[str, Entry] = {}

    async def admit(self, admission: Admission) -> int | Refusal:
        key = admission.key
        known = self.ledger.get(key.attempt_id)
        if known is not None:
            return known.slot if known.ended_at is None else Refusal.ENDED
        refusal = self._overspent(admission)
        slot = self._free_slot(admission)
        if refusal is not None:
            return refusal
        if slot is None:
            return Refusal.TRIAL_UNDER_WAY if admission.canary else Refusal.NO_ROOM
        self.ledger[key.attempt_id] = Entry(admission, slot, admission.expires_at)
        return slot

    async def settle(self, attempt_id: str, outcome: AttemptOutcome, at: datetime) -> None:
        known = self.ledger.get(attempt_id)
        if known is not None and (known.ended_at is None or known.failure is FailureClass.LOST):
            self.ledger[attempt_id] = replace(known, ended_at=at, outcome=outcome)

    async def renew(self, attempt_ids: Collection[str], expires_at: datetime, *, silent: Collection[str] = ()) -> None:
        for attempt_id, entry in self.ledger.items():
            if attempt_id in attempt_ids and entry.ended_at is None:
                self.ledger[attempt_id] = replace(entry, expires_at=expires_at, silent=attempt_id in silent)

    async def sweep(self, at: datetime) -> Sequence[LostAttempt]:
        expired = [entry for entry in self.under_way() if entry.expires_at <= at]
        for entry in expired:
            self.ledger[entry.admission.key.attempt_id] = replace(entry, ended_at=at, outcome=_lost(entry, at))
        return [
            LostAttempt(entry.admission.key.attempt_id, entry.provider, entry.slot, entry.admission.at)
            for entry in expired
        ]

    def under_way(self, provider: ProviderName | None = None) -> Sequence[Entry]:
        return [
            entry
            for entry in self.ledger.values()
            if entry.ended_at is None and (provider is None or entry.provider == provider)
        ]

    def ended(self, provider: ProviderName) -> Sequence[tuple[datetime, Entry, AttemptOutcome]]:
        """A provider's attempts that have ended, oldest first."""
        ended = [
            (entry.ended_at, entry, entry.outcome)
            for entry in self.ledger.values()
            if entry.provider == provider and entry.ended_at is not None and entry.outcome is not None
        ]
        return sorted(ended, key=lambda item: item[0])

    def providers(self) -> set[ProviderName]:
        return {entry.provider for entry in self.ledger.values()}

    def spent(self, at: datetime, *, provider: ProviderName | None = None, tenant: str | None = None) -> Decimal:
        today = at.astimezone(UTC).date()
        return sum(
            (
                entry.counted_usd
                for entry in self.ledger.values()
                if entry.admission.at.astimezone(UTC).date() == today
                and (entry.provider == provider or entry.admission.key.tenant == tenant)
            ),
            Decimal(0),
        )

    def bound_of(self, tenant: str) -> Decimal | None:
        return self.budgets.get(tenant, self.tenant_daily_usd)

    def _overspent(self, admission: Admission) -> Refusal | None:
        key, reserve = admission.key, admission.reserve_usd
        for_tenant, for_provider = self.bound_of(key.tenant), admission.daily_budget_usd
        if for_tenant is not None and self.spent(admission.at, tenant=key.tenant) + reserve > for_tenant:
            return Refusal.TENANT_BUDGET_SPENT
        if for_provider is not None and self.spent(admission.at, provider=key.provider) + reserve > for_provider:
            return Refusal.BUDGET_SPENT
        return None

    def _free_slot(self, admission: Admission) -> int | None:
        taken = {entry.slot for entry in self.under_way(admission.key.provider)}
        if admission.canary:
            return None if CANARY_SLOT in taken else CANARY_SLOT
        if len(taken - {CANARY_SLOT}) >= admission.limit:
            return None
        return next((slot for slot in range(1, admission.limit + 1) if slot not in taken), None)


class InMemoryBudgets:
    """What the tenants of a ledger may spend."""

    def __init__(self, attempts: InMemoryAttempts) -> None:
        self._attempts = attempts

    async def read(self, tenant: TenantId, at: datetime) -> TenantBudget | None:
        bound = self._attempts.bound_of(tenant)
        return None if bound is None else TenantBudget(tenant, bound, self._attempts.spent(at, tenant=tenant))

    async def store(self, tenant: TenantId, daily_usd: Decimal) -> None:
        self._attempts.budgets[tenant] = daily_usd

    async def remove(self, tenant: TenantId) -> None:
        self._attempts.budgets.pop(tenant, None)


class News:
    """Wakes everybody who waits."""

    def __init__(self) -> None:
        self._events: set[asyncio.Event] = set()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        event = asyncio.Event()
        self._events.add(event)
        try:
            yield event
        finally:
            self._events.discard(event)

    def tell(self) -> None:
        for event in self._events:
            event.set()


class InMemoryProviderConfigs:
    """Configurations with their keys, which can be stored where there is a secret key."""

    def __init__(self, news: News, secret_key: SecretStr | None = None) -> None:
        self._news = news
        self._secret_key = secret_key
        self._configs: dict[ProviderName, ProviderConfig | None] = {}

    async def read(self) -> Mapping[ProviderName, ProviderConfig | None]:
        return dict(self._configs)

    async def store(self, config: ProviderConfig, *, at: datetime) -> None:
        if config.api_key is not None and self._secret_key is None:
            raise InvalidInput("there is nothing to seal it with", field="api_key")
        self._configs[config.provider] = config.model_copy(update={"unusable": None})
        self._news.tell()

    async def remove(self, provider: ProviderName, *, at: datetime) -> None:
        self._configs[provider] = None
        self._news.tell()


class InMemoryProviderStates:
    """States, and what a ledger tells beside them."""

    def __init__(self, attempts: InMemoryAttempts, news: News) -> None:
        self._attempts = attempts
        self._news = news
        self.states: dict[ProviderName, ProviderState] = {}
        self.history: list[StateChange] = []

    async def read(self, since: datetime, at: datetime) -> Mapping[ProviderName, Known]:
        return {
            provider: self._known(provider, since, at) for provider in self._attempts.providers() | self.states.keys()
        }

    async def change(
        self, provider: ProviderName, change: Callable[[ProviderState], ProviderState], *, at: datetime, reason: str
    ) -> ProviderState:
        before = self.states.get(provider, NOTHING_DECIDED)
        after = change(before)
        if after != before:
            self.states[provider] = after
            if is_turn_of_events(before, after):
                self.history.append(StateChange(provider, at, reason, before, after))
            self._news.tell()
        return after

    @asynccontextmanager
    async def news(self) -> AsyncIterator[asyncio.Event]:
        async with self._news.listen() as event:
            yield event

    def _known(self, provider: ProviderName, since: datetime, at: datetime) -> Known:
        under_way = self._attempts.under_way(provider)
        samples = [_sample(*item) for item in self._attempts.ended(provider) if item[0] >= since]
        return Known(
            state=self.states.get(provider, NOTHING_DECIDED),
            samples=tuple(samples[-SAMPLES:]),
            in_flight=len(under_way),
            canary_in_flight=any(entry.slot == CANARY_SLOT for entry in under_way),
            oldest_silent_since=min((entry.admission.at for entry in under_way if entry.silent), default=None),
            spent_usd=self._attempts.spent(at, provider=provider),
        )


class InMemoryProviderMetrics:
    """What a ledger and the history of states tell."""

    def __init__(self, attempts: InMemoryAttempts, states: InMemoryProviderStates) -> None:
        self._attempts = attempts
        self._states = states

    async def metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        return {provider: self._metrics(provider, since, until, tenant) for provider in self._attempts.providers()}

    async def history(self, provider: ProviderName, limit: int) -> Sequence[StateChange]:
        return [change for change in reversed(self._states.history) if change.provider == provider][:limit]

    def _metrics(self, provider: ProviderName, since: datetime, until: datetime, tenant: TenantId | None) -> Metrics:
        def counts(entry: Entry) -> bool:
            return tenant in {None, entry.admission.key.tenant}

        ever = [ended for ended in self._attempts.ended(provider) if counts(ended[1])]
        ended = [(entry, outcome) for at, entry, outcome in ever if since <= at < until]
        answers = [outcome for _, outcome in ended if outcome.failure is None]
        failed = [outcome for _, outcome in ended if outcome.failure is not None]
        usages = [outcome.usage for _, outcome in ended]
        last_answer = max((at for at, _, outcome in ever if outcome.failure is None), default=None)
        return Metrics(
            attempts=len(ended),
            answered=len(answers),
            failures=Counter(outcome.failure for outcome in failed if outcome.failure is not None),
            retries=sum(entry.admission.key.is_retry for entry, _ in ended),
            ttft_ms=_percentiles(outcome.ttft_ms for outcome in answers if outcome.ttft_ms is not None),
            latency_ms=_percentiles(outcome.latency_ms for outcome in answers),
            latency_total_ms=sum(outcome.latency_ms for outcome in answers),
            input_tokens=sum(usage.input_uncached + usage.input_cached + usage.input_cache_write for usage in usages),
            cached_tokens=sum(usage.input_cached for usage in usages),
            output_tokens=sum(usage.output_visible + usage.output_reasoning for usage in usages),
            cost_usd=sum((outcome.cost_usd or Decimal(0) for _, outcome in ended), Decimal(0)),
            cost_at_most_usd=sum((entry.counted_usd for entry, _ in ended), Decimal(0)),
            wasted_usd=sum((outcome.cost_usd or Decimal(0) for outcome in failed), Decimal(0)),
            consecutive_failures=sum(
                outcome.failure not in _NOBODYS_FAULT
                for at, _, outcome in ever
                if outcome.failure is not None and (last_answer is None or at > last_answer)
            ),
            in_flight=sum(counts(entry) for entry in self._attempts.under_way(provider)),
        )


def _lost(entry: Entry, at: datetime) -> AttemptOutcome:
    return AttemptOutcome(
        failure=FailureClass.LOST,
        latency_ms=(at - entry.admission.at).total_seconds() * 1000,
        cost_at_most_usd=entry.admission.reserve_usd or None,
    )


def _sample(ended_at: datetime, entry: Entry, outcome: AttemptOutcome) -> Sample:
    return Sample(
        attempt_id=entry.admission.key.attempt_id,
        provider=entry.provider,
        started_at=entry.admission.at,
        ended_at=ended_at,
        failure=outcome.failure,
        ttft_ms=outcome.ttft_ms,
        latency_ms=outcome.latency_ms,
        output_tokens=outcome.usage.output_visible + outcome.usage.output_reasoning,
        is_retry=entry.admission.key.is_retry,
        remaining=outcome.limits.remaining if outcome.limits else None,
        remaining_until=outcome.limits.until if outcome.limits else None,
    )


def _percentiles(values: Iterable[float]) -> Percentiles | None:
    ordered = sorted(values)
    return Percentiles(*(_percentile(ordered, share) for share in (0.5, 0.95, 0.99))) if ordered else None


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))
