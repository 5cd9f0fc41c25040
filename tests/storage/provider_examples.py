"""Attempts to store. Times are minutes after noon."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.attempts import Admission, Refusal
from tertulia.domain.providers.state import Known
from tertulia.domain.turns import AttemptKey, AttemptOutcome
from tertulia.ports import Attempts, Budgets, ProviderConfigs, ProviderMetrics, ProviderStates

from .examples import at

GROQ, GEMINI = ProviderName("groq"), ProviderName("gemini")
ACME = TenantId("acme")
SECRET = "HPZ8lPgYd2rKXfPYDUZkd3Yq0xJHSJWqWcSzAHPGRx8="
LEASE = timedelta(seconds=15)
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Stores:
    attempts: Attempts
    states: ProviderStates
    configs: ProviderConfigs
    unsealed_configs: ProviderConfigs
    metrics: ProviderMetrics
    budgets: Budgets

    async def known(self, provider: ProviderName = GROQ, *, minute: float = 0, since: float = -5) -> Known:
        return (await self.states.read(at(since), at(minute))).get(provider, Known())

    async def ended(self, attempt: Admission, outcome: AttemptOutcome, minute: float) -> None:
        """Make an attempt and end it."""
        assert not isinstance(await self.attempts.admit(attempt), Refusal)
        await self.attempts.settle(attempt.key.attempt_id, outcome, at(minute))


def attempt(
    attempt_id: str = "a1",
    provider: ProviderName = GROQ,
    *,
    limit: int = 3,
    canary: bool = False,
    reserve: str = "0",
    budget: str | None = None,
    tenant: str = "default",
    minute: float = 0,
    **facts: Any,
) -> Admission:
    plain = {"session_id": None, "turn": 0, "ask": 1, "attempt": 1, "tenant": tenant}
    key = AttemptKey.model_validate({"attempt_id": attempt_id, "provider": provider, **plain, **facts})
    return Admission(
        key=key,
        limit=limit,
        canary=canary,
        reserve_usd=Decimal(reserve),
        daily_budget_usd=None if budget is None else Decimal(budget),
        at=at(minute),
        expires_at=at(minute) + LEASE,
    )


def answered(cost: str | None = None, **facts: Any) -> AttemptOutcome:
    usd = None if cost is None else Decimal(cost)
    source = "unknown" if cost is None else "charged"
    return AttemptOutcome.model_validate(
        {"failure": None, "latency_ms": 400, "ttft_ms": 80, "cost_usd": usd, "cost_at_most_usd": usd}
        | {"cost_source": source, **facts}
    )


def failed(failure: FailureClass = FailureClass.SERVER, **facts: Any) -> AttemptOutcome:
    return AttemptOutcome.model_validate({"failure": failure, "latency_ms": 30, **facts})
