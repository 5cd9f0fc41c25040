"""Two workers on one database: each acts on what the other has seen."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.completions import Completion, CompletionRequest, FinishReason, TextDelta, Usage
from tertulia.domain.providers.configs import LoadBalanceStrategy, ProviderConfig
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.routing import Demand
from tertulia.domain.turns import AttemptKey
from tertulia.provider_service.calls import LEASE
from tertulia.provider_service.service import ProviderService, Stores
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.budgets import PostgresBudgets
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.provider_configs import PostgresProviderConfigs
from tertulia.storage.provider_metrics import PostgresProviderMetrics
from tertulia.storage.provider_states import PostgresProviderStates
from tests.engine import until
from tests.provider_service.world import question

ONE, TWO = ProviderName("one"), ProviderName("two")
CENT = Prices(Decimal("0.01"), Decimal("0.01"), Decimal("0.01"), Decimal("0.01"), "test")


class Answering:
    """A provider that answers when it may.

    Attributes:
        may_answer: While clear, calls wait.
        failure: Raised instead of an answer, where set.
        calls: How many have come.
    """

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.failure: FailureClass | None = None
        self.calls = 0

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        self.calls += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.failure:
            raise ProviderFailure(self.failure, "as scripted")
        yield TextDelta(text="Yes.")
        usage = Usage(input_uncached=100, output_visible=1, source="reported")
        yield Completion(text="Yes.", finish=FinishReason.STOP, usage=usage)

    async def probe(self) -> ProbeResult:
        return ProbeResult(reachable=True, latency_ms=1)


class Clock:
    """The time of day, which tests may set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Office:
    """What the workers share."""

    def __init__(self, dsn: str, pool: Pool, stack: AsyncExitStack) -> None:
        self.clock = Clock()
        self.providers = {ONE: Answering(), TWO: Answering()}
        self.pool = pool
        self._dsn = dsn
        self._stack = stack

    async def worker(self, **changes: object) -> ProviderService:
        return await self._stack.enter_async_context(self.passing_worker(**changes))

    @asynccontextmanager
    async def passing_worker(self, **changes: object) -> AsyncIterator[ProviderService]:
        configs = [ProviderConfig.model_validate({"name": "one", **changes}), ProviderConfig(name="two", priority=2)]
        async with ProviderService(
            {config.provider: config for config in configs},
            Stores(
                configs=PostgresProviderConfigs(self.pool, None),
                states=PostgresProviderStates(self.pool, self._dsn),
                attempts=PostgresAttempts(self.pool),
                metrics=PostgresProviderMetrics(self.pool),
                budgets=PostgresBudgets(self.pool),
            ),
            make_completer=lambda config: self.providers[config.provider],
            prices=lambda _config: CENT,
            check_base_url=_any_address,
            strategy=LoadBalanceStrategy.ROUND_ROBIN,
            now=self.clock,
            new_id=lambda: uuid4().hex,
            chance=random.Random(0),
        ) as service:
            yield service


@pytest.fixture
async def office(database: str) -> AsyncIterator[Office]:
    async with open_pool(database) as pool, AsyncExitStack() as stack:
        yield Office(database, pool, stack)


class Unreachable:
    """The ledger as a worker has it that can't reach it any more."""

    async def settle(self, *_ended: object) -> None:
        raise Unavailable("storage", "gone")


async def _any_address(_url: str) -> None:
    """Allow it."""


def key(provider: ProviderName = ONE) -> AttemptKey:
    return AttemptKey(attempt_id=uuid4().hex, session_id=None, turn=0, ask=1, provider=provider, attempt=1)


async def test_a_change_of_the_configuration_is_followed_by_all_workers(office: Office) -> None:
    here, there = await office.worker(), await office.worker()
    await here.update_provider_config(ONE, {"priority": 3})

    async with asyncio.timeout(20):
        await until(lambda: there.rank(Demand()).candidates[0].provider == TWO)


async def test_a_breaker_that_one_worker_opens_keeps_all_away(office: Office) -> None:
    here, there = await office.worker(), await office.worker()
    office.providers[ONE].failure = FailureClass.CONNECT
    await here.execute_with_fallback(question())
    calls = office.providers[ONE].calls
    await until(lambda: there.rank(Demand()).candidates[0].provider == TWO)

    await there.execute_with_fallback(question())

    assert office.providers[ONE].calls == calls == 2


async def test_places_are_shared_by_all_workers(office: Office) -> None:
    here, there = await office.worker(max_concurrent=1), await office.worker(max_concurrent=1)
    office.providers[ONE].may_answer.clear()
    asking = asyncio.create_task(here.attempt(key(), question()))
    await office.providers[ONE].asked.wait()

    with pytest.raises(NotAdmitted):
        await there.attempt(key(), question())

    office.providers[ONE].may_answer.set()
    await asking
    await there.attempt(key(), question())


async def test_what_a_dead_worker_held_is_free_again_and_counts_as_spent(office: Office) -> None:
    budget = Decimal(2)
    survivor = await office.worker(max_concurrent=1, daily_budget_usd=budget)
    office.providers[ONE].may_answer.clear()
    async with office.passing_worker(max_concurrent=1, daily_budget_usd=budget) as dying:
        asking = asyncio.create_task(dying.attempt(key(), question(400, max_tokens=1)))
        await office.providers[ONE].asked.wait()
        dying._calls._attempts = Unreachable()  # type: ignore[assignment]
    asking.cancel()
    await asyncio.wait([asking])
    office.providers[ONE].may_answer.set()
    office.clock.ahead = LEASE + timedelta(seconds=1)

    await survivor._calls.keep()

    report, _ = (await survivor.get_provider_status()).providers
    assert (report.in_flight, report.spent_usd) == (0, Decimal("1.01"))
    with pytest.raises(NotAdmitted):
        await survivor.attempt(key(), question(400, max_tokens=1))


async def test_a_restart_keeps_an_open_breaker(office: Office) -> None:
    office.providers[ONE].failure = FailureClass.CONNECT
    async with office.passing_worker() as before:
        await before.execute_with_fallback(question())
    calls = office.providers[ONE].calls

    after = await office.worker()
    await after.execute_with_fallback(question())

    assert office.providers[ONE].calls == calls
