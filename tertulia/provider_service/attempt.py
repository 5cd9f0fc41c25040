"""One attempt: what it has come to, from its admission to its settlement."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime, timedelta

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers import costs, token_estimates
from tertulia.domain.providers.attempts import Admission
from tertulia.domain.providers.completions import Completion, CompletionRequest, TextDelta
from tertulia.domain.providers.costs import Cost
from tertulia.domain.providers.state import Sample
from tertulia.domain.turns import AttemptKey, AttemptOutcome
from tertulia.provider_service.registry import InUse

# A provider's own clock, which knows what it waits for, speaks before this one.
_GRACE = timedelta(seconds=1)


class Attempt:
    """An attempt under way.

    Attributes:
        slot: The place that it holds.
    """

    def __init__(self, key: AttemptKey, in_use: InUse, slot: int, admission: Admission) -> None:
        self.key = key
        self.in_use = in_use
        self.slot = slot
        self.started_at = admission.at
        self._reserved = admission.reserve_usd
        self._began = _clock()
        self._first_text: float | None = None
        self._said = 0

    async def stream(self, request: CompletionRequest, on_text: Callable[[str], None]) -> Completion:
        """Ask, and hand the text on as it comes.

        Raises:
            ProviderFailure: There is no answer.
        """
        try:
            async with asyncio.timeout(self.in_use.config.timeout_s + _GRACE.total_seconds()):
                return await self._read(request, on_text)
        except TimeoutError:
            raise ProviderFailure(FailureClass.TIMEOUT, "no whole answer in time") from None

    async def _read(self, request: CompletionRequest, on_text: Callable[[str], None]) -> Completion:
        completer = self.in_use.completer
        if completer is None:
            raise ProviderFailure(FailureClass.CONFIG, self.in_use.config.unusable or "it can't be asked")
        async with aclosing(completer.stream(request)) as answer:
            async for item in answer:
                match item:
                    case TextDelta():
                        if self._first_text is None:
                            self._first_text = _clock()
                        self._said += token_estimates.size(item.text)
                        on_text(item.text)
                    case Completion():
                        return item
        raise ProviderFailure(FailureClass.TRUNCATED, "the answer ended without a completion")

    def answered(self, completion: Completion) -> AttemptOutcome:
        """Describe how it ended: with an answer."""
        cost = costs.cost_of_answer(completion, self.in_use.prices, self._reserved)
        return AttemptOutcome(
            failure=None,
            model=completion.model,
            request_id=completion.request_id,
            usage=completion.usage,
            limits=completion.limits,
            **self._times(),
            **_cost(cost),
        )

    def stopped(self, request: CompletionRequest) -> ProviderFailure:
        """Describe the failure of a call that we ended; what had come of its answer has been used for certain."""
        used = token_estimates.usage_so_far(request, self._said) if self._said else None
        return ProviderFailure(FailureClass.CANCELLED, "stopped before it ended", usage=used)

    def failed(self, failure: ProviderFailure) -> AttemptOutcome:
        """Describe how it ended: without one."""
        cost = costs.cost_of_failure(failure, self.in_use.prices, self._reserved)
        return AttemptOutcome(
            failure=failure.failure,
            status=failure.status,
            detail=failure.detail,
            limits=failure.limits,
            **({} if failure.usage is None else {"usage": failure.usage}),
            **self._times(),
            **_cost(cost),
        )

    def sample(self, outcome: AttemptOutcome, at: datetime) -> Sample:
        """Return what the selection learns of it."""
        limits = outcome.limits
        return Sample(
            attempt_id=self.key.attempt_id,
            provider=self.key.provider,
            started_at=self.started_at,
            ended_at=at,
            failure=outcome.failure,
            ttft_ms=outcome.ttft_ms,
            latency_ms=outcome.latency_ms,
            output_tokens=outcome.usage.output_visible + outcome.usage.output_reasoning,
            is_retry=self.key.is_retry,
            remaining=limits.remaining if limits else None,
            remaining_until=limits.until if limits else None,
        )

    def _times(self) -> dict[str, float | None]:
        return {
            "latency_ms": (_clock() - self._began) * 1000,
            "ttft_ms": None if self._first_text is None else (self._first_text - self._began) * 1000,
        }


def _cost(cost: Cost) -> dict[str, object]:
    return {"cost_usd": cost.usd, "cost_at_most_usd": cost.at_most, "cost_source": cost.source}


def _clock() -> float:
    return asyncio.get_running_loop().time()
