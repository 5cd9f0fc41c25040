"""One attempt at one provider within a turn: put the question together, show the answer while it is written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, Self

from temporalio import activity

from activities.errors import to_application_error
from tertulia.domain import prompts
from tertulia.domain.conversation import Payload, Role
from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.events import Ask, Purpose
from tertulia.domain.ids import DEFAULT_TENANT, DefinitionHash, ProviderName, SessionId
from tertulia.domain.providers.attempts import Made
from tertulia.domain.providers.completions import Completion, CompletionRequest, Usage
from tertulia.domain.providers.costs import Cost
from tertulia.domain.providers.retries import Ledger
from tertulia.domain.turns import AttemptKey, Delta
from tertulia.ports import Deltas, PinnedDefinitions, Transcripts

# A cancellation reaches the call with a heartbeat, so this bounds how long a cancelled call goes on.
HEARTBEAT_S = 1.0
# Streamed text is shown in pieces of this length of time: short enough to look fluent, long enough to be few.
FLUSH_S = 0.05
# An answer stands in history several times, and a payload is bounded there at 2 MB.
MAX_ANSWER_CHARS = 64_000
# Attempts of one call never reach this, so attempts of a later one always have a higher number.
_ATTEMPTS_PER_CALL = 100


class ProviderCall(Payload):
    """What to ask of whom, by reference.

    Attributes:
        ask_number: Which question of the turn, from 1.
        position: Which call of the turn, from 0.
        is_retry: Whether an attempt has failed in this turn before.
        answers: The turn whose messages are answered anew; None where it is this one.
    """

    session_id: SessionId
    tenant: str = DEFAULT_TENANT
    turn: int
    ask_number: int
    position: int
    is_retry: bool = False
    provider: ProviderName
    ask: Ask
    definition_hash: DefinitionHash
    answers: int | None = None


class ProviderAnswer(Payload):
    """What a provider wrote.

    Attributes:
        input_tokens: Of the question, as the provider counts them; 0 where it doesn't say.
        made: What the attempts of the call came to.
    """

    text: str
    model: str
    input_tokens: int = 0
    made: Ledger = Ledger()


class Attempting(Protocol):
    """Makes attempts: admission, call and settlement. Implemented by the provider service."""

    async def attempt(self, key: AttemptKey, request: CompletionRequest, *, on_text: Callable[[str], None]) -> Made: ...


class ProviderCalls:
    """Asks providers."""

    def __init__(
        self, providers: Attempting, transcripts: Transcripts, definitions: PinnedDefinitions, deltas: Deltas
    ) -> None:
        self._providers = providers
        self._transcripts = transcripts
        self._definitions = definitions
        self._deltas = deltas

    @activity.defn
    async def call_provider(self, call: ProviderCall) -> ProviderAnswer:
        """Make one attempt. Its heartbeats tell the next one what became of those before it.

        Raises:
            ApplicationError: There is no answer. It encodes the ProviderFailure, NotAdmitted or Unavailable, together
                with what the attempts of this call came to.
        """
        before = _Before.read()
        made = before.made
        try:
            async with _heartbeats(before):
                completion = await self._attempt(call)
        except ProviderFailure as failure:
            made += Ledger(attempts=1, failed=1, wasted_usd=_at_most(failure))
            _Before(made, failure.failure, failure.detail).tell()
            raise to_application_error(failure, made) from failure
        except NotAdmitted as refusal:
            if before.failure:
                # It has no further attempt, so the failure that this one was to mend stands.
                unmended = ProviderFailure(before.failure, before.detail)
                raise to_application_error(unmended, made, final=True) from refusal
            raise to_application_error(refusal, made) from refusal
        except Unavailable as error:
            raise to_application_error(error, made) from error
        except asyncio.CancelledError:
            if _is_stopped_by_the_worker():
                raise to_application_error(Unavailable("the worker", "it stops"), made) from None
            raise
        return ProviderAnswer(
            text=completion.text,
            model=completion.model,
            input_tokens=_input_tokens(completion.usage),
            made=made + Ledger(attempts=1),
        )

    async def _attempt(self, call: ProviderCall) -> Completion:
        request = await self._request(call)
        key = _key(call)
        async with self._show(call, key.attempt) as show:
            made = await self._providers.attempt(key, request, on_text=show)
        return _bounded(made)

    async def _request(self, call: ProviderCall) -> CompletionRequest:
        definition = await self._definitions.pinned(call.definition_hash)
        answered = call.turn if call.answers is None else call.answers
        window = await self._transcripts.window(
            call.session_id, up_to_turn=answered, limit=definition.window, withdrawn=False
        )
        # What that turn was answered with before is not part of the question.
        asked = [message for message in window if message.turn < answered or message.role is Role.USER]
        return prompts.completion_request(definition, call.ask, asked)

    @asynccontextmanager
    async def _show(self, call: ProviderCall, attempt: int) -> AsyncIterator[Callable[[str], None]]:
        """Stream what a person will read into the side channel; anything else is not shown."""
        if call.ask.purpose is not Purpose.REPLY:
            yield lambda _text: None
            return
        number = call.position * _ATTEMPTS_PER_CALL + attempt
        shown = _Show(self._deltas, call.session_id, call.turn, number)
        flushing = asyncio.create_task(shown.flush_until_finished())
        try:
            yield shown.add
        finally:
            shown.finish()
            await flushing


def _key(call: ProviderCall) -> AttemptKey:
    info = activity.info()
    return AttemptKey(
        attempt_id=f"{info.workflow_run_id}/{info.activity_id}/{info.attempt}",
        session_id=call.session_id,
        turn=call.turn,
        ask=call.ask_number,
        provider=call.provider,
        attempt=info.attempt,
        is_retry=call.is_retry or info.attempt > 1,
        tenant=call.tenant,
    )


@dataclass(frozen=True)
class _Before:
    """What became of the attempts before this one at the same call.

    Attributes:
        failure: Of the last one; None where there was none.
    """

    made: Ledger
    failure: FailureClass | None = None
    detail: str = ""

    @classmethod
    def read(cls) -> Self:
        match activity.info().heartbeat_details:
            case [dict() as made, failure, str() as detail]:
                return cls(Ledger.model_validate(made), failure and FailureClass(failure), detail)
            case _:
                return cls(Ledger())

    def tell(self) -> None:
        activity.heartbeat(self.made, self.failure, self.detail)


def _is_stopped_by_the_worker() -> bool:
    """Tell whether a worker that stops has cancelled the call, and not whoever asked for it."""
    details = activity.cancellation_details()
    return details is not None and details.worker_shutdown and not details.cancel_requested


def _at_most(failure: ProviderFailure) -> Decimal:
    known = failure.cost and failure.cost.at_most
    return known or Decimal(0)


def _input_tokens(usage: Usage) -> int:
    return usage.input_uncached + usage.input_cached + usage.input_cache_write


def _bounded(made: Made) -> Completion:
    if len(made.completion.text) > MAX_ANSWER_CHARS:
        failure = ProviderFailure(FailureClass.TRUNCATED, f"the answer is longer than {MAX_ANSWER_CHARS} characters")
        failure.cost = Cost(made.outcome.cost_usd, made.outcome.cost_at_most_usd, made.outcome.cost_source)
        raise failure
    return made.completion


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
                async with asyncio.timeout(FLUSH_S):
                    await self._finished.wait()

    def _take(self) -> Delta:
        text = "".join(self._pending)
        self._pending.clear()
        piece = Delta(turn=self._turn, attempt=self._attempt, offset=self._offset, text=text)
        self._offset += len(text)
        return piece


@asynccontextmanager
async def _heartbeats(before: _Before) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            before.tell()
            await asyncio.sleep(HEARTBEAT_S)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
