"""The wire of Anthropic's Messages API, streamed as server-sent events."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from tertulia.domain.completions import Completion, CompletionRequest, FinishReason, TextDelta, Usage
from tertulia.domain.health import ProbeResult
from tertulia.domain.token_estimates import size
from tertulia.providers import attempt, calls, errors, prompt
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
        "messages": [{"role": message.role, "content": message.text} for message in prompt.dialogue(request)],
        "stream": True,
    }
    if instructions := prompt.instructions(request):
        body["system"] = instructions
    if request.json_schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": _narrowed(request.json_schema)}}
    return body


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


class MessageAnswer:
    """One answer on this wire, read off its bytes. A server that did not stream sends all of it as one message."""

    def __init__(self) -> None:
        self._events = JSONEventDecoder()
        self._texts: list[str] = []
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
                yield from self._take_content(mapping(event.get("content_block")))
            case "content_block_delta":
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

    def _take_end(self, ending: Mapping[str, Any]) -> None:
        if reason := string(ending.get("stop_reason")):
            # An unknown reason still says that the answer has ended.
            self._finish = _FINISH.get(reason, FinishReason.STOP)

    def _take_usage(self, holder: Mapping[str, Any]) -> None:
        # Each report is a running total of what it names.
        self._usage |= {name: value for name, value in mapping(holder.get("usage")).items() if value is not None}

    def _take_whole(self, message: Mapping[str, Any]) -> Iterator[str]:
        self._take_message(message)
        for block in items(message.get("content")):
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
