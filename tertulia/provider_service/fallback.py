"""Asks one provider after the other, as a turn's workflow does, for those who have no workflow."""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import retries, routing
from tertulia.domain.providers.attempts import Made
from tertulia.domain.providers.completions import Completion, CompletionRequest
from tertulia.domain.providers.retries import Ledger
from tertulia.domain.providers.routing import Decision
from tertulia.domain.turns import AttemptKey
from tertulia.provider_service.calls import Calls
from tertulia.provider_service.choice import Choice
from tertulia.provider_service.demands import demand_of

# Where the time has come and nobody could be asked all the same, it is worth another look after about this long.
_LOOK_AGAIN = timedelta(seconds=1)


class Fallback:
    """One question on its way to an answer.

    Args:
        tenant: Whose budget it is.
        deadline: No attempt begins and nothing is waited for after this time.
        only: Nobody else is asked; everybody may be where it is empty.
        on_text: Gets the text as it comes. What it has been given can't be taken back: then nobody else is asked.
    """

    def __init__(
        self,
        choice: Choice,
        calls: Calls,
        request: CompletionRequest,
        tenant: str,
        deadline: datetime,
        *,
        only: Collection[ProviderName],
        on_text: Callable[[str], None] | None,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        chance: random.Random,
    ) -> None:
        self._choice = choice
        self._calls = calls
        self._request = request
        self._tenant = tenant
        self._deadline = deadline
        self._demand = replace(demand_of(request), only=frozenset(only))
        self._on_text = on_text
        self._shown = False
        self._now = now
        self._new_id = new_id
        self._chance = chance
        self._ledger = Ledger()
        self._tried: frozenset[ProviderName] = frozenset()
        self._never_again: frozenset[ProviderName] = frozenset()
        self._failure: ProviderFailure | None = None
        self._refusal: NotAdmitted | None = None

    async def answer(self) -> Completion:
        """Ask until somebody answers.

        Raises:
            ProviderFailure: The last one, where nobody did.
            NotAdmitted: Nobody could be asked in time.
            Unavailable: Storage is away, or there is nobody to ask.
        """
        while self._failure is None or self._now() < self._deadline:
            decision = self._choice.decide(replace(self._demand, tried=self._tried))
            if not decision.order:
                await self._wait(decision)
            elif made := await self._ask(decision):
                return made.completion.model_copy(update={"provider": decision.order[0]})
        raise self._failure

    async def _ask(self, decision: Decision) -> Made | None:
        """Ask the first in order, as often as it may be asked; None where the next one is to be asked."""
        provider, behind = decision.order[0], len(decision.order) - 1
        candidate = self._choice.candidate(provider)
        self._tried |= {provider}
        for number in range(1, 1 + retries.allowed_here(self._ledger, candidate, behind)):
            try:
                return await self._calls.make(self._key(provider, number), self._request, self._heard)
            except NotAdmitted as refusal:
                self._refusal = _earlier(self._refusal, refusal)
                return None
            except ProviderFailure as failure:
                if self._shown:
                    raise
                self._failure = failure
                self._ledger += _failed(failure)
                if not routing.again_later(failure.failure):
                    self._never_again |= {provider}
                pause = retries.pause(number, None, self._chance.random())
                if not _again_at_once(failure) or not await self._sleep(pause):
                    break
        if self._failure and (self._ledger.spent or not routing.try_elsewhere(self._failure.failure)):
            raise self._failure
        return None

    def _heard(self, text: str) -> None:
        if self._on_text is not None:
            self._shown = True
            self._on_text(text)

    async def _wait(self, decision: Decision) -> None:
        """Wait until one of those who were passed over may be asked; then others may be asked again too."""
        times = [decision.retry_at, self._refusal.retry_at if self._refusal else None]
        # Those that have been tried count too, where a gate is all that keeps them from being asked again.
        again = self._choice.look(replace(self._demand, tried=self._never_again))
        if not again.order:
            times.append(again.retry_at)
        pause = self._until(times)
        if pause is None or not await self._sleep(pause):
            raise self._failure or self._refusal or _nobody(decision)
        self._tried, self._refusal = self._never_again, None

    def _until(self, times: Sequence[datetime | None]) -> timedelta | None:
        """Return how long to wait for the first of some times to come."""
        now = self._now()
        known = [at for at in times if at is not None]
        pauses = [at - now for at in known if at > now]
        if known and not pauses:
            return _LOOK_AGAIN * (0.5 + self._chance.random())
        return min(pauses, default=None)

    async def _sleep(self, pause: timedelta) -> bool:
        """Sleep, if there is time left for it."""
        if self._now() + pause > self._deadline:
            return False
        await asyncio.sleep(pause.total_seconds())
        return True

    def _key(self, provider: ProviderName, number: int) -> AttemptKey:
        return AttemptKey(
            attempt_id=self._new_id(),
            session_id=None,
            turn=0,
            ask=1,
            provider=provider,
            attempt=number,
            is_retry=self._failure is not None,
            tenant=self._tenant,
        )


def _again_at_once(failure: ProviderFailure) -> bool:
    """Tell whether the same provider is asked again before any other; one that asks us to wait is behind a gate."""
    gated = failure.failure is FailureClass.RATE_LIMIT or failure.retry_after is not None
    return routing.again_here(failure.failure) and not gated


def _failed(failure: ProviderFailure) -> Ledger:
    at_most = failure.cost.at_most if failure.cost else None
    return Ledger(attempts=1, failed=1, wasted_usd=at_most or Decimal(0))


def _earlier(known: NotAdmitted | None, new: NotAdmitted) -> NotAdmitted:
    if known is None or known.retry_at is None:
        return new
    return new if new.retry_at is not None and new.retry_at < known.retry_at else known


def _nobody(decision: Decision) -> Unavailable:
    reasons = "; ".join(f"{each.provider}: {each.reason}" for each in decision.passed_over)
    return Unavailable("every provider", reasons or "none is configured")
