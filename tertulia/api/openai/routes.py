"""`/v1/chat/completions` and `/v1/models`."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import JSONResponse, Response

from tertulia.api.access import Caller, allow, own_session
from tertulia.api.ids import new_id
from tertulia.api.inputs import Text, chosen_id
from tertulia.api.openai import answering, errors
from tertulia.api.openai.answering import Answer
from tertulia.api.openai.inputs import ChatCompletionRequest
from tertulia.api.openai.views import (
    CalledTool,
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    Delta,
    ErrorAnswer,
    Head,
    Model,
    ModelList,
)
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.waiting import walk_away
from tertulia.domain.access import Scope
from tertulia.domain.errors import Forbidden, InvalidInput, NotFound, TertuliaError
from tertulia.domain.ids import MessageId, SessionId, is_identifier
from tertulia.domain.providers.completions import FinishReason

router = APIRouter(prefix="/v1", tags=["openai"], route_class=errors.OpenAIRoute, dependencies=[allow(Scope.CHAT)])


class _AnyText(PathConvertor):
    """Takes line breaks, too: such a name is refused as OpenAI's clients expect, not taken for another address."""

    regex = r"[\s\S]*"


register_url_convertor("text", _AnyText())

# The client has gone; nobody reads this.
_CLIENT_CLOSED = 499
_sayable = TypeAdapter(Text)

_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ChatCompletion,
        "description": "The answer, or with `stream` its chunks",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post("/chat/completions", response_model=None, responses={**_ANSWERED, **errors.documented()})
async def complete_chat(
    body: ChatCompletionRequest,
    request: Request,
    ports: Ports,
    caller: Caller,
    idempotency_key: Annotated[str | None, Header(description="The id of a session's message")] = None,
) -> Response:
    """Answer a conversation, as OpenAI's call of this address does.

    `model` is `tertulia` for whoever is chosen among the providers, falling back from one to the next, or the name of
    one of them. With `metadata.session_id` the last message is a turn of that session.
    """
    session_id = _session_in(body, ports)
    if session_id is None:
        if caller.session_id is not None:
            raise Forbidden("this token is for one session; name it in metadata.session_id")
        only = answering.provider_of(ports, body.model)
        answer = answering.by_providers(ports, caller.tenant, body.request(), only)
    else:
        await own_session(ports, caller, session_id)
        message = answering.message_of(body, chosen_id(None, idempotency_key))
        _must_be_sayable(message.text)
        answer = answering.by_session(ports, session_id, MessageId(message.message_id or ""), message)
    head = Head(id=f"chatcmpl-{new_id()}", created=int(time.time()), model=body.model)
    work = _streamed(head, answer, with_usage=body.with_usage) if body.stream else _whole(head, answer)
    return await _unless_left(request, work)


@router.get("/models", responses=errors.documented())
async def list_models(ports: Ports) -> ModelList:
    """List what may be named as `model`: `tertulia`, and each provider, with and without its model."""
    return ModelList(data=[_model(name) for name, _ in answering.models(ports)])


@router.get("/models/{model:text}", responses=errors.documented())
async def read_model(model: str, ports: Ports) -> Model:
    """Look up one of them."""
    answering.provider_of(ports, model)
    return _model(model)


def _model(name: str) -> Model:
    return Model(id=name, owned_by=name.partition("/")[0])


def _session_in(body: ChatCompletionRequest, ports: ApiPorts) -> SessionId | None:
    named = (body.metadata or {}).get("session_id") or (body.user if ports.user_is_session else None)
    if named is None:
        return None
    if not is_identifier(named):
        raise NotFound("session", named)
    return SessionId(named)


def _must_be_sayable(text: str) -> None:
    try:
        _sayable.validate_python(text)
    except ValidationError as error:
        raise InvalidInput(error.errors()[0]["msg"], field="messages") from None


async def _whole(head: Head, answer: AsyncGenerator[str | Answer]) -> Response:
    async with aclosing(answer) as items:
        async for item in items:
            if isinstance(item, Answer):
                view = ChatCompletion.of(_headed(head, item), item.completion, item.usage)
                view = view.model_copy(update={"session": item.turn})
                return JSONResponse(view.model_dump(mode="json", exclude=_unset(view)))
    raise AssertionError("an answer ends with the whole of it")


def _headed(head: Head, answer: Answer) -> Head:
    completion = answer.completion
    return head.model_copy(update={"model": completion.model or head.model, "provider": completion.provider})


def _unset(view: ChatCompletion) -> dict[str, Any]:
    """Leave out of a message what clients take for something because it is there."""
    if view.choices[0].message.tool_calls is None:
        return {"choices": {"__all__": {"message": {"tool_calls"}}}}
    return {"choices": {"__all__": {"message": {"tool_calls": {"__all__": {"index"}}}}}}


async def _unless_left(request: Request, work: Any) -> Response:
    """Do the work for as long as the client is there."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return Response(status_code=_CLIENT_CLOSED)
        response: Response = working.result()
        return response
    finally:
        walk_away(working)
        walk_away(leaving)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _streamed(head: Head, answer: AsyncGenerator[str | Answer], *, with_usage: bool) -> Response:
    """Stream an answer. As long as nothing has come of it, a refusal is a plain one, with its own status."""
    first = await anext(answer)
    return EventSourceResponse(_chunks(head, first, answer, with_usage=with_usage), sep="\n")


async def _chunks(
    head: Head, first: str | Answer, answer: AsyncGenerator[str | Answer], *, with_usage: bool
) -> AsyncIterator[ServerSentEvent]:
    async with aclosing(answer) as items:
        try:
            yield _chunk(head, Delta(role="assistant", content=""))
            for event in _told(head, first, with_usage=with_usage):
                yield event
            async for item in items:
                for event in _told(head, item, with_usage=with_usage):
                    yield event
        except TertuliaError as error:
            # What has been shown stands, and can't be taken back here; that it is not the answer has to be said.
            yield _data(ErrorAnswer(error=errors.error_of(error)[1]))
            return
    yield ServerSentEvent("[DONE]")


def _told(head: Head, item: str | Answer, *, with_usage: bool) -> list[ServerSentEvent]:
    if isinstance(item, str):
        return [_chunk(head, Delta(content=item))]
    completion = item.completion
    head = _headed(head, item)
    told = []
    if completion.tool_calls:
        calls = tuple(CalledTool.of(call, index) for index, call in enumerate(completion.tool_calls))
        told.append(_chunk(head, Delta(tool_calls=calls)))
    finish = FinishReason.TOOL_CALLS if completion.tool_calls else completion.finish
    told.append(_chunk(head, Delta(), finish))
    if with_usage:
        told.append(_data(ChatCompletionChunk(**dict(head), choices=(), usage=item.usage)))
    return told


def _chunk(head: Head, delta: Delta, finish: FinishReason | None = None) -> ServerSentEvent:
    chunk = ChatCompletionChunk(**dict(head), choices=(ChunkChoice(delta=delta, finish_reason=finish),))
    return _data(chunk, {"choices": {"__all__": {"delta": delta.model_fields_set ^ set(Delta.model_fields)}}})


def _data(view: BaseModel, unset: Any = None) -> ServerSentEvent:
    return ServerSentEvent(view.model_dump_json(exclude=unset))
