"""Answering a question of that protocol: by whoever is chosen among the providers, or by a session's turn.

Both ways come to the same: text as it comes, then the whole answer. What has been shown can't be taken back in this
protocol, so whatever would have to take it back is an error instead.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from tertulia.api.event_stream import following
from tertulia.api.ids import new_id
from tertulia.api.openai.inputs import ChatCompletionRequest
from tertulia.api.openai.views import SessionTurn, TokenUsage
from tertulia.api.ports import ApiPorts
from tertulia.api.waiting import walk_away
from tertulia.domain.conversation import IncomingMessage
from tertulia.domain.errors import InvalidInput, NotFound, SessionClosed, Unavailable
from tertulia.domain.ids import MessageId, ProviderName, SessionId, TenantId
from tertulia.domain.providers.completions import Completion, CompletionRequest, FinishReason, Usage
from tertulia.domain.providers.token_estimates import size, usage_so_far
from tertulia.domain.session_events import TurnEnded, TurnSuperseded
from tertulia.domain.turns import Delta

# Whoever is chosen, rather than a provider by its name.
ANYBODY = "tertulia"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        turn: The turn that gave it; None outside of sessions.
    """

    completion: Completion
    usage: TokenUsage
    turn: SessionTurn | None = None


def models(ports: ApiPorts) -> Sequence[tuple[str, ProviderName | None]]:
    """List what can be asked, with the provider that is meant; None for whoever is chosen."""
    found: list[tuple[str, ProviderName | None]] = [(ANYBODY, None)]
    for configured in ports.completions.configured():
        config = configured.config
        if config.enabled and config.unusable is None:
            found += [(config.name, config.provider), (f"{config.name}/{config.model}", config.provider)]
    return found


def provider_of(ports: ApiPorts, model: str) -> ProviderName | None:
    """Find the provider that a model's name means; None for whoever is chosen.

    Raises:
        NotFound: There is no such model.
    """
    for name, provider in models(ports):
        if name == model:
            return provider
    raise NotFound("model", model)


async def by_providers(
    ports: ApiPorts, tenant: TenantId, request: CompletionRequest, only: ProviderName | None
) -> AsyncGenerator[str | Answer]:
    """Ask one provider after the other; left early, the one that is being asked is asked no more.

    Yields:
        The text as it comes, then the whole answer.
    """
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    asking = asyncio.create_task(
        ports.completions.execute_with_fallback(
            request,
            tenant=tenant,
            within=ports.reply_wait,
            only=() if only is None else (only,),
            on_text=pieces.put_nowait,
        )
    )
    asking.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            if piece:
                yield piece
        completion = await asking
    finally:
        walk_away(asking)
    yield Answer(completion, TokenUsage.of(_counted(request, completion)))


async def by_session(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> AsyncGenerator[str | Answer]:
    """Let a session take its turn. It goes on without whoever leaves; asked again, the answer is the same.

    Yields:
        The text as it comes, then the whole answer.

    Raises:
        Unavailable: The answer had to be begun anew; it is there for who asks again.
    """
    await ports.taken(ports.sessions.submit(session_id, message))
    shown = ""
    async with following(ports, session_id, message_id, message) as (events, _):
        async for told in events:
            match told.event:
                case Delta(text=text):
                    shown += text
                    yield text
                case TurnSuperseded():
                    raise _begun_anew()
                case TurnEnded() as ended if message_id in ended.message_ids:
                    if not ended.reply.startswith(shown):
                        raise _begun_anew()
                    if rest := ended.reply[len(shown) :]:
                        yield rest
                    yield await _of_turn(ports, session_id, ended)
                    return
                case _:
                    pass
    raise SessionClosed("the session closed before this message; start another one")


def message_of(asked: ChatCompletionRequest, key: str | None) -> IncomingMessage:
    """Take the last message of a conversation as what a person says in a session.

    Its id is the key. Without one it follows from the conversation so far, where that is sent along: then a repeated
    call is the same message. A single message could be meant again, so it gets a new id.

    Raises:
        InvalidInput: The last message is not a person's, or says nothing.
    """
    last = asked.messages[-1]
    if last.role != "user" or not last.text.strip():
        raise InvalidInput("has to end with what the person says", field="messages")
    return IncomingMessage(text=last.text, message_id=key or _id_in(asked))


def _id_in(asked: ChatCompletionRequest) -> str:
    if not any(message.role == "assistant" for message in asked.messages):
        return new_id()
    said = "\0".join(f"{message.role}\0{message.text}" for message in asked.messages)
    return f"said-{hashlib.sha256(said.encode(errors='surrogatepass')).hexdigest()[:32]}"


async def _of_turn(ports: ApiPorts, session_id: SessionId, ended: TurnEnded) -> Answer:
    turn = await ports.transcripts.turn(session_id, ended.turn)
    outcomes = [attempt.outcome for attempt in turn.attempts if attempt.outcome] if turn else []
    answered = [outcome for outcome in outcomes if outcome.failure is None]
    completion = Completion(
        text=ended.reply,
        finish=FinishReason.STOP,
        model=answered[-1].model if answered else "",
        provider=ended.provider,
    )
    stands = SessionTurn(session_id=session_id, turn=ended.turn, status=ended.status, state=ended.state)
    return Answer(completion, TokenUsage.of(*(outcome.usage for outcome in outcomes)), stands)


def _counted(request: CompletionRequest, completion: Completion) -> Usage:
    if completion.usage.source != "absent":
        return completion.usage
    said = sum(size(call.arguments) for call in completion.tool_calls) + size(completion.text)
    return usage_so_far(request, said)


def _begun_anew() -> Unavailable:
    return Unavailable("the answer", "it was begun anew; ask again under the same key")
