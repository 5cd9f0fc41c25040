"""Workers, the stores that they share, and a fleet of scripted providers, all in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, cast

from pydantic import SecretStr

from tertulia.domain.errors import InvalidInput, TertuliaError, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.completions import ChatMessage, Completion, CompletionRequest
from tertulia.domain.providers.configs import LoadBalanceStrategy, ProviderConfig
from tertulia.domain.providers.costs import Prices
from tertulia.ports import Attempts, ProviderConfigs, ProviderStates
from tertulia.provider_service.service import ProviderService, Stores
from tests.provider_memory import (
    Entry,
    InMemoryAttempts,
    InMemoryBudgets,
    InMemoryProviderConfigs,
    InMemoryProviderMetrics,
    InMemoryProviderStates,
    News,
)
from tests.provider_service import virtual_time
from tests.provider_service.fleet import ScriptedProvider, Spell

MILLION = Decimal(1_000_000)
CHEAP = Prices(Decimal(1) / MILLION, Decimal(4) / MILLION, Decimal("0.1") / MILLION, Decimal(1) / MILLION, "script")

# An address that the workers refuse to ask.
FORBIDDEN = "http://forbidden"

# A statement's way to storage and back.
STORAGE_S = 0.002


def provider(name: str, *spells: Spell, priority: int = 1, prices: Prices = CHEAP, **changes: Any) -> ScriptedProvider:
    """Script a provider; `changes` are fields of its script, or of its configuration."""
    script = {key: changes.pop(key) for key in list(changes) if key in ScriptedProvider.__dataclass_fields__}
    config = ProviderConfig.model_validate({"name": name, "model": name, "priority": priority, **changes})
    return ScriptedProvider(config, prices, spells, **script)


def question(characters: int = 400, max_tokens: int = 64) -> CompletionRequest:
    return CompletionRequest(messages=(ChatMessage(role="user", text="?" * characters),), max_tokens=max_tokens)


class Line:
    """A worker's line to storage. Cut, nothing gets through any more."""

    def __init__(self) -> None:
        self.is_cut = False

    def to(self, store: object) -> Any:
        return _AtTheEnd(self, store)

    async def carry(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        await self._way()
        answer = await call()
        await self._way()
        return answer

    async def _way(self) -> None:
        await asyncio.sleep(STORAGE_S / 2)
        if self.is_cut:
            raise Unavailable("storage", "the line is cut")


class _AtTheEnd:
    """A store as a worker reaches it over its line."""

    def __init__(self, line: Line, store: object) -> None:
        self._line = line
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(method):
            return method
        return lambda *args, **named: self._line.carry(lambda: method(*args, **named))


@dataclass
class Worker:
    """A process that asks providers."""

    service: ProviderService
    line: Line
    _asking: set[asyncio.Task[Any]] = field(default_factory=set)
    _running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        started = asyncio.Event()
        self._running = asyncio.create_task(self._run(started))
        await started.wait()

    async def ask(self, request: CompletionRequest, **limits: Any) -> Completion | TertuliaError | None:
        """Ask a question; None where the worker died over it, or was told to stop."""
        asking = asyncio.create_task(self.service.execute_with_fallback(request, **limits))
        self._asking.add(asking)
        try:
            return await asking
        except TertuliaError as error:
            return error
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                asking.cancel()
                raise
            return None
        finally:
            self._asking.discard(asking)

    async def kill(self) -> None:
        """Die at once: nothing more reaches storage, not even how the calls under way have ended."""
        self.line.is_cut = True
        await self.stop()

    async def stop(self) -> None:
        tasks = [*self._asking, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, started: asyncio.Event) -> None:
        async with self.service:
            started.set()
            await asyncio.Event().wait()


class World:
    """A fleet and all that is stored about it; workers come and go."""

    def __init__(
        self,
        *fleet: ScriptedProvider,
        strategy: LoadBalanceStrategy = LoadBalanceStrategy.ROUND_ROBIN,
        seed: int = 0,
        tenant_daily_usd: Decimal | None = None,
    ) -> None:
        self.fleet = {scripted.config.provider: scripted for scripted in fleet}
        self._configured = {scripted.config.provider: scripted.config for scripted in fleet}
        self.strategy = strategy
        self.news = News()
        self.attempts = InMemoryAttempts(tenant_daily_usd=tenant_daily_usd)
        self.states = InMemoryProviderStates(self.attempts, self.news)
        self.configs = InMemoryProviderConfigs(self.news, secret_key=SecretStr("to seal with"))
        self.workers: list[Worker] = []
        self._chance = random.Random(seed)
        self._ids = count(1)

    async def start_worker(self) -> Worker:
        """Start one more worker."""
        line = Line()
        stores = Stores(
            configs=cast(ProviderConfigs, line.to(self.configs)),
            states=cast(ProviderStates, line.to(self.states)),
            attempts=cast(Attempts, line.to(self.attempts)),
            metrics=InMemoryProviderMetrics(self.attempts, self.states),
            budgets=InMemoryBudgets(self.attempts),
        )
        service = ProviderService(
            self._configured,
            stores,
            make_completer=lambda config: self.fleet[config.provider],
            prices=lambda config: self.fleet[config.provider].prices,
            check_base_url=_check_base_url,
            strategy=self.strategy,
            now=virtual_time.now,
            new_id=lambda: f"attempt-{next(self._ids)}",
            chance=random.Random(self._chance.getrandbits(32)),
        )
        worker = Worker(service, line)
        self.workers.append(worker)
        await worker.start()
        return worker

    def script(self, scripted: ScriptedProvider) -> None:
        """Let there be another provider, which no worker knows of yet."""
        self.fleet[scripted.config.provider] = scripted

    @property
    def rows(self) -> Sequence[Entry]:
        return list(self.attempts.ledger.values())

    @property
    def billed(self) -> Decimal:
        return sum((scripted.billed for scripted in self.fleet.values()), Decimal(0))

    def __getitem__(self, name: str) -> ScriptedProvider:
        return self.fleet[ProviderName(name)]


@asynccontextmanager
async def world(*fleet: ScriptedProvider, workers: int = 2, **options: Any) -> AsyncIterator[World]:
    """Start a world, and stop its workers at the end."""
    begun = World(*fleet, **options)
    for _ in range(workers):
        await begun.start_worker()
    try:
        yield begun
    finally:
        for worker in begun.workers:
            await worker.stop()


async def traffic(
    world: World, *, every_s: float, until_s: float, request: CompletionRequest | None = None, **limits: Any
) -> list[Completion | TertuliaError | None]:
    """Let questions come at even intervals, to the workers in turn; return what each one came to."""
    asked = []
    for number in count():
        if clock() >= until_s:
            break
        worker = world.workers[number % len(world.workers)]
        asked.append(asyncio.create_task(worker.ask(request or question(), **limits)))
        await asyncio.sleep(every_s)
    return list(await asyncio.gather(*asked))


def clock() -> float:
    """Return the loop's time, seconds."""
    return asyncio.get_running_loop().time()


async def until(seconds: float) -> None:
    """Wait for a time of the loop's clock."""
    with suppress(ValueError):
        await asyncio.sleep(max(0.0, seconds - clock()))


def at(seconds: float) -> datetime:
    return virtual_time.BEGINNING + timedelta(seconds=seconds)


async def _check_base_url(base_url: str) -> None:
    if base_url == FORBIDDEN:
        raise InvalidInput("must not be asked", field="base_url")
