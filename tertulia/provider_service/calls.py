"""Makes attempts: takes a place, asks, settles, and passes on what was learned. No attempt is left without an end."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

import structlog

from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import breaker, costs, evidence, gates, limits, retries, routing
from tertulia.domain.providers.attempts import Admission, LostAttempt, Made, Refusal
from tertulia.domain.providers.breaker import Phase
from tertulia.domain.providers.completions import Completion, CompletionRequest
from tertulia.domain.providers.costs import Cost
from tertulia.domain.providers.evidence import Ended
from tertulia.domain.providers.routing import Demand, Rotation
from tertulia.domain.providers.state import ProviderState
from tertulia.domain.turns import AttemptKey, AttemptOutcome
from tertulia.ports import Attempts, ProviderStates
from tertulia.provider_service.attempt import Attempt
from tertulia.provider_service.choice import Choice
from tertulia.provider_service.demands import demand_of
from tertulia.provider_service.live import Live
from tertulia.provider_service.registry import InUse, Registry

log = structlog.get_logger(__name__)

# A worker that dies frees its places after this long; it renews them well before.
LEASE = timedelta(seconds=15)
RENEW_EVERY = timedelta(seconds=5)

# A place may be free again at any moment; whoever has somebody else to ask does not wait for it.
_ROOM_AGAIN = timedelta(seconds=1)
# Breakers that opened together do not try again together.
_JITTER = (0.8, 1.2)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    attempt_id: str
    outcome: AttemptOutcome
    at: datetime


class Calls:
    """The attempts of this worker."""

    def __init__(
        self,
        registry: Registry,
        live: Live,
        choice: Choice,
        attempts: Attempts,
        states: ProviderStates,
        now: Callable[[], datetime],
        chance: random.Random,
    ) -> None:
        self._registry = registry
        self._live = live
        self._choice = choice
        self._attempts = attempts
        self._states = states
        self._now = now
        self._chance = chance
        self._holding: dict[str, Attempt] = {}
        self._asking: set[asyncio.Task[Completion]] = set()
        self._unsettled: list[_End] = []
        self._closing = False
        self._giving_up = False
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._making = 0

    async def make(self, key: AttemptKey, request: CompletionRequest, on_text: Callable[[str], None]) -> Made:
        """Make one attempt. Cancelled, it is settled as such before the cancellation goes on.

        Raises:
            NotFound: There is no provider of that name.
            NotAdmitted: Nothing was sent.
            Unavailable: Storage is away, and nothing was sent; or this worker stops.
            ProviderFailure: There is no answer; `cost` says what it cost all the same.
        """
        if self._closing:
            raise _stopping()
        self._making += 1
        self._none_left.clear()
        try:
            return await self._make(key, request, on_text)
        except asyncio.CancelledError:
            if self._closing and not _cancelled():
                raise _stopping() from None
            raise
        finally:
            self._making -= 1
            if self._making == 0:
                self._none_left.set()

    async def keep(self) -> None:
        """Renew the places that are held, settle what could not be settled, end what other workers have lost.

        Raises:
            Unavailable: Storage is away; what is left undone is done the next time.
        """
        now = self._now()
        if self._holding:
            await self._attempts.renew(list(self._holding), now + LEASE, silent=list(self._live.silent))
        await self._settle_the_unsettled()
        for lost in await self._attempts.sweep(now):
            await self._lose(lost)

    async def close(self, within: timedelta) -> None:
        """Refuse new attempts, wait for those under way, then cancel what is left; all are settled.

        Raises:
            Unavailable: Storage is away, and some ends could not be written; their leases run out.
        """
        self._closing = True
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._none_left.wait()
        except TimeoutError:
            self._giving_up = True
            for asking in self._asking:
                asking.cancel()
            await self._none_left.wait()
        await self._settle_the_unsettled()

    async def _make(self, key: AttemptKey, request: CompletionRequest, on_text: Callable[[str], None]) -> Made:
        in_use = self._registry.find(key.provider)
        attempt = await self._take_place(in_use, self._admission(key, in_use, demand_of(request)), request)
        try:
            completion = await self._ask(attempt, request, on_text)
        except asyncio.CancelledError:
            await self._fail(attempt, attempt.stopped(request))
            raise
        except ProviderFailure as failure:
            await self._fail(attempt, failure)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the attempt gets its end
            fault = ProviderFailure(FailureClass.INTERNAL, type(error).__name__)
            await self._fail(attempt, fault)
            # From None: what other people's errors say may quote what was sent.
            raise fault from None
        outcome = attempt.answered(completion)
        await _to_the_end(self._end(attempt, outcome, None))
        return Made(completion, outcome)

    def _admission(self, key: AttemptKey, in_use: InUse, demand: Demand) -> Admission:
        """Look at what is known before storage is asked for a place."""
        decision = routing.decide(self._live.snapshot(), demand, Rotation(), seed=0)
        for passed_over in decision.passed_over:
            if passed_over.provider == key.provider:
                raise NotAdmitted(key.provider, passed_over.reason, retry_at=decision.retry_at)
        known, now = self._live.known(key.provider), self._now()
        if key.is_retry and not retries.retries_left(known.samples, now):
            raise NotAdmitted(key.provider, "too many retries have failed there", retry_at=now + _ROOM_AGAIN)
        return Admission(
            key=key,
            limit=limits.limit(known.state, in_use.config),
            canary=breaker.phase(known.state.breaker, now) is not Phase.CLOSED,
            reserve_usd=costs.estimate(demand.input_tokens, demand.max_tokens, in_use.prices),
            daily_budget_usd=in_use.config.daily_budget_usd,
            at=now,
            expires_at=now + LEASE,
        )

    async def _take_place(self, in_use: InUse, admission: Admission, request: CompletionRequest) -> Attempt:
        try:
            return await _to_the_end(self._admit(in_use, admission))
        except asyncio.CancelledError:
            attempt = self._holding.get(admission.key.attempt_id)
            if attempt is not None:
                await self._fail(attempt, attempt.stopped(request))
            raise

    async def _admit(self, in_use: InUse, admission: Admission) -> Attempt:
        key = admission.key
        match await self._attempts.admit(admission):
            case Refusal() as refusal:
                raise NotAdmitted(key.provider, refusal, retry_at=_retry_at(refusal, admission.at))
            case slot:
                attempt = Attempt(key, in_use, slot, admission)
                self._holding[key.attempt_id] = attempt
                self._live.began(key.attempt_id, key.provider)
                return attempt

    async def _ask(self, attempt: Attempt, request: CompletionRequest, on_text: Callable[[str], None]) -> Completion:
        """Ask in a task of its own, which `close` can cancel without touching the caller's."""

        def heard(text: str) -> None:
            self._live.spoke(attempt.key.attempt_id)
            on_text(text)

        asking = asyncio.create_task(attempt.stream(request, heard))
        self._asking.add(asking)
        if self._giving_up:
            # Cancelled before it has begun, nothing of it happens.
            asking.cancel()
        try:
            return await asking
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            raise
        finally:
            self._asking.discard(asking)

    async def _fail(self, attempt: Attempt, failure: ProviderFailure) -> None:
        outcome = attempt.failed(failure)
        failure.cost = Cost(outcome.cost_usd, outcome.cost_at_most_usd, outcome.cost_source)
        await _to_the_end(self._end(attempt, outcome, failure))

    async def _end(self, attempt: Attempt, outcome: AttemptOutcome, failure: ProviderFailure | None) -> None:
        key, now = attempt.key, self._now()
        known = self._live.known(key.provider)
        ended = Ended(key.attempt_id, attempt.started_at, attempt.slot, known.in_flight, failure)
        jitter = self._chance.uniform(*_JITTER)
        self._live.ended(attempt.sample(outcome, now))
        self._choice.ended(key.provider)
        del self._holding[key.attempt_id]
        await self._settle(_End(key.attempt_id, outcome, now))
        await self._change(
            key.provider,
            lambda state: evidence.after_attempt(state, attempt.in_use.config, ended, known.samples, now, jitter),
            reason="an answer" if failure is None else failure.failure,
        )

    async def _settle(self, end: _End) -> None:
        try:
            await self._attempts.settle(end.attempt_id, end.outcome, end.at)
        except Unavailable:
            # What has been paid for is not thrown away for want of its evidence, which is written later.
            self._unsettled.append(end)
            log.warning("the end of an attempt could not be written yet", attempt=end.attempt_id)

    async def _settle_the_unsettled(self) -> None:
        while self._unsettled:
            end = self._unsettled[0]
            await self._attempts.settle(end.attempt_id, end.outcome, end.at)
            # Settled twice, by the upkeep and at the close, it is the same.
            if end in self._unsettled:
                self._unsettled.remove(end)

    async def _lose(self, lost: LostAttempt) -> None:
        now, jitter = self._now(), self._chance.uniform(*_JITTER)
        log.warning("an attempt was lost with its worker", attempt=lost.attempt_id, provider=lost.provider)
        await self._change(
            lost.provider, lambda state: evidence.after_lost(state, lost, now, jitter), reason=FailureClass.LOST
        )

    async def _change(
        self, provider: ProviderName, change: Callable[[ProviderState], ProviderState], *, reason: str
    ) -> None:
        """Change what is decided about a provider, where it differs from what this worker knows."""
        known = self._live.known(provider).state
        guess = change(known)
        if guess == known:
            return
        try:
            self._live.changed(provider, await self._states.change(provider, change, at=self._now(), reason=reason))
        except Unavailable:
            # Until storage is back, this worker at least acts on what it has seen.
            self._live.changed(provider, guess)


def _cancelled() -> bool:
    """Tell whether somebody wants the caller's task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _stopping() -> Unavailable:
    return Unavailable("the provider service", "it is shutting down")


def _retry_at(refusal: Refusal, now: datetime) -> datetime | None:
    match refusal:
        case Refusal.NO_ROOM | Refusal.TRIAL_UNDER_WAY:
            return now + _ROOM_AGAIN
        case Refusal.BUDGET_SPENT | Refusal.TENANT_BUDGET_SPENT:
            return gates.next_day(now)
        case Refusal.ENDED:
            return None
        case _:
            assert_never(refusal)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do what must not stop half-way; a cancellation that comes meanwhile is raised behind it."""
    doing = asyncio.ensure_future(work)
    # Where the wait below is cancelled too, nobody is left to hear of its error.
    doing.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise
