"""The wire of Anthropic's Messages API, streamed as server-sent events."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

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
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.token_estimates import size
from tertulia.providers import attempt, calls, errors, prompt, untrusted
from tertulia.providers.attempt import Bill, Stage
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.sse import JSONEvent, JSONEventDecoder
from tertulia.providers.untrusted import count, items, mapping, string

VERSION = "2023-06-01"

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    # There was more to come.
    "pause_turn": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}

# What structured output understands of JSON Schema; anything else (`minimum`, `pattern`) is refused with a 400.
_KEYWORDS = frozenset(
    {"$defs", "$ref", "allOf", "anyOf", "const", "description", "enum", "items", "properties", "required", "type"}
)

# The message begins with a count of its first token or so, which says nothing about the rest.
_UNCOUNTED = {"output_visible": 0, "output_reasoning": 0}


class AnthropicMessages:
    """A Completer. The client is shared and belongs to whoever opened it."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self._http = http
        self._endpoint = endpoint
        self._headers = {"anthropic-version": VERSION, **endpoint.credential("x-api-key")}

    def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Ask, and yield the text as it comes; the last item is the Completion.

        Raises:
            ProviderFailure: Whatever went wrong, with its class.
        """
        call = self._endpoint.ask("/v1/messages", self._headers, _body(request, self._endpoint.model), request)
        return attempt.stream(self._http, call, request, MessageAnswer(), self._endpoint.clocks)

    async def probe(self) -> ProbeResult:
        """Find out at no cost whether the key is good and the model exists. Never raises."""
        call = self._endpoint.look_up(f"/v1/models/{quote(self._endpoint.model, safe='')}", self._headers)
        return await calls.probe(self._http, call, lambda _: "", connect_s=self._endpoint.clocks.connect)


def _body(request: CompletionRequest, model: str) -> dict[str, Any]:
    # Without the temperature: newer models refuse a request that sets one.
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": _messages(request),
        "stream": True,
    }
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.tools:
        body |= {"tools": [_tool(tool) for tool in request.tools], "tool_choice": _tool_choice(request.tool_choice)}
    if instructions := prompt.instructions(request):
        body["system"] = instructions
    if request.json_schema is not None:
        # A plain JSON object has no form here; the instructions that ask for one have to do.
        body["output_config"] = {"format": {"type": "json_schema", "schema": _narrowed(request.json_schema)}}
    return body


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for message in prompt.dialogue(request):
        if message.role != "tool":
            messages.append({"role": message.role, "content": _content(message)})
            continue
        answer = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}
        if messages and isinstance(messages[-1]["content"], list) and messages[-1]["role"] == "user":
            # What the tools answer that were called together goes back together.
            messages[-1]["content"].append(answer)
        else:
            messages.append({"role": "user", "content": [answer]})
    return messages


def _content(message: ChatMessage) -> str | list[dict[str, Any]]:
    if not message.tool_calls:
        return message.text
    said = [{"type": "text", "text": message.text}] if message.text else []
    uses = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": prompt.arguments(call)}
        for call in message.tool_calls
    ]
    return [*said, *uses]


def _tool(tool: Tool) -> dict[str, Any]:
    schema = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _tool_choice(choice: ToolChoice) -> dict[str, str]:
    return {"type": "tool", "name": choice.name} if choice.name is not None else {"type": _CHOICES[choice.mode]}


def _narrowed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a schema what would be refused, and close its objects, as is demanded."""
    kept = {name: _narrowed_part(name, value) for name, value in schema.items() if name in _KEYWORDS}
    return {**kept, "additionalProperties": False} if "properties" in kept else kept


def _narrowed_part(keyword: str, value: Any) -> Any:
    match keyword:
        case "properties" | "$defs":
            return {name: _narrowed(part) for name, part in value.items()}
        case "anyOf" | "allOf":
            return [_narrowed(part) for part in value]
        case "items":
            return _narrowed(value)
        case _:
            return value


@dataclass(slots=True)
class _Call:
    """A call of a tool. A block that is streamed begins with an empty input, and its pieces follow."""

    id: str
    name: str
    given: str
    pieces: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments="".join(self.pieces) or self.given)


