"""The wire of OpenAI's chat completions, spoken by OpenRouter, Groq and most self-hosted servers."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import httpx

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    CompletionRequest,
    FinishReason,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from tertulia.domain.providers.configs import ProviderKind
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.token_estimates import size
from tertulia.providers import attempt, calls, errors
from tertulia.providers.attempt import Bill, Stage
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.sse import JSONEvent, JSONEventDecoder
from tertulia.providers.untrusted import count, items, mapping, number, string

Dialect = Literal[ProviderKind.OPENAI, ProviderKind.OPENROUTER, ProviderKind.GROQ]


@dataclass(frozen=True, slots=True)
class _Peculiarities:
    """How a provider departs from the common wire.

    Attributes:
        max_tokens: The field that bounds the answer.
        streams_json: Whether an answer that follows a JSON schema can be streamed.
        charges: Whether `usage.cost` is what the account was charged, USD.
        probe_path: What a free probe asks for.
    """

    max_tokens: str = "max_tokens"
    streams_json: bool = True
    charges: bool = False
    probe_path: Literal["/models", "/key"] = "/models"


_PECULIARITIES: Mapping[Dialect, _Peculiarities] = {
    ProviderKind.OPENAI: _Peculiarities(),
    ProviderKind.OPENROUTER: _Peculiarities(charges=True, probe_path="/key"),
    ProviderKind.GROQ: _Peculiarities(max_tokens="max_completion_tokens", streams_json=False),
}

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class OpenAIChat:
    """A Completer. The client is shared and belongs to whoever opened it."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint, dialect: Dialect = ProviderKind.OPENAI) -> None:
        self._http = http
        self._endpoint = endpoint
        self._peculiar = _PECULIARITIES[dialect]
        self._headers = endpoint.credential("authorization", "Bearer ")

    def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Ask, and yield the text as it comes; the last item is the Completion.

        Raises:
            ProviderFailure: Whatever went wrong, with its class.
        """
        body = _body(request, self._endpoint.model, self._peculiar)
        call = self._endpoint.ask("/chat/completions", self._headers, body, request)
        answer = ChatAnswer(charges=self._peculiar.charges)
        return attempt.stream(self._http, call, request, answer, self._endpoint.clocks)

    async def probe(self) -> ProbeResult:
        """Find out at no cost whether the provider can be reached with our key. Never raises."""
        call = self._endpoint.look_up(self._peculiar.probe_path, self._headers)
        judge = _judge_key if self._peculiar.probe_path == "/key" else self._judge_models
        return await calls.probe(self._http, call, judge, connect_s=self._endpoint.clocks.connect)

    def _judge_models(self, body: object) -> str:
        listed = {str(mapping(model).get("id")).removeprefix("models/") for model in items(mapping(body).get("data"))}
        known = not listed or self._endpoint.model.removeprefix("models/") in listed
        return "" if known else f"the model {self._endpoint.model} is not listed"


def _judge_key(body: object) -> str:
    remaining = number(mapping(mapping(body).get("data")).get("limit_remaining"))
    if remaining is not None and remaining <= 0:
        raise ProviderFailure(FailureClass.BILLING, "the key's limit is used up")
    return ""


def _body(request: CompletionRequest, model: str, peculiar: _Peculiarities) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        peculiar.max_tokens: request.max_tokens,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body |= {"tools": [_tool(tool) for tool in request.tools], "tool_choice": _tool_choice(request.tool_choice)}
    structured = _response_format(request)
    if structured:
        body["response_format"] = structured
    if not structured or peculiar.streams_json:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
        written["content"] = message.text or None
    return written


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump()}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    return choice.mode if choice.name is None else {"type": "function", "function": {"name": choice.name}}


def _response_format(request: CompletionRequest) -> dict[str, Any] | None:
    if request.json_schema is not None:
        return {"type": "json_schema", "json_schema": _json_schema(request.json_schema)}
    return {"type": "json_object"} if request.json_object else None


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    # Strict decoding refuses schemas that leave room for more properties.
    strict = schema.get("additionalProperties") is False
    return {"name": "answer", "schema": schema, "strict": strict}


@dataclass(slots=True)
class _Call:
    """A call of a tool, as its fragments come in."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self, index: int) -> ToolCall:
        return ToolCall(id=self.id or f"call_{index}", name=self.name, arguments="".join(self.arguments) or "{}")


