"""The wire of Google's Gemini API: generateContent, streamed as server-sent events."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

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
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.token_estimates import size
from tertulia.providers import attempt, calls, errors, prompt, untrusted
from tertulia.providers.attempt import Bill, Stage
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.sse import JSONEvent, JSONEventDecoder
from tertulia.providers.untrusted import count, items, mapping, string

# Thoughts count against the limit of the answer. Without room for them there would be none left to answer with.
ROOM_FOR_THOUGHTS = 2048

_ROLES = {"user": "user", "assistant": "model", "tool": "user"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"), FinishReason.CONTENT_FILTER
    ),
}
_FAILED = {
    "OTHER": FailureClass.SERVER,
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), FailureClass.MALFORMED),
}


class GeminiContent:
    """A Completer. The client is shared and belongs to whoever opened it."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self._http = http
        self._endpoint = endpoint
        # Never as `?key=`, which ends up in logs.
        self._headers = endpoint.credential("x-goog-api-key")
        self._path = f"/models/{quote(endpoint.model.removeprefix('models/'), safe='')}"

    def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Ask, and yield the text as it comes; the last item is the Completion.

        Raises:
            ProviderFailure: Whatever went wrong, with its class.
        """
        path = f"{self._path}:streamGenerateContent?alt=sse"
        call = self._endpoint.ask(path, self._headers, _body(request), request)
        return attempt.stream(self._http, call, request, ContentAnswer(), self._endpoint.clocks)

    async def probe(self) -> ProbeResult:
        """Find out at no cost whether the key is good and the model exists. Never raises."""
        call = self._endpoint.look_up(self._path, self._headers)
        return await calls.probe(self._http, call, lambda _: "", connect_s=self._endpoint.clocks.connect)


def _body(request: CompletionRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "contents": _contents(request),
        "generationConfig": _generation(request),
    }
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    if instructions := prompt.instructions(request):
        body["systemInstruction"] = {"parts": [{"text": instructions}]}
    return body


def _contents(request: CompletionRequest) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    for message, tool in prompt.with_tools(prompt.dialogue(request)):
        role, parts = _ROLES[message.role], _parts(message, tool)
        if contents and message.role == "tool" and contents[-1]["role"] == role:
            # What the tools answer that were called together goes back together.
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: ChatMessage, tool: str) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"functionResponse": {"name": tool, "response": {"output": message.text}}}]
    text = [{"text": message.text}] if message.text or not message.tool_calls else []
    return [*text, *map(_call, message.tool_calls)]


def _call(call: ToolCall) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": prompt.arguments(call)}}
    return part if call.signature is None else {**part, "thoughtSignature": call.signature}


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    return {**declaration, "parametersJsonSchema": tool.parameters} if tool.parameters else declaration


def _calling(choice: ToolChoice) -> dict[str, Any]:
    if choice.name is not None:
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    return {"mode": _MODES[choice.mode]}


def _generation(request: CompletionRequest) -> dict[str, Any]:
    config: dict[str, Any] = {"maxOutputTokens": request.max_tokens + ROOM_FOR_THOUGHTS}
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.json_schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": request.json_schema}
    elif request.json_object:
        config["responseMimeType"] = "application/json"
    if request.stop:
        config["stopSequences"] = list(request.stop)
    return config


class ContentAnswer:
    """One answer on this wire, read off its bytes.

    No single event ends it: some models and relays give a finish reason early, or with every event. It is complete when
    the stream ends properly and has given one.
    """

    def __init__(self) -> None:
        self._events = JSONEventDecoder()
        self._texts: list[str] = []
        self._said = 0
        self._speaking = False
        self._calls: list[ToolCall] = []
        self._finish: FinishReason | None = None
        self._usage: Mapping[str, Any] = {}
        self._model = ""
        self._id: str | None = None

    @property
    def stage(self) -> Stage:
        """How far the answer has come; only the end of the stream tells that it is complete."""
        return Stage.SPEAKING if self._speaking else Stage.SILENT

    @property
    def bill(self) -> Bill:
        """What it has used so far: every event has the running total."""
        return Bill(self._said, _usage(self._usage))

    def feed(self, data: bytes) -> Iterator[str]:
        """Take the next bytes; yield the pieces of content."""
        return self._read_all(self._events.feed(data))

    def end(self) -> Iterator[str]:
        """Take the end of the bytes; yield the pieces of content that it completes."""
        return self._read_all(self._events.end())

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderFailure: TRUNCATED without a finish reason; CONTENT_POLICY where it was refused; MALFORMED where it
                is empty.
        """
        if self._finish is None:
            raise attempt.truncated()
        return attempt.answered(
            Completion(
                text="".join(self._texts),
                finish=FinishReason.TOOL_CALLS if self._calls else self._finish,
                tool_calls=tuple(self._calls),
                usage=_usage(self._usage),
                model=self._model,
                request_id=self._id,
            )
        )

    def _read_all(self, events: Iterable[JSONEvent]) -> Iterator[str]:
        for event in events:
            if event.data is not None:
                yield from self._read(event.data)

    def _read(self, chunk: Mapping[str, Any]) -> Iterator[str]:
        # A running total.
        self._usage = mapping(chunk.get("usageMetadata")) or self._usage
        _raise_error(chunk)
        self._model = string(chunk.get("modelVersion")) or self._model
        self._id = string(chunk.get("responseId")) or self._id
        candidate = mapping(next(iter(items(chunk.get("candidates"))), None))
        for part in items(mapping(candidate.get("content")).get("parts")):
            yield from self._read_part(mapping(part))
        if finish := string(candidate.get("finishReason")):
            self._finish = _finished(finish)

    def _read_part(self, part: Mapping[str, Any]) -> Iterator[str]:
        if "functionCall" in part:
            self._calls.append(_tool_call(part, len(self._calls)))
            self._said += size(self._calls[-1].arguments)
        text = string(part.get("text"))
        if text or "functionCall" in part:
            self._speaking = True
            self._said += size(text)
            shown = "" if part.get("thought") else text
            self._texts.append(shown)
            yield shown


def _tool_call(part: Mapping[str, Any], place: int) -> ToolCall:
    call = mapping(part.get("functionCall"))
    return ToolCall(
        id=string(call.get("id")) or f"call_{place}",
        name=string(call.get("name")),
        arguments=untrusted.written(mapping(call.get("args"))),
        signature=string(part.get("thoughtSignature")) or None,
    )


def _raise_error(chunk: Mapping[str, Any]) -> None:
    if error := errors.error_in(chunk):
        raise errors.from_event(error, datetime.now(UTC))
    if reason := string(mapping(chunk.get("promptFeedback")).get("blockReason")):
        raise ProviderFailure(FailureClass.CONTENT_POLICY, f"the provider blocked the prompt: {reason}")


def _finished(reason: str) -> FinishReason:
    if reason in _FAILED:
        raise ProviderFailure(_FAILED[reason], f"the model could not finish the answer: {reason}")
    # An unknown reason still says that the answer has ended.
    return _FINISH.get(reason, FinishReason.STOP)


def _usage(reported: Mapping[str, Any]) -> Usage:
    if not reported:
        return Usage()
    cached = count(reported.get("cachedContentTokenCount"))
    asked, by_tools = count(reported.get("promptTokenCount")), count(reported.get("toolUsePromptTokenCount"))
    return Usage(
        input_uncached=max(0, asked - cached) + by_tools,
        input_cached=cached,
        output_visible=count(reported.get("candidatesTokenCount")),
        output_reasoning=count(reported.get("thoughtsTokenCount")),
        source="reported",
    )