class MessageAnswer:
    """One answer on this wire, read off its bytes. A server that did not stream sends all of it as one message."""

    def __init__(self) -> None:
        self._events = JSONEventDecoder()
        self._texts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._said = 0
        self._speaking = False
        self._stopped = False
        self._finish = FinishReason.STOP
        self._usage: dict[str, Any] = {}
        self._counted = False
        self._model = ""
        self._id: str | None = None

    @property
    def stage(self) -> Stage:
        """How far the answer has come."""
        if self._stopped:
            return Stage.SETTLED
        return Stage.SPEAKING if self._speaking else Stage.SILENT

    @property
    def bill(self) -> Bill:
        """What it has used so far; the tokens of the answer are counted at its end."""
        usage = _usage(self._usage)
        return Bill(self._said, usage if self._counted else usage.model_copy(update=_UNCOUNTED))

    def feed(self, data: bytes) -> Iterator[str]:
        """Take the next bytes; yield the pieces of content."""
        return self._read_all(self._events.feed(data))

    def end(self) -> Iterator[str]:
        """Take the end of the bytes; yield the pieces of content that it completes."""
        return self._read_all(self._events.end())

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderFailure: TRUNCATED without `message_stop`; CONTENT_POLICY where it was refused; MALFORMED where it
                is empty.
        """
        if not self._stopped:
            raise attempt.truncated()
        return attempt.answered(
            Completion(
                text="".join(self._texts),
                finish=self._finish,
                tool_calls=tuple(call.whole() for _, call in sorted(self._calls.items())),
                usage=_usage(self._usage),
                model=self._model,
                request_id=self._id,
            )
        )

    def _read_all(self, events: Iterable[JSONEvent]) -> Iterator[str]:
        for event in events:
            if event.data is not None:
                yield from self._read(event.data)

    def _read(self, event: Mapping[str, Any]) -> Iterator[str]:
        if error := errors.error_in(event):
            raise errors.from_event(error, datetime.now(UTC))
        match event.get("type"):
            case _ if self._stopped:
                return
            case "message_start":
                self._take_message(mapping(event.get("message")))
            case "content_block_start":
                self._take_call(event.get("index"), mapping(event.get("content_block")))
                yield from self._take_content(mapping(event.get("content_block")))
            case "content_block_delta":
                self._take_arguments(event.get("index"), mapping(event.get("delta")))
                yield from self._take_content(mapping(event.get("delta")))
            case "message_delta":
                self._take_end(mapping(event.get("delta")))
                self._take_usage(event)
                self._counted = "usage" in event
            case "message_stop":
                self._stopped = True
            case "message":
                yield from self._take_whole(event)

    def _take_message(self, message: Mapping[str, Any]) -> None:
        self._model = string(message.get("model"))
        self._id = string(message.get("id")) or None
        self._take_usage(message)

    def _take_content(self, content: Mapping[str, Any]) -> Iterator[str]:
        text = string(content.get("text"))
        self._said += size(text) + size(string(content.get("thinking")))
        # A block begins empty; thoughts and the arguments of a tool are content that nobody is shown.
        if text or string(content.get("type")).endswith("_delta"):
            self._speaking = True
            self._texts.append(text)
            yield text

    def _take_call(self, index: object, block: Mapping[str, Any]) -> None:
        if block.get("type") == "tool_use" and isinstance(index, int):
            given = mapping(block.get("input"))
            self._calls[index] = _Call(string(block.get("id")), string(block.get("name")), untrusted.written(given))

    def _take_arguments(self, index: object, delta: Mapping[str, Any]) -> None:
        call = self._calls.get(index) if isinstance(index, int) else None
        if call is not None:
            call.pieces.append(string(delta.get("partial_json")))
            self._said += size(call.pieces[-1])

    def _take_end(self, ending: Mapping[str, Any]) -> None:
        if reason := string(ending.get("stop_reason")):
            # An unknown reason still says that the answer has ended.
            self._finish = _FINISH.get(reason, FinishReason.STOP)

    def _take_usage(self, holder: Mapping[str, Any]) -> None:
        # Each report is a running total of what it names.
        self._usage |= {name: value for name, value in mapping(holder.get("usage")).items() if value is not None}

    def _take_whole(self, message: Mapping[str, Any]) -> Iterator[str]:
        self._take_message(message)
        for index, block in enumerate(items(message.get("content"))):
            self._take_call(index, mapping(block))
            yield from self._take_content(mapping(block))
        self._take_end(message)
        self._counted = "usage" in message
        self._stopped = True


def _usage(reported: Mapping[str, Any]) -> Usage:
    if not reported:
        return Usage()
    output = count(reported.get("output_tokens"))
    thoughts = min(output, count(mapping(reported.get("output_tokens_details")).get("thinking_tokens")))
    return Usage(
        input_uncached=count(reported.get("input_tokens")),
        input_cached=count(reported.get("cache_read_input_tokens")),
        input_cache_write=count(reported.get("cache_creation_input_tokens")),
        output_visible=output - thoughts,
        output_reasoning=thoughts,
        source="reported",
    )
