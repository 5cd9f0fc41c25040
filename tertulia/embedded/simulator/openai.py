"""The wire of OpenAI's chat completions as a server speaks it, with the peculiarities of OpenRouter and Groq.

The first part of the path chooses: `/openrouter/…`, `/groq/…`; anything else is plain.
"""

import json
from collections.abc import Mapping
from typing import Any

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Usage
from tertulia.embedded.http import Request
from tertulia.embedded.simulator.behaviours import Quota

PRICE_PER_TOKEN_USD = 0.000001


class ChatCompletions:
    """One answer in the making."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, number: int) -> None:
        body = request.json()
        self.model = str(body.get("model", ""))
        self.streams = body.get("stream") is True
        self.asked = _asked(body)
        self._path = request.path
        self._provider = request.path.split("/")[1]
        self._frame: dict[str, Any] = {"id": f"simulated-{number}", "created": 0, "model": self.model}
        if self._provider == "openrouter":
            self._frame["provider"] = "Simulator"

    def information(self) -> dict[str, Any] | None:
        """Tell about the key, or list no models."""
        match self._path.rpartition("/")[2]:
            case "key":
                return {"data": {"label": "simulated", "limit": None, "limit_remaining": None, "usage": 0}}
            case "models":
                return {"object": "list", "data": []}
            case _:
                return None

    def opening(self, _usage: Usage | None) -> bytes:
        """Write nothing."""
        return b""

    def comment(self) -> bytes:
        """Write a sign of life."""
        return b": OPENROUTER PROCESSING\n\n"

    def piece(self, text: str) -> bytes:
        """Write one piece of the answer."""
        return self._chunk({"role": "assistant", "content": text})

    def finish(self, reason: str, usage: Usage | None) -> bytes:
        """Write the terminal marker."""
        if usage and self._provider == "groq":
            return self._chunk({}, reason, x_groq={"id": self._frame["id"], "usage": self._usage(usage)})
        return self._chunk({}, reason)

    def trailer(self, usage: Usage | None, *, done: bool) -> bytes:
        """Write what follows the terminal marker: the usage where there is one, and the sentinel."""
        sentinel = b"data: [DONE]\n\n" if done else b""
        if usage is None or self._provider == "groq":
            return sentinel
        return _event({**self._frame, "choices": [], "usage": self._usage(usage)}) + sentinel

    def whole(self, text: str, finish: str, usage: Usage | None) -> dict[str, Any]:
        """Write the answer to a request that does not ask for a stream."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        reported = {"usage": self._usage(usage)} if usage else {}
        return {**self._frame, "object": "chat.completion", "choices": [choice], **reported}

    def malformed(self) -> bytes:
        """Write what breaks the JSON: of one chunk, or of the whole where the answer is not streamed."""
        return b'data: {"choices": [{"delta": {"content": "\n\n' if self.streams else b'"'

    def error(self, code: int | str, message: str, quota: Quota | None = None) -> dict[str, Any]:
        """Write the error object; the message names the quota."""
        if quota is None:
            return {"message": message, "type": "simulated", "code": code}
        limit = f"{message}: the limit of requests per {quota.period}. Please try again in {quota.wait_s:g}s."
        return {"message": limit, "type": "requests", "code": "rate_limit_exceeded"}

    def envelope(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Write the body around an error object."""
        return {"error": error}

    def quota_headers(self, quota: Quota) -> dict[str, str]:
        """Write how long to wait."""
        return {"retry-after": f"{quota.wait_s:g}"}

    def error_event(self, code: int | str, message: str) -> bytes:
        """Write an error inside the stream."""
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        return _event({**self._frame, "error": self.error(code, message), "choices": [choice]})

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event({**self._frame, "object": "chat.completion.chunk", "choices": [choice], **extra})

    def _usage(self, usage: Usage) -> dict[str, Any]:
        prompt, completion = usage.input_uncached + usage.input_cached, usage.output_visible
        reported: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": usage.input_cached},
        }
        if self._provider == "openrouter":
            reported["cost"] = round((prompt + completion) * PRICE_PER_TOKEN_USD, 9)
        return reported


def _asked(body: Mapping[str, Any]) -> CompletionRequest:
    messages = [message for message in body.get("messages") or [] if isinstance(message, dict)]
    known = [
        m for m in messages if m.get("role") in ("system", "user", "assistant") and isinstance(m.get("content"), str)
    ]
    wanted = body.get("response_format") or {}
    return CompletionRequest(
        messages=tuple(ChatMessage(role=m["role"], text=m["content"]) for m in known),
        json_schema=(wanted.get("json_schema") or {}).get("schema") if wanted.get("type") == "json_schema" else None,
    )


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
