"""Providers that behave by script: they answer, fail, fall silent and bill as the hour of the loop's clock demands."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import assert_never

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    CompletionRequest,
    FinishReason,
    TextDelta,
    Usage,
)
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.health import ProbeResult

CHARS_PER_TOKEN = 4
# An answer's token as it is streamed: as many characters as one token is taken to have.
TOKEN = "word"
ROUND_TRIP_S = 0.02


class Fault(Enum):
    DOWN = auto()  # refuses connections, and cuts what is under way
    SILENT = auto()  # takes calls and never says a word
    BROKEN = auto()  # 500, at once
    OVERLOADED = auto()  # 503, at once
    RATE_LIMITED = auto()  # 429 with a hint
    OUT_OF_QUOTA = auto()  # 429 of a day's quota, with a hint
    CUTS = auto()  # ends the stream after some tokens
    STALLS = auto()  # says no more after some tokens
    SLOW = auto()  # takes ten times as long
    REFUSES = auto()  # will not answer this, by its policy
    REJECTS = auto()  # 400, at once


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which something is wrong, in seconds of the loop's clock.

    Attributes:
        hint_s: What a 429 asks us to wait; None for until the end of the spell.
        after: Tokens before a cut.
    """

    fault: Fault
    begins_s: float
    ends_s: float
    hint_s: float | None = None
    after: int = 5


@dataclass(frozen=True, slots=True)
class Served:
    """A call as the provider saw it.

    Attributes:
        answered: Whether its whole answer was sent.
    """

    at_s: float
    ended_s: float
    answered: bool
    usage: Usage


@dataclass
class ScriptedProvider:
    """A Completer that speaks by script, and the bookkeeping of the provider behind it.

    Attributes:
        reports_cuts: Whether a failed attempt is told what it used.
        served: The calls that have ended, in the order in which they did.
        began: When calls began, seconds.
        billed: What it asks for everything so far, USD: each token it read and each it wrote.
        caches: Whether it reads from its cache what it has read before.
    """

    config: ProviderConfig
    prices: Prices
    spells: Sequence[Spell] = ()
    ttft_s: float = 0.5
    token_s: float = 0.02
    answer_tokens: int = 20
    reports_cuts: bool = True
    caches: bool = False
    served: list[Served] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    probes: int = 0
    billed: Decimal = Decimal(0)
    _read: set[tuple[ChatMessage, ...]] = field(default_factory=set)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Answer, or fail as the script has it. What is billed does not depend on how the call ends."""
        began = _clock()
        self.began.append(began)
        work = _Work()
        try:
            async with asyncio.timeout(self.config.timeout_s):
                await asyncio.sleep(ROUND_TRIP_S)
                self._refuse(began)
                await self._sleep(self.ttft_s)
                work.usage = self._reads(request)
                for written in range(min(self.answer_tokens, request.max_tokens)):
                    await self._sleep(self.token_s)
                    await self._interrupt(written)
                    work.usage = self._writes(work.usage)
                    yield TextDelta(text=TOKEN)
            work.answered = True
            text = TOKEN * work.usage.output_visible
            yield Completion(text=text, finish=FinishReason.STOP, usage=work.usage, model=self.config.model)
        except TimeoutError:
            raise self._failed(FailureClass.TIMEOUT, work.usage) from None
        except ProviderFailure as failure:
            raise self._failed(failure.failure, work.usage, failure.retry_after) from None
        finally:
            self.served.append(Served(began, _clock(), work.answered, work.usage))

    async def probe(self) -> ProbeResult:
        """Answer at no cost."""
        self.probes += 1
        await asyncio.sleep(ROUND_TRIP_S)
        down = self._now(Fault.DOWN) is not None
        return ProbeResult(
            reachable=not down,
            latency_ms=ROUND_TRIP_S * 1000,
            failure=FailureClass.CONNECT if down else None,
        )

    def calls_between(self, begins_s: float, ends_s: float) -> int:
        """Count the calls that began in a time."""
        return sum(begins_s <= began < ends_s for began in self.began)

    def _now(self, *faults: Fault) -> Spell | None:
        at = _clock()
        return next((s for s in self.spells if s.fault in faults and s.begins_s <= at < s.ends_s), None)

    def _refuse(self, began: float) -> None:
        spell = next((spell for spell in self.spells if spell.begins_s <= began < spell.ends_s), None)
        if spell is None:
            return
        hint = timedelta(seconds=spell.hint_s if spell.hint_s is not None else spell.ends_s - _clock())
        match spell.fault:
            case Fault.DOWN:
                raise ProviderFailure(FailureClass.CONNECT, "connection refused")
            case Fault.BROKEN:
                raise ProviderFailure(FailureClass.SERVER, "internal error", status=500)
            case Fault.OVERLOADED:
                raise ProviderFailure(FailureClass.OVERLOADED, "overloaded", status=503)
            case Fault.RATE_LIMITED:
                raise ProviderFailure(FailureClass.RATE_LIMIT, "slow down", status=429, retry_after=hint)
            case Fault.OUT_OF_QUOTA:
                raise ProviderFailure(FailureClass.QUOTA, "used up for today", status=429, retry_after=hint)
            case Fault.REFUSES:
                raise ProviderFailure(FailureClass.CONTENT_POLICY, "not that", status=200)
            case Fault.REJECTS:
                raise ProviderFailure(FailureClass.BAD_REQUEST, "makes no sense", status=400)
            case Fault.SILENT | Fault.CUTS | Fault.STALLS | Fault.SLOW:
                return
            case _:
                assert_never(spell.fault)

    async def _sleep(self, seconds: float) -> None:
        if self._now(Fault.SILENT):
            await asyncio.Event().wait()
        await asyncio.sleep(seconds * 10 if self._now(Fault.SLOW) else seconds)

    async def _interrupt(self, written: int) -> None:
        cut = self._now(Fault.CUTS)
        if self._now(Fault.DOWN) or (cut and written >= cut.after):
            raise ProviderFailure(FailureClass.TRUNCATED, "the stream ended before the answer did")
        stall = self._now(Fault.STALLS)
        if stall and written >= stall.after:
            await asyncio.Event().wait()

    def _reads(self, request: CompletionRequest) -> Usage:
        cached = self._remembered(request.messages) if self.caches else 0
        usage = Usage(input_uncached=tokens(request.messages) - cached, input_cached=cached, source="reported")
        if self.caches:
            self._read.add(request.messages)
        self.billed += usage.input_uncached * self.prices.input + cached * self.prices.cached_input
        return usage

    def _writes(self, usage: Usage) -> Usage:
        self.billed += self.prices.output
        return usage.model_copy(update={"output_visible": usage.output_visible + 1})

    def _remembered(self, messages: tuple[ChatMessage, ...]) -> int:
        prefixes = (messages[:length] for length in range(len(messages), 0, -1))
        return next((tokens(prefix) for prefix in prefixes if prefix in self._read), 0)

    def _failed(self, failure: FailureClass, usage: Usage, retry_after: timedelta | None = None) -> ProviderFailure:
        reported = usage if self.reports_cuts else None
        return ProviderFailure(failure, str(failure), retry_after=retry_after, usage=reported)


@dataclass
class _Work:
    usage: Usage = field(default_factory=Usage)
    answered: bool = False


def tokens(messages: Iterable[ChatMessage]) -> int:
    """Count the tokens of a prompt: its characters by four."""
    return -(-sum(len(message.text) for message in messages) // CHARS_PER_TOKEN)


def _clock() -> float:
    return asyncio.get_running_loop().time()
