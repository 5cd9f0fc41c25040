"""The wire of Ollama's /api/chat: newline-delimited JSON."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    CompletionRequest,
    FinishReason,
    TextDelta,
    ToolCall,
    Usage,
)
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.token_estimates import size
from tertulia.providers import attempt, calls, errors, prompt, untrusted
from tertulia.providers.attempt import Bill, Clocks, Stage
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.sse import JSONEvent, JSONEventDecoder, LineDecoder
from tertulia.providers.untrusted import count, items, mapping, string

_FINISH = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class OllamaChat:
    """A Completer. The client is shared and belongs to whoever opened it."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint, context_window: int | None = None) -> None:
        self._http = http
        self._endpoint = endpoint
        self._context_window = context_window
        # A server of one's own needs no key, the hosted one does.
        self._headers = endpoint.credential("authorization", "Bearer ")

    def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Ask, and yield the text as it comes; the last item is the Completion.

        Raises:
            ProviderFailure: Whatever went wrong, with its class.
        """
        body = _body(request, self._endpoint.model, self._context_window)
        call = self._endpoint.ask("/api/chat", self._headers, body, request)
        return attempt.stream(self._http, call, request, ChatLines(), _with_cold_start(self._endpoint.clocks))

    async def probe(self) -> ProbeResult:
        """Find out whether the server is up, has the model, and has it loaded. Never raises."""
        installed = await self._look_up("/api/tags", self._judge_installed)
        if not installed.reachable:
            return installed
        loaded = await self._look_up("/api/ps", self._judge_loaded)
        # A server too old to tell what is loaded can be used like any other.
        return installed.model_copy(update={"detail": loaded.detail if loaded.reachable else ""})

    async def _look_up(self, path: str, judge: Callable[[object], str]) -> ProbeResult:
        call = self._endpoint.look_up(path, self._headers)
        return await calls.probe(self._http, call, judge, connect_s=self._endpoint.clocks.connect)

    def _judge_installed(self, body: object) -> str:
        if _tagged(self._endpoint.model) in _names(body):
            return ""
        raise ProviderFailure(FailureClass.CONFIG, f"the model {self._endpoint.model} is not installed")

    def _judge_loaded(self, body: object) -> str:
        loaded = _tagged(self._endpoint.model) in _names(body)
        return "" if loaded else "the model is not loaded: the first answer takes longer"


def _with_cold_start(clocks: Clocks) -> Clocks:
    # While a model is being loaded, nothing is sent, not even headers.
    return replace(clocks, headers=clocks.cold_start, first_content=clocks.cold_start)


def _names(body: object) -> set[str]:
    return {_tagged(string(mapping(model).get("name"))) for model in items(mapping(body).get("models"))}


def _tagged(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def _body(request: CompletionRequest, model: str, context_window: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"num_predict": request.max_tokens}
    if context_window is not None:
        # A longer prompt is cut without a word, and the server's own window is short.
        options["num_ctx"] = context_window
    if request.temperature is not None:
        options["temperature"] = request.temperature
    if request.stop:
        options["stop"] = list(request.stop)
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(*spoken) for spoken in prompt.with_tools(request.messages)],
        "options": options,
        # Thoughts count against the limit of the answer, and on a machine of one's own they take their time.
        "think": False,
        "stream": True,
    }
    if request.tools and request.tool_choice.mode != "none":
        # It can't be told to call one.
        body["tools"] = [{"type": "function", "function": tool.model_dump()} for tool in request.tools]
    if request.json_schema is not None or request.json_object:
        body["format"] = request.json_schema or "json"
    return body


def _message(message: ChatMessage, tool: str) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.role == "tool":
        written["tool_name"] = tool
    if message.tool_calls:
        written["tool_calls"] = [
            {"function": {"name": call.name, "arguments": prompt.arguments(call)}} for call in message.tool_calls
        ]
    return written


class ChatLines:
    """One answer on this wire, read off its bytes."""

    def __init__(self) -> None:
        self._lines = JSONEventDecoder(LineDecoder())
        self._texts: list[str] = []
        self._said = 0
        self._speaking = False
        self._calls: list[ToolCall] = []
        self._done: Mapping[str, Any] | None = None

    @property
    def stage(self) -> Stage:
        """How far the answer has come."""
        if self._done is not None:
            return Stage.SETTLED
        return Stage.SPEAKING if self._speaking else Stage.SILENT

    @property
    def bill(self) -> Bill:
        """What it has used so far; it is counted at the end."""
        return Bill(self._said, _usage(self._done or {}))

    def feed(self, data: bytes) -> Iterator[str]:
        """Take the next bytes; yield the pieces of content."""
        return self._read_all(self._lines.feed(data))

    def end(self) -> Iterator[str]:
        """Take the end of the bytes; yield the pieces of content that it completes."""
        return self._read_all(self._lines.end())

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderFailure: TRUNCATED without the last line; MALFORMED where the answer is empty.
        """
        if self._done is None:
            raise attempt.truncated()
        # An unknown reason still says that the answer has ended.
        finish = _FINISH.get(string(self._done.get("done_reason")), FinishReason.STOP)
        return attempt.answered(
            Completion(
                text="".join(self._texts),
                finish=FinishReason.TOOL_CALLS if self._calls else finish,
                tool_calls=tuple(self._calls),
                usage=_usage(self._done),
                model=string(self._done.get("model")),
            )
        )

    def _read_all(self, lines: Iterable[JSONEvent]) -> Iterator[str]:
        for line in lines:
            if line.data is not None:
                yield from self._read(line.data)

    def _read(self, line: Mapping[str, Any]) -> Iterator[str]:
        if error := errors.error_in(line):
            raise errors.from_event(error, datetime.now(UTC))
        if self._done is None:
            yield from self._read_message(mapping(line.get("message")))
        if line.get("done") is True:
            self._done = line

    def _read_message(self, message: Mapping[str, Any]) -> Iterator[str]:
        text = string(message.get("content"))
        self._said += size(text) + size(string(message.get("thinking")))
        for call in items(message.get("tool_calls")):
            self._take_call(mapping(mapping(call).get("function")))
        if text or message.get("thinking") or message.get("tool_calls"):
            self._speaking = True
            self._texts.append(text)
            yield text

    def _take_call(self, function: Mapping[str, Any]) -> None:
        arguments = untrusted.written(mapping(function.get("arguments")))
        self._calls.append(
            ToolCall(id=f"call_{len(self._calls)}", name=string(function.get("name")), arguments=arguments)
        )
        self._said += size(arguments)


def _usage(done: Mapping[str, Any]) -> Usage:
    if "eval_count" not in done:
        return Usage()
    return Usage(
        # Missing where the whole prompt was cached.
        input_uncached=count(done.get("prompt_eval_count")),
        output_visible=count(done.get("eval_count")),
        source="reported",
    )