class ChatAnswer:
    """One answer on this wire, read off its bytes. A server that did not stream sends all of it as one chunk."""

    def __init__(self, *, charges: bool = False) -> None:
        self._charges = charges
        self._events = JSONEventDecoder()
        self._texts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._said = 0
        self._speaking = False
        self._refused = False
        self._broken_off = False
        self._finish: FinishReason | None = None
        self._settled = False
        self._usage: Mapping[str, Any] | None = None
        self._model = ""
        self._id: str | None = None

    @property
    def stage(self) -> Stage:
        """How far the answer has come."""
        if self._settled:
            return Stage.SETTLED
        if self._finish:
            return Stage.COMPLETE
        return Stage.SPEAKING if self._speaking else Stage.SILENT

    @property
    def bill(self) -> Bill:
        """What it has used so far."""
        usage = self._usage or {}
        return Bill(self._said, _usage(usage), self._charge(usage) if self._charges else None)

    def feed(self, data: bytes) -> Iterator[str]:
        """Take the next bytes; yield the pieces of content."""
        return self._read_all(self._events.feed(data))

    def end(self) -> Iterator[str]:
        """Take the end of the bytes; yield the pieces of content that it completes."""
        return self._read_all(self._events.end())

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderFailure: TRUNCATED without a terminal marker; CONTENT_POLICY where it was refused; MALFORMED where
                it is empty.
        """
        if not self._finish and not self._settled:
            raise attempt.truncated()
        text = "".join(self._texts)
        finish = self._finish or FinishReason.STOP
        bill = self.bill
        return attempt.answered(
            Completion(
                text=text,
                finish=FinishReason.CONTENT_FILTER if self._refused and not text else finish,
                tool_calls=tuple(call.whole(index) for index, call in sorted(self._calls.items())),
                usage=bill.usage,
                model=self._model,
                request_id=self._id,
                charged_usd=bill.charged_usd,
            )
        )

    def _read_all(self, events: Iterable[JSONEvent]) -> Iterator[str]:
        for event in events:
            if event.data is None:
                self._settled = True
            elif not self._settled:
                yield from self._read(event.data)

    def _read(self, chunk: Mapping[str, Any]) -> Iterator[str]:
        choice = mapping(next(iter(items(chunk.get("choices"))), None))
        self._usage = _usage_in(chunk) or self._usage
        if error := _error_in(chunk, choice):
            self._broken_off = True
            raise errors.from_event(error, datetime.now(UTC))
        self._model = string(chunk.get("model")) or self._model
        self._id = string(chunk.get("id")) or self._id
        # Usage beside the finish settles nothing: some report both on every chunk.
        self._settled = bool(self._finish and not choice and self._usage)
        yield from self._read_delta(mapping(choice.get("delta") or choice.get("message")))
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            # An unknown reason still says that the answer has ended.
            self._finish = _FINISH.get(finish, FinishReason.STOP)

    def _read_delta(self, delta: Mapping[str, Any]) -> Iterator[str]:
        text = string(delta.get("content"))
        thought = string(delta.get("reasoning")) or string(delta.get("reasoning_content"))
        self._said += size(text) + size(thought)
        for place, call in enumerate(items(delta.get("tool_calls"))):
            self._take_call(place, mapping(call))
        self._refused = self._refused or bool(delta.get("refusal"))
        if text:
            self._texts.append(text)
        if text or any(delta.get(kind) for kind in ("reasoning", "reasoning_content", "tool_calls", "refusal")):
            self._speaking = True
            yield text

    def _take_call(self, place: int, piece: Mapping[str, Any]) -> None:
        # Fragments name their call by its index; in a whole message the place tells it.
        index = piece.get("index")
        call = self._calls.setdefault(index if isinstance(index, int) else place, _Call())
        function = mapping(piece.get("function"))
        call.id = string(piece.get("id")) or call.id
        call.name = string(function.get("name")) or call.name
        call.arguments.append(string(function.get("arguments")))
        self._said += size(call.arguments[-1])

    def _charge(self, usage: Mapping[str, Any]) -> Decimal | None:
        amount = number(usage.get("cost"))
        if amount is not None and amount >= 0:
            return amount
        # Who charges by the answer charges nothing for one that it broke off itself (OpenRouter's insurance).
        return Decimal(0) if self._broken_off else None


def _error_in(chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any] | None:
    error = errors.error_in(chunk) or errors.error_in(mapping(chunk.get("x_groq"))) or errors.error_in(choice)
    if error is None and choice.get("finish_reason") == "error":
        return {"message": "the provider ended the answer with an error"}
    return error


def _usage_in(chunk: Mapping[str, Any]) -> Mapping[str, Any] | None:
    usage = chunk.get("usage") or mapping(chunk.get("x_groq")).get("usage")
    return usage if isinstance(usage, Mapping) else None


def _usage(reported: Mapping[str, Any]) -> Usage:
    if not reported:
        return Usage()
    prompt, completion = count(reported.get("prompt_tokens")), count(reported.get("completion_tokens"))
    details = mapping(reported.get("prompt_tokens_details"))
    cached, written = count(details.get("cached_tokens")), count(details.get("cache_write_tokens"))
    # Gemini's facade counts thoughts in the total only; elsewhere this is the completion.
    output = max(completion, count(reported.get("total_tokens")) - prompt)
    reasoning = count(mapping(reported.get("completion_tokens_details")).get("reasoning_tokens"))
    reasoning = min(max(reasoning, output - completion), output)
    return Usage(
        input_uncached=max(0, prompt - cached - written),
        input_cached=cached,
        input_cache_write=written,
        output_visible=output - reasoning,
        output_reasoning=reasoning,
        source="reported",
    )
