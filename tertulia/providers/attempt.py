"""One attempt: make the call, read the answer as it streams, watch the clocks. The same for every wire."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, assert_never

import httpx

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    Completion,
    CompletionRequest,
    FinishReason,
    RateLimits,
    TextDelta,
    Usage,
)
from tertulia.domain.providers.token_estimates import usage_so_far
from tertulia.providers import errors
from tertulia.providers.calls import Call, respond
from tertulia.providers.rate_limits import rate_limits

# How long to listen on after the terminal marker, for the usage that may trail it.
TRAILING_S = 2.0

# How long to listen on when nothing more is expected: the end of the body frees the connection for the next call.
DRAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Clocks:
    """Limits of one attempt, seconds. Signs of life without content (comments, pings) stop none of them.

    Attributes:
        connect: Until the connection stands.
        headers: From the start until the response's headers.
        first_content: From the start until the first piece of content.
        cold_start: Until the first piece of content where the model may have to be loaded first.
        gap: Between two pieces of content.
        total: From the start until the answer is complete.
    """

    connect: float = 5.0
    headers: float = 30.0
    first_content: float = 30.0
    cold_start: float = 120.0
    gap: float = 30.0
    total: float = 30.0


class Stage(StrEnum):
    """How far an answer has come."""

    SILENT = "silent"  # no content yet
    SPEAKING = "speaking"
    COMPLETE = "complete"  # the terminal marker has come; usage may still trail it
    SETTLED = "settled"  # nothing more is expected


@dataclass(frozen=True, slots=True)
class Bill:
    """What an answer has used so far.

    Attributes:
        said: Bytes of UTF-8, those that nobody is shown (reasoning) included.
        usage: As far as the provider has counted by now.
        charged_usd: What it says it charges; None where it doesn't say.
    """

    said: int
    usage: Usage
    charged_usd: Decimal | None = None


class Answer(Protocol):
    """What a wire makes of the bytes of one answer. Does no I/O."""

    @property
    def stage(self) -> Stage: ...

    @property
    def bill(self) -> Bill: ...

    def feed(self, data: bytes) -> Iterable[str]:
        """Take the next bytes; yield the pieces of content, empty ones for content that nobody is shown (reasoning).

        Raises:
            ProviderFailure: The provider reports an error, or does not make sense.
        """
        ...

    def end(self) -> Iterable[str]:
        """Take the end of the bytes; yield the pieces of content that it completes."""
        ...

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderFailure: There is none: it was cut off, is empty or was refused.
        """
        ...


def truncated() -> ProviderFailure:
    """Describe the failure of an answer that ended without its terminal marker."""
    return ProviderFailure(FailureClass.TRUNCATED, "the stream ended before the answer did")


def answered(completion: Completion) -> Completion:
    """Return the completion if it says anything, or calls a tool.

    Raises:
        ProviderFailure: CONTENT_POLICY where nothing but a refusal came; MALFORMED where it is empty.
    """
    if completion.text or completion.tool_calls:
        return completion
    if completion.finish is FinishReason.CONTENT_FILTER:
        raise ProviderFailure(FailureClass.CONTENT_POLICY, "the provider refused to answer")
    raise ProviderFailure(FailureClass.MALFORMED, f"the answer is empty (it ended by {completion.finish})")


def _asked_for(request: CompletionRequest, completion: Completion) -> Completion:
    """Leave out calls of tools that nobody has offered."""
    return completion if request.tools else answered(completion.model_copy(update={"tool_calls": ()}))


async def stream(
    http: httpx.AsyncClient, call: Call, request: CompletionRequest, answer: Answer, clocks: Clocks
) -> AsyncGenerator[TextDelta | Completion]:
    """Make the call; yield the text as it comes, then the Completion. The response is closed whatever happens.

    Raises:
        ProviderFailure: Whatever went wrong, and what it has used all the same.
    """
    started = asyncio.get_running_loop().time()
    limits: RateLimits | None = None
    headers_s = min(clocks.headers, clocks.first_content, clocks.total)
    try:
        async with respond(http, call, connect_s=clocks.connect, headers_s=headers_s) as response:
            limits = rate_limits(response.headers, datetime.now(UTC))
            async with aclosing(_texts(response, answer, clocks, started)) as texts:
                async for text in texts:
                    yield TextDelta(text=text)
            yield _asked_for(request, answer.completion()).model_copy(update={"limits": limits})
    except ProviderFailure as failure:
        bill = answer.bill
        if bill.said or bill.usage.source == "reported":
            failure.usage = usage_so_far(request, bill.said, bill.usage)
        failure.charged_usd = bill.charged_usd
        failure.limits = failure.limits or limits
        # From None: what `presentable` hides would still stand in the cause.
        raise errors.presentable(failure, call.secrets) from None


async def _texts(response: httpx.Response, answer: Answer, clocks: Clocks, started: float) -> AsyncGenerator[str]:
    now = asyncio.get_running_loop().time
    chunks = response.aiter_bytes()
    quiet_since = started
    data: bytes | None = b""
    while data is not None:
        stage = answer.stage
        due = min(quiet_since + _patience(stage, clocks), started + clocks.total)
        data = await _next(chunks, answer, due)
        for text in answer.end() if data is None else answer.feed(data):
            if text:
                yield text
            quiet_since = now()
        if answer.stage is not stage:
            quiet_since = now()


def _patience(stage: Stage, clocks: Clocks) -> float:
    match stage:
        case Stage.SILENT:
            return clocks.first_content
        case Stage.SPEAKING:
            return clocks.gap
        case Stage.COMPLETE:
            return TRAILING_S
        case Stage.SETTLED:
            return DRAIN_S
        case _:
            assert_never(stage)


async def _next(chunks: AsyncIterator[bytes], answer: Answer, due: float) -> bytes | None:
    """Wait for more of the body; None at its end, and at once when an answer that is complete has no more to give."""
    try:
        async with asyncio.timeout_at(due):
            return await anext(chunks, None)
    except (TimeoutError, httpx.HTTPError) as error:
        match answer.stage:
            case Stage.COMPLETE | Stage.SETTLED:
                return None
            case Stage.SILENT if isinstance(error, TimeoutError):
                raise ProviderFailure(FailureClass.TIMEOUT, "no content in time") from None
            case Stage.SPEAKING if isinstance(error, TimeoutError):
                raise ProviderFailure(FailureClass.TIMEOUT, "the rest of the answer did not come in time") from None
            case Stage.SILENT | Stage.SPEAKING:
                raise errors.from_exception(error, began=True) from None
            case _:
                assert_never(answer.stage)
