"""The wire of Ollama's /api/chat as a server speaks it."""

import json
from collections.abc import Mapping
from typing import Any

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Usage
from tertulia.embedded.http import Request
from tertulia.embedded.simulator.behaviours import Quota

# The one that the list of installed models has.
INSTALLED = "simulated:latest"


class ChatLines:
    """One answer in the making."""

    media_type = "application/x-ndjson"

    def __init__(self, request: Request, _number: int) -> None:
        body = request.json()
        self.model = str(body.get("model", ""))
        self.streams = body.get("stream") is not False
        self.asked = _asked(body)
        self._path = request.path

    def information(self) -> dict[str, Any] | None:
        """List the models that are installed, or loaded: the same one."""
        listed = {"models": [{"name": INSTALLED, "model": INSTALLED}]}
        return listed if self._path.endswith(("/api/tags", "/api/ps")) else None

    def opening(self, _usage: Usage | None) -> bytes:
        """Write nothing."""
        return b""

    def comment(self) -> bytes:
        """Write a line that says nothing: this wire has no other sign of life."""
        return self.piece("")

    def piece(self, text: str) -> bytes:
        """Write one piece of the answer."""
        return _line(self._frame(text, done=False))

    def finish(self, reason: str, usage: Usage | None) -> bytes:
        """Write the last line."""
        return _line(self.whole("", reason, usage))

    def trailer(self, _usage: Usage | None, *, done: bool) -> bytes:  # noqa: ARG002
        """Write nothing."""
        return b""

    def whole(self, text: str, finish: str, usage: Usage | None) -> dict[str, Any]:
        """Write the answer to a request that does not ask for a stream."""
        counted = {"prompt_eval_count": usage.input_uncached, "eval_count": usage.output_visible} if usage else {}
        return {**self._frame(text, done=True), "done_reason": finish, "total_duration": 1_000_000, **counted}

    def malformed(self) -> bytes:
        """Write what breaks the JSON."""
        return b'{"message": {"content": "\n' if self.streams else b'"'

    def error(self, code: int | str, message: str, quota: Quota | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Write the error object, of which nothing but the message will be sent."""
        return {"message": message}

    def envelope(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Write the body around an error: its text."""
        return {"error": error.get("message", "")}

    def error_event(self, code: int | str, message: str) -> bytes:
        """Write an error inside the stream."""
        return _line(self.envelope(self.error(code, message)))

    def quota_headers(self, _quota: Quota) -> dict[str, str]:
        """Write none."""
        return {}

    def _frame(self, text: str, *, done: bool) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done}


def _asked(body: Mapping[str, Any]) -> CompletionRequest:
    said = [
        ChatMessage(role=message["role"], text=message["content"])
        for message in body.get("messages") or []
        if message.get("role") in ("system", "user", "assistant") and isinstance(message.get("content"), str)
    ]
    schema = body.get("format")
    return CompletionRequest(messages=tuple(said), json_schema=schema if isinstance(schema, dict) else None)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
