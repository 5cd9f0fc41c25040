"""What the provider service promises, measured in virtual time: each function plays a story and returns its figures.

`python -m tests.provider_service.proofs` prints all of them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from unittest.mock import patch

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import snapshots
from tertulia.domain.providers.completions import ChatMessage, Completion, CompletionRequest
from tertulia.domain.providers.configs import LoadBalanceStrategy
from tertulia.domain.providers.costs import Prices
from tertulia.domain.turns import AttemptKey
from tertulia.provider_service.demands import demand_of
from tests.provider_service import virtual_time
from tests.provider_service.fleet import Fault, ScriptedProvider, Spell, tokens
from tests.provider_service.world import MILLION, Worker, World, clock, provider, question, traffic, world

HOUR = 3600.0
PROBE_EVERY_S = 60.0

# From a decision to the provider's door and back: storage, and the line.
WAY_S = 0.03
PRIMARY, SECOND = ProviderName("primary"), ProviderName("second")


@dataclass(frozen=True)
class Outage:
    """The primary is away for a minute, while two workers get questions at even intervals.

    Attributes:
        attempts_at_the_dead: Within that minute.
        back_after_s: From its return to its first answer.
        share_at_first: Of the calls in the first five seconds after its breaker closed, those that it got.
        share_in_the_end: The same, a minute later.
    """

    questions: int
    answered: int
    attempts_at_the_dead: int
    back_after_s: float
    share_at_first: float
    share_in_the_end: float


def outages(every_s: float, *, seeds: Sequence[int] = range(20)) -> tuple[Outage, ...]:
    """How often a provider is asked that is away, how soon it is found again, and how gently.

    Each outage begins at another moment between two of the probes that come once a minute, so that no figure owes
    anything to a probe which happens to come right at its end.
    """
    return tuple(_outage(every_s, seed) for seed in seeds)


def _outage(every_s: float, seed: int) -> Outage:
    begins_s = 60 + random.Random(seed).uniform(0, PROBE_EVERY_S)
    ends_s = begins_s + 60

    async def story() -> Outage:
        primary = provider("primary", Spell(Fault.DOWN, begins_s, ends_s))
        async with world(primary, provider("second", priority=2), seed=seed) as played, _probing(played):
            answers = await traffic(played, every_s=every_s, until_s=ends_s + 150)
            closed_s = next(
                _seconds(change.at)
                for change in played.states.history
                if change.provider == PRIMARY and change.before.breaker.opened_at and not change.after.breaker.opened_at
            )
            return Outage(
                questions=len(answers),
                answered=_answered(answers),
                attempts_at_the_dead=primary.calls_between(begins_s, ends_s),
                back_after_s=_first_answer(primary, after=ends_s) - ends_s,
                share_at_first=_share(played, closed_s, closed_s + 5),
                share_in_the_end=_share(played, closed_s + 60, closed_s + 65),
            )

    return virtual_time.run(story())


@dataclass(frozen=True)
class Restart:
    """All workers die while one provider is away, one is out of quota and one has spent half of its budget.

    Attributes:
        calls_to_the_dead: From the restart until the breaker lets a trial through.
        calls_to_the_exhausted: From the restart until the end, hours before its quota is full again.
        spent_before: Of a budget of 1, by the third.
        spent_at_last: The same, when nobody could be asked any more.
    """

    calls_to_the_dead: int
    calls_to_the_exhausted: int
    spent_before: Decimal
    spent_at_last: Decimal
    answered_after: int


def restart() -> Restart:
    """What a restart forgets."""
    budget = Decimal("0.01")

    async def story() -> Restart:
        async with world(
            provider("dead", Spell(Fault.DOWN, 0, 2 * HOUR)),
            provider("exhausted", Spell(Fault.OUT_OF_QUOTA, 0, 6 * HOUR), priority=2),
            provider("bounded", priority=3, daily_budget_usd=budget),
        ) as played:
            await traffic(played, every_s=2, until_s=60)
            spent_before = played["bounded"].billed
            for worker in played.workers:
                await worker.kill()
            await asyncio.sleep(2)
            began = clock()
            await played.start_worker()
            trial_s = _seconds(played.states.states[ProviderName("dead")].breaker.open_until)
            played.workers = played.workers[-1:]
            answers = await traffic(played, every_s=1, until_s=began + 120, within=timedelta(seconds=1))
            return Restart(
                calls_to_the_dead=played["dead"].calls_between(began, trial_s),
                calls_to_the_exhausted=played["exhausted"].calls_between(began, began + HOUR),
                spent_before=spent_before / budget,
                spent_at_last=played["bounded"].billed / budget,
                answered_after=_answered(answers),
            )

    return virtual_time.run(story())


@dataclass(frozen=True)
class Money:
    """Random schedules of faults, with workers that are killed and questions that are cancelled.

    Attributes:
        exact: Schedules in which providers tell what failed attempts used, and nobody is killed or cancels: the sum
            of the ledger is what was billed, to the last digit.
        within: All others, in which what was billed lies between what the ledger has at least and at most.
        wrong: All others, by seed.
        unended: Attempts that never got an end.
        doubled: Questions that were answered more than once.
        most_failed: Failed attempts of one question, at most.
        most_attempts: Attempts of one question, at most.
    """

    schedules: int
    attempts: int
    billed_usd: Decimal
    exact: int
    within: int
    wrong: tuple[int, ...]
    unended: int
    doubled: int
    most_failed: int
    most_attempts: int


def money(schedules: int) -> Money:
    """Whether the ledger has all that was billed, and how often one question is asked."""
    played = [_bill(seed) for seed in range(schedules)]
    return Money(
        schedules=schedules,
        attempts=sum(bill.attempts for bill in played),
        billed_usd=sum((bill.billed for bill in played), Decimal(0)),
        exact=sum(bill.calm and bill.at_least == bill.billed for bill in played),
        within=sum(not bill.calm and bill.at_least <= bill.billed <= bill.at_most for bill in played),
        wrong=tuple(bill.seed for bill in played if not bill.is_right),
        unended=sum(bill.unended for bill in played),
        doubled=sum(bill.doubled for bill in played),
        most_failed=max(bill.most_failed for bill in played),
        most_attempts=max(bill.most_attempts for bill in played),
    )


@dataclass(frozen=True)
class _Bill:
    seed: int
    calm: bool
    attempts: int
    billed: Decimal
    at_least: Decimal
    at_most: Decimal
    unended: int
    doubled: int
    most_failed: int
    most_attempts: int

    @property
    def is_right(self) -> bool:
        if self.calm:
            return self.at_least == self.billed
        return self.at_least <= self.billed <= self.at_most


def _bill(seed: int) -> _Bill:
    chance = random.Random(seed)
    calm = chance.random() < 0.5
    fleet = [_random_provider(chance, f"p{number}", always_reports=calm) for number in range(chance.randint(1, 4))]
    strategy = chance.choice(list(LoadBalanceStrategy))

    async def story() -> _Bill:
        async with world(*fleet, workers=chance.randint(2, 3), strategy=strategy, seed=seed) as played:
            asking = []
            for number in range(12):
                await asyncio.sleep(chance.uniform(0, 4))
                worker = chance.choice(played.workers)
                asking.append(asyncio.create_task(_ask(worker, chance, number, stops=not calm)))
                if not calm and number == 6:
                    await played.workers[0].kill()
                    await played.start_worker()
                    played.workers.pop(0)
            await asyncio.gather(*asking)
            # What a dead worker held is swept when its leases are over.
            await asyncio.sleep(30)
            return _balance(played, seed, calm=calm)

    return virtual_time.run(story())


async def _ask(worker: Worker, chance: random.Random, number: int, *, stops: bool) -> None:
    request = question(chance.randint(1, 2000), max_tokens=chance.randint(1, 40))
    asked = worker.ask(request, tenant=f"question-{number}", within=timedelta(seconds=chance.choice([5, 30, 90])))
    stops_after = chance.uniform(0, 3) if stops and chance.random() < 0.3 else None
    try:
        async with asyncio.timeout(stops_after):
            await asked
    except TimeoutError:
        return


def _balance(played: World, seed: int, *, calm: bool) -> _Bill:
    rows = played.rows
    ended = [row for row in rows if row.outcome is not None]
    failed = Counter(row.admission.key.tenant for row in ended if row.failure is not None)
    made = Counter(row.admission.key.tenant for row in rows)
    answered = Counter(row.admission.key.tenant for row in ended if row.failure is None)
    return _Bill(
        seed=seed,
        calm=calm,
        attempts=len(rows),
        billed=played.billed,
        at_least=sum((row.outcome.cost_usd or Decimal(0) for row in ended if row.outcome), Decimal(0)),
        at_most=sum((row.counted_usd for row in rows), Decimal(0)),
        unended=len(rows) - len(ended),
        doubled=sum(times > 1 for times in answered.values()),
        most_failed=max(failed.values(), default=0),
        most_attempts=max(made.values(), default=0),
    )


def _random_provider(chance: random.Random, name: str, *, always_reports: bool) -> ScriptedProvider:
    spells, begins = [], 0.0
    while begins < 120:
        begins += chance.uniform(0, 20)
        ends = begins + chance.uniform(0.5, 25)
        hint = chance.choice([None, 0.3, 2, 8, 25])
        spells.append(Spell(chance.choice(list(Fault)), begins, ends, hint_s=hint, after=chance.randint(0, 30)))
        begins = ends
    prices = Prices(
        input=Decimal(chance.randint(1, 500)) / MILLION,
        output=Decimal(chance.randint(1, 5000)) / MILLION,
        cached_input=Decimal(chance.randint(0, 100)) / MILLION,
        cache_write=Decimal(0),
        source="script",
    )
    return provider(
        name,
        *spells,
        priority=chance.randint(1, 2),
        prices=prices,
        timeout_s=chance.choice([3, 10, 30]),
        max_retries=chance.randint(0, 3),
        max_concurrent=chance.randint(1, 4),
        ttft_s=chance.uniform(0.05, 1.5),
        token_s=chance.uniform(0.005, 0.1),
        answer_tokens=chance.randint(1, 40),
        caches=chance.random() < 0.5,
        reports_cuts=always_reports or chance.random() < 0.5,
    )


@dataclass(frozen=True)
class TotalOutage:
    """Nobody answers for five minutes, while a question comes every second.

    Attributes:
        amplification: Attempts for each question.
    """

    questions: int
    attempts: int
    amplification: float


def total_outage() -> TotalOutage:
    """How much load retries add where nobody can answer."""

    async def story() -> TotalOutage:
        down = Spell(Fault.BROKEN, 30, 330)
        async with world(*(provider(name, down) for name in ("one", "two", "three"))) as played:
            await traffic(played, every_s=1, until_s=30)
            before = len(played.rows)
            answers = await traffic(played, every_s=1, until_s=330, within=timedelta(seconds=20))
            attempts = len(played.rows) - before
            return TotalOutage(len(answers), attempts, attempts / len(answers))

    return virtual_time.run(story())


@dataclass(frozen=True)
class Wait:
    """A provider asks to be left alone for a time.

    Attributes:
        waited_s: From its word to the next call.
    """

    hint_s: float
    waited_s: float


def hints() -> tuple[Wait, ...]:
    """Whether we come back when we were asked to: never early, at most a tenth late."""
    return (
        *(_wait(Fault.RATE_LIMITED, hint_s, seed) for seed, hint_s in enumerate((0.094, 1, 5.289, 9.5, 30, 432))),
        _wait(Fault.OUT_OF_QUOTA, 6 * HOUR, seed=6),
    )


def _wait(fault: Fault, hint_s: float, seed: int) -> Wait:
    async def story() -> Wait:
        limited = provider("limited", Spell(fault, 0, hint_s * 0.999, hint_s=hint_s))
        async with world(limited, workers=1, seed=seed) as played:
            await played.workers[0].ask(question(), within=timedelta(days=1))
            return Wait(hint_s, limited.began[1] - limited.served[0].ended_s)

    return virtual_time.run(story())


@dataclass(frozen=True)
class Conversation:
    """Eighteen turns of a conversation that grows, with two providers of about one price.

    Attributes:
        cached: Share of all prompt tokens that came from a cache.
        switches: Turns that went to another provider than the one before.
    """

    usd: Decimal
    cached: float
    switches: int


def conversations(*, knows_caches: bool, seeds: Sequence[int] = range(8)) -> Conversation:
    """What it is worth to know whose cache is warm; the mean over several conversations."""
    played = [_converse(seed, knows_caches=knows_caches) for seed in seeds]
    return Conversation(
        usd=sum((each.usd for each in played), Decimal(0)) / len(played),
        cached=sum(each.cached for each in played) / len(played),
        switches=round(sum(each.switches for each in played) / len(played)),
    )


def _converse(seed: int, *, knows_caches: bool) -> Conversation:
    def price(usd: str) -> Prices:
        million = Decimal(usd) / MILLION
        return Prices(million, 4 * million, million / 10, million, "script")

    async def story() -> Conversation:
        async with world(
            provider("first", prices=price("1.00"), caches=True),
            provider("other", prices=price("0.96"), caches=True),
            workers=1,
            strategy=LoadBalanceStrategy.COST_OPTIMIZED,
            seed=seed,
        ) as played:
            messages: tuple[ChatMessage, ...] = (ChatMessage(role="system", text="s" * 8000),)
            warm: ProviderName | None = None
            warm_tokens, asked = 0, []
            for turn in range(18):
                messages += (ChatMessage(role="user", text=f"{turn:02}" + "q" * 398),)
                request = CompletionRequest(messages=messages, max_tokens=64)
                demand = demand_of(request)
                if knows_caches and warm is not None:
                    demand = replace(demand, warm=warm, warm_tokens=warm_tokens, warm_age_s=20)
                service = played.workers[0].service
                warm = service.rank(demand).candidates[0].provider
                key = AttemptKey(attempt_id=f"turn-{turn}", session_id=None, turn=turn, ask=1, provider=warm, attempt=1)
                made = await service.attempt(key, request)
                warm_tokens = tokens(messages)
                messages += (ChatMessage(role="assistant", text=made.completion.text),)
                asked.append(warm)
                await asyncio.sleep(20)
            served = [call.usage for scripted in played.fleet.values() for call in scripted.served]
            read = sum(usage.input_uncached + usage.input_cached for usage in served)
            return Conversation(
                usd=played.billed,
                cached=sum(usage.input_cached for usage in served) / read,
                switches=sum(before != after for before, after in pairwise(asked)),
            )

    return virtual_time.run(story())


@dataclass(frozen=True)
class BlackHole:
    """One of two providers takes calls for a minute without ever saying a word; four questions come a second.

    It may have so many calls at a time that its places do not fill up.

    Attributes:
        exposed: Questions that went to it in that time.
        share_after_5s: The part of all calls that went to it after its first five seconds.
    """

    exposed: int
    share_after_5s: float


def black_hole(*, sees_silence: bool, priority_of_the_other: int = 1) -> BlackHole:
    """How many questions a black hole swallows, with and without a look at the age of silent calls.

    Args:
        priority_of_the_other: With 2 the black hole is the only provider of the first priority.
    """

    async def story() -> BlackHole:
        async with world(
            provider("hole", Spell(Fault.SILENT, 20, 80), max_concurrent=200),
            provider("second", priority=priority_of_the_other),
            strategy=LoadBalanceStrategy.FASTEST_RESPONSE,
        ) as played:
            await traffic(played, every_s=0.25, until_s=80)
            hole, other = played["hole"], played["second"]
            after = hole.calls_between(25, 80)
            return BlackHole(
                exposed=hole.calls_between(20, 80),
                share_after_5s=after / (after + other.calls_between(25, 80)),
            )

    with _seeing(silence=sees_silence):
        return virtual_time.run(story())


@contextmanager
def _seeing(*, silence: bool) -> Iterator[None]:
    if silence:
        yield
        return
    prepare = snapshots.prepare

    def blind(providers, known, strategy, prices, now):  # type: ignore[no-untyped-def]
        deaf = {name: replace(what, oldest_silent_since=None) for name, what in known.items()}
        return prepare(providers, deaf, strategy, prices, now)

    with patch.object(snapshots, "prepare", blind):
        yield


@dataclass(frozen=True)
class Day:
    """A day without a question, with a probe of every provider each minute and an outage of an hour."""

    probes: int
    attempts: int
    billed_usd: Decimal


def quiet_day(hours: float = 24) -> Day:
    """What it costs to know how the providers are."""

    async def story() -> Day:
        async with world(
            provider("primary", Spell(Fault.DOWN, HOUR, 2 * HOUR)), provider("second"), workers=1
        ) as played:
            service = played.workers[0].service
            while clock() < hours * HOUR:
                for name in played.fleet:
                    await service.check_provider(name)
                await asyncio.sleep(60)
            probes = sum(scripted.probes for scripted in played.fleet.values())
            return Day(probes, len(played.rows), played.billed)

    return virtual_time.run(story())


@asynccontextmanager
async def _probing(played: World) -> AsyncIterator[None]:
    """Let the first worker probe every provider from time to time, as a schedule does."""

    async def probe() -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            for name in played.fleet:
                await played.workers[0].service.check_provider(name)

    probing = asyncio.create_task(probe())
    try:
        yield
    finally:
        probing.cancel()


def _answered(answers: Sequence[object]) -> int:
    return sum(isinstance(answer, Completion) for answer in answers)


def _first_answer(scripted: ScriptedProvider, *, after: float) -> float:
    return min(call.ended_s for call in scripted.served if call.answered and call.ended_s >= after)


def _share(played: World, begins_s: float, ends_s: float) -> float:
    calls = {name: scripted.calls_between(begins_s, ends_s) for name, scripted in played.fleet.items()}
    return calls[PRIMARY] / sum(calls.values())


def _seconds(moment: object) -> float:
    assert moment is not None
    return (moment - virtual_time.BEGINNING).total_seconds()  # type: ignore[operator,no-any-return]


def main() -> None:
    """Print the figures."""
    stories: Sequence[Callable[[], object]] = (
        lambda: outages(4),
        lambda: outages(0.25),
        restart,
        lambda: money(10_000),
        total_outage,
        hints,
        lambda: conversations(knows_caches=True),
        lambda: conversations(knows_caches=False),
        lambda: black_hole(sees_silence=True),
        lambda: black_hole(sees_silence=False),
        lambda: black_hole(sees_silence=True, priority_of_the_other=2),
        lambda: black_hole(sees_silence=False, priority_of_the_other=2),
        quiet_day,
    )
    for story in stories:
        print(story())  # noqa: T201


if __name__ == "__main__":
    main()
