"""The wire of Gemini's generateContent as a server speaks it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Usage
from tertulia.embedded.http import Request
from tertulia.embedded.simulator.behaviours import Quota

_MODEL = re.compile(r"/models/([^/:]+)")
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GenerateContent:
    """One answer in the making."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, number: int) -> None:
        found = _MODEL.search(request.path)
        self.model = found[1] if found else ""
        self.streams = request.path.endswith(":streamGenerateContent")
        self.asked = _asked(request.json())
        self._frame = {"modelVersion": self.model, "responseId": f"simulated-{number}"}

    def information(self) -> dict[str, Any] | None:
        """Describe the model."""
        return {"name": f"models/{self.model}", "displayName": "Simulated"} if self.model else None

    def opening(self, _usage: Usage | None) -> bytes:
        """Write nothing."""
        return b""

    def comment(self) -> bytes:
        """Write a comment."""
        return b": alive\r\n\r\n"

    def piece(self, text: str) -> bytes:
        """Write one piece of the answer."""
        return _event(self._response({"content": _content(text), "index": 0}))

    def finish(self, reason: str, usage: Usage | None) -> bytes:
        """Write the last response, without text."""
        return _event(self._response({"finishReason": _FINISH.get(reason, reason), "index": 0}, usage))

    def trailer(self, _usage: Usage | None, *, done: bool) -> bytes:  # noqa: ARG002
        """Write nothing: the stream simply ends."""
        return b""

    def whole(self, text: str, finish: str, usage: Usage | None) -> dict[str, Any]:
        """Write the answer to a request that does not ask for a stream."""
        candidate = {"content": _content(text), "finishReason": _FINISH.get(finish, finish), "index": 0}
        return self._response(candidate, usage)

    def malformed(self) -> bytes:
        """Write what breaks the JSON."""
        return b'data: {"candidates": [{"content": \r\n\r\n' if self.streams else b'"'

    def error(self, code: int | str, message: str, quota: Quota | None = None) -> dict[str, Any]:
        """Write the error object; the quota stands in its details."""
        if isinstance(code, str):
            return {"code": 500, "message": message, "status": code}
        error = {"code": code, "message": message, "status": _STATUS.get(code, "UNKNOWN")}
        return error if quota is None else {**error, "details": _details(quota)}

    def envelope(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Write the body around an error object."""
        return {"error": error}

    def error_event(self, code: int | str, message: str) -> bytes:
        """Write an error inside the stream, in the way of the real one: on bare lines."""
        return json.dumps(self.envelope(self.error(code, message)), indent=2).encode() + b"\n"

    def quota_headers(self, _quota: Quota) -> dict[str, str]:
        """Write none."""
        return {}

    def _response(self, candidate: Mapping[str, Any], usage: Usage | None = None) -> dict[str, Any]:
        reported = {"usageMetadata": _usage(usage)} if usage else {}
        return {"candidates": [candidate], **reported, **self._frame}


def _content(text: str) -> dict[str, Any]:
    return {"role": "model", "parts": [{"text": text}]}


def _usage(usage: Usage) -> dict[str, int]:
    prompt = usage.input_uncached + usage.input_cached
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.input_cached,
        "candidatesTokenCount": usage.output_visible,
        "totalTokenCount": prompt + usage.output_visible,
    }


def _details(quota: Quota) -> list[dict[str, Any]]:
    google = "type.googleapis.com/google.rpc"
    violation = {"quotaId": f"GenerateRequestsPer{quota.period.title()}PerProjectPerModel-FreeTier"}
    return [
        {"@type": f"{google}.QuotaFailure", "violations": [violation]},
        {"@type": f"{google}.RetryInfo", "retryDelay": f"{quota.wait_s:g}s"},
    ]


def _asked(body: Mapping[str, Any]) -> CompletionRequest:
    system = ((body.get("systemInstruction") or {}).get("parts") or [],)
    said = [ChatMessage(role="system", text=_text(parts)) for parts in system if parts]
    for content in body.get("contents") or []:
        role = "assistant" if content.get("role") == "model" else "user"
        said.append(ChatMessage(role=role, text=_text(content.get("parts") or [])))
    config = body.get("generationConfig") or {}
    return CompletionRequest(messages=tuple(said), json_schema=config.get("responseJsonSchema"))


def _text(parts: list[dict[str, Any]]) -> str:
    return "".join(str(part.get("text", "")) for part in parts)


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"
