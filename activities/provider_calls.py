"""One attempt at one provider: ask, stream, and leave evidence of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from temporalio import activity

from tertulia.domain import prompts
from tertulia.domain.completions import Completion, CompletionRequest, TextDelta
from tertulia.domain.conversation import Payload
from tertulia.domain.errors import FailureClass, ProviderFailure, Unavailable
from tertulia.domain.events import Ask, Purpose
from tertulia.domain.ids import DefinitionHash, ProviderName, SessionId
from tertulia.domain.turns import AttemptKey, AttemptOutcome, Delta
from tertulia.ports import Attempts, Completer, Deltas, PinnedDefinitions, Transcripts

# A cancellation reaches the call with a heartbeat, so this bounds how long a cancelled call goes on.
HEARTBEAT_S = 1.0
# Streamed text is shown in pieces of this length of time: short enough to look fluent, long enough to be few.
FLUSH_S = 0.05
# An answer stands in history several times, and a payload is bounded there at 2 MB.
MAX_ANSWER_CHARS = 64_000
_STOPPED = ProviderFailure(FailureClass.CANCELLED, "stopped before it ended")
# Attempts at one provider never reach this, so attempts at a later one always have a higher number.
_ATTEMPTS_PER_PROVIDER = 100


class ProviderCall(Payload):
    """What to ask of whom, by reference.

    Attributes:
        ask_number: Which question of the turn, from 1.
        position: The provider's place in the order in which they are asked, from 0.
    """

    session_id: SessionId
    turn: int
    ask_number: int
    position: int
    provider: ProviderName
    ask: Ask
    definition_hash: DefinitionHash


class ProviderAnswer(Payload):
    """What a provider wrote."""

    text: str
    model: str


def _clock() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class _Progress:
    """How far an attempt has come, by the event loop's clock, seconds."""

    started: float = field(default_factory=_clock)
    first_text: float | None = None

    def text_arrived(self) -> None:
        if self.first_text is None:
            self.first_text = _clock()

    def outcome(self, failure: ProviderFailure | None, completion: Completion | None) -> AttemptOutcome:
        return AttemptOutcome(
            failure=failure.failure if failure else None,
            status=failure.status if failure else None,
            detail=failure.detail if failure else "",
            latency_ms=(_clock() - self.started) * 1000,
            ttft_ms=None if self.first_text is None else (self.first_text - self.started) * 1000,
            **({} if completion is None else _reported(completion)),
        )


def _reported(completion: Completion) -> dict[str, object]:
    return {
        "model": completion.model,
        "request_id": completion.request_id,
        "usage": completion.usage,
        "cost_usd": completion.charged_usd,
    }


def _bounded(completion: Completion) -> Completion:
    if len(completion.text) > MAX_ANSWER_CHARS:
        raise ProviderFailure(FailureClass.TRUNCATED, f"the answer is longer than {MAX_ANSWER_CHARS} characters")
    return completion


class ProviderCalls:
    """Asks providers."""

    def __init__(
        self,
        completers: Mapping[ProviderName, Completer],
        transcripts: Transcripts,
        definitions: PinnedDefinitions,
        attempts: Attempts,
        deltas: Deltas,
        now: Callable[[], datetime],
    ) -> None:
        self._completers = completers
        self._transcripts = transcripts
        self._definitions = definitions
        self._attempts = attempts
        self._deltas = deltas
        self._now = now

    @activity.defn
    async def call_provider(self, call: ProviderCall) -> ProviderAnswer:
        """Make one attempt.

        Raises:
            ProviderFailure: The attempt failed; its class says what may be tried next.
        """
        key = AttemptKey(
            session_id=call.session_id,
            turn=call.turn,
            ask=call.ask_number,
            provider=call.provider,
            attempt=activity.info().attempt,
        )
        async with _heartbeats():
            return await self._attempt(call, key)

    async def _attempt(self, call: ProviderCall, key: AttemptKey) -> ProviderAnswer:
        request, _ = await asyncio.gather(self._request(call), self._attempts.start(key, self._now()))
        progress = _Progress()
        async with self._show(call, key.attempt) as show:
            try:
                completion = await self._complete(call.provider, request, progress, show)
            except (ProviderFailure, asyncio.CancelledError) as error:
                failure = error if isinstance(error, ProviderFailure) else _STOPPED
                await self._finish(key, progress.outcome(failure, None))
                raise
        await self._finish(key, progress.outcome(None, completion))
        return ProviderAnswer(text=completion.text, model=completion.model)

    async def _finish(self, key: AttemptKey, outcome: AttemptOutcome) -> None:
        try:
            await self._attempts.finish(key, outcome, self._now())
        except Unavailable:
            # What has been paid for is not thrown away for want of its evidence; the row stays without an end.
            activity.logger.warning("the end of an attempt could not be recorded")

    async def _request(self, call: ProviderCall) -> CompletionRequest:
        definition = await self._definitions.pinned(call.definition_hash)
        window = await self._transcripts.window(call.session_id, up_to_turn=call.turn, limit=definition.window)
        return prompts.completion_request(definition, call.ask, window)

    async def _complete(
        self, provider: ProviderName, request: CompletionRequest, progress: _Progress, show: Callable[[str], None]
    ) -> Completion:
        async with aclosing(self._completers[provider].stream(request)) as answer:
            async for item in answer:
                match item:
                    case TextDelta():
                        progress.text_arrived()
                        show(item.text)
                    case Completion():
                        return _bounded(item)
        raise ProviderFailure(FailureClass.TRUNCATED, "the answer ended without a completion")

    @asynccontextmanager
    async def _show(self, call: ProviderCall, attempt: int) -> AsyncIterator[Callable[[str], None]]:
        """Stream what a person will read into the side channel; anything else is not shown."""
        if call.ask.purpose is not Purpose.REPLY:
            yield lambda _text: None
            return
        number = call.position * _ATTEMPTS_PER_PROVIDER + attempt
        shown = _Show(self._deltas, call.session_id, call.turn, number)
        flushing = asyncio.create_task(shown.flush_until_finished())
        try:
            yield shown.add
        finally:
            shown.finish()
            await flushing


class _Show:
    """Collects text and appends it to the side channel: the first piece at once, later ones in batches.

    What is still pending at the end is not appended: the whole reply arrives with the end of the turn.
    """

    def __init__(self, deltas: Deltas, session_id: SessionId, turn: int, attempt: int) -> None:
        self._deltas = deltas
        self._session_id = session_id
        self._turn = turn
        self._attempt = attempt
        self._offset = 0
        self._pending: list[str] = []
        self._arrived = asyncio.Event()
        self._finished = asyncio.Event()

    def add(self, text: str) -> None:
        self._pending.append(text)
        self._arrived.set()

    def finish(self) -> None:
        self._finished.set()
        self._arrived.set()

    async def flush_until_finished(self) -> None:
        while True:
            await self._arrived.wait()
            if self._finished.is_set():
                return
            self._arrived.clear()
            try:
                await self._deltas.append(self._session_id, self._take())
            except Unavailable:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), FLUSH_S)

    def _take(self) -> Delta:
        text = "".join(self._pending)
        self._pending.clear()
        piece = Delta(turn=self._turn, attempt=self._attempt, offset=self._offset, text=text)
        self._offset += len(text)
        return piece


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
