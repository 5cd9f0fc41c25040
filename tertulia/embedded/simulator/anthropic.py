"""The wire of Anthropic's Messages as a server speaks it."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Usage
from tertulia.embedded.http import Request
from tertulia.embedded.simulator.behaviours import Quota

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Messages:
    """One answer in the making."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, number: int) -> None:
        body = request.json()
        self.model = str(body.get("model", ""))
        self.streams = body.get("stream") is True
        self.asked = _asked(body)
        self._path = request.path
        self._id = f"msg_simulated_{number}"

    def information(self) -> dict[str, Any] | None:
        """Describe the model that the path names."""
        models, _, name = self._path.rpartition("/")
        return {"type": "model", "id": name, "display_name": "Simulated"} if models.endswith("/models") else None

    def opening(self, usage: Usage | None) -> bytes:
        """Write the beginning of the message and of its only block."""
        if not self.streams:
            return b""
        # The tokens of the answer are counted as they come.
        begun = usage.model_copy(update={"output_visible": 1}) if usage else None
        block = {"type": "text", "text": ""}
        return _event("message_start", message=self._message([], None, begun)) + _event(
            "content_block_start", index=0, content_block=block
        )

    def comment(self) -> bytes:
        """Write a ping."""
        return _event("ping")

    def piece(self, text: str) -> bytes:
        """Write one piece of the answer."""
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def finish(self, reason: str, usage: Usage | None) -> bytes:
        """Write the end of the block and of the message."""
        delta = {"stop_reason": _FINISH.get(reason, reason), "stop_sequence": None}
        reported = {"usage": {"output_tokens": usage.output_visible}} if usage else {}
        ended = _event("message_delta", delta=delta, **reported)
        return _event("content_block_stop", index=0) + ended + _event("message_stop")

    def trailer(self, _usage: Usage | None, *, done: bool) -> bytes:  # noqa: ARG002
        """Write nothing."""
        return b""

    def whole(self, text: str, finish: str, usage: Usage | None) -> dict[str, Any]:
        """Write the answer to a request that does not ask for a stream."""
        return self._message([{"type": "text", "text": text}], _FINISH.get(finish, finish), usage)

    def malformed(self) -> bytes:
        """Write what breaks the JSON."""
        return (
            b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": \n\n' if self.streams else b'"'
        )

    def error(self, code: int | str, message: str, quota: Quota | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Write the error object."""
        return {"type": code if isinstance(code, str) else _ERRORS.get(code, "api_error"), "message": message}

    def envelope(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Write the body around an error object."""
        return {"type": "error", "error": error, "request_id": self._id.replace("msg", "req")}

    def error_event(self, code: int | str, message: str) -> bytes:
        """Write an error inside the stream."""
        return _event("error", **self.envelope(self.error(code, message)))

    def quota_headers(self, quota: Quota) -> dict[str, str]:
        """Write what remains of each limit, and when the one that is used up is filled again."""
        reset = datetime.now(UTC) + timedelta(seconds=quota.wait_s)
        return {
            "retry-after": str(math.ceil(quota.wait_s)),
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": reset.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "anthropic-ratelimit-tokens-remaining": "10000",
            "anthropic-ratelimit-tokens-reset": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }

    def _message(self, content: list[dict[str, Any]], stop: str | None, usage: Usage | None) -> dict[str, Any]:
        frame = {"id": self._id, "type": "message", "role": "assistant", "model": self.model}
        reported = {"usage": _usage(usage)} if usage else {}
        return {**frame, "content": content, "stop_reason": stop, "stop_sequence": None, **reported}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_uncached,
        "cache_read_input_tokens": usage.input_cached,
        "cache_creation_input_tokens": usage.input_cache_write,
        "output_tokens": usage.output_visible,
    }


def _asked(body: Mapping[str, Any]) -> CompletionRequest:
    system = body.get("system")
    said = [ChatMessage(role="system", text=system)] if isinstance(system, str) else []
    for message in body.get("messages") or []:
        if message.get("role") in ("user", "assistant") and isinstance(message.get("content"), str):
            said.append(ChatMessage(role=message["role"], text=message["content"]))
    wanted = (body.get("output_config") or {}).get("format") or {}
    return CompletionRequest(messages=tuple(said), json_schema=wanted.get("schema"))


def _event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
