"""Calls about sessions."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import TypeAdapter

from starter.api_client import ApiClient, error_of, given
from tertulia.api.views import (
    Messages,
    OrderOutcome,
    Problem,
    Receipt,
    SessionDetail,
    SessionList,
    SessionSummary,
    TurnReply,
)
from tertulia.domain.conversation import Message, Opened
from tertulia.domain.errors import SessionClosed
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import TurnRecord

_LOOK_AGAIN_SECONDS = 1.0
_turn_reply = TypeAdapter(TurnReply)


class SessionClient(ApiClient):
    """Starts sessions, talks in them, reads and steers them."""

    def start(self, opening: Mapping[str, Any]) -> Opened:
        """Start a session; `opening` is the call's body."""
        return Opened.model_validate_json(self._call("POST", "/v1/sessions", json=opening).content)

    def session(self, session_id: SessionId, *, live: bool = False) -> SessionDetail:
        """Read a session."""
        answer = self._call("GET", f"/v1/sessions/{session_id}", params={"live": live})
        return SessionDetail.model_validate_json(answer.content)

    def sessions(self, *, limit: int, **where: str | None) -> Iterator[SessionSummary]:
        """Read up to `limit` sessions, newest first, page by page."""
        for page in self._pages("/v1/sessions", limit, where):
            yield from SessionList.model_validate_json(page).sessions

    def last_messages(self, session_id: SessionId, count: int) -> tuple[Message, ...]:
        """Read the newest messages of a transcript, oldest first."""
        answer = self._call("GET", f"/v1/sessions/{session_id}/messages", params={"last": count})
        return Messages.model_validate_json(answer.content).messages

    def turn(self, session_id: SessionId, turn: int) -> TurnRecord:
        """Read a turn's evidence."""
        answer = self._call("GET", f"/v1/sessions/{session_id}/turns/{turn}")
        return TurnRecord.model_validate_json(answer.content)

    def send(self, session_id: SessionId, text: str, message_id: MessageId) -> TurnReply:
        """Send a message and wait for its outcome, however long that takes."""
        body = {"text": text, "message_id": message_id}
        answer = self._call("POST", f"/v1/sessions/{session_id}/messages", json=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            return _turn_reply.validate_json(answer.content)
        return self._look_until_done(session_id, message_id)

    def stream(self, session_id: SessionId, text: str, message_id: MessageId) -> Iterator[ServerSentEvent]:
        """Send a message and yield the events of its turn, up to and with the one that ends it."""
        with self._opened(
            "POST",
            f"/v1/sessions/{session_id}/messages",
            json={"text": text, "message_id": message_id},
            headers={"Accept": "text/event-stream"},
        ) as answer:
            for event in EventSource(answer).iter_sse():
                if event.event == "problem":
                    raise error_of(Problem.model_validate_json(event.data))
                yield event

    def order(self, session_id: SessionId, what: str, fields: Mapping[str, Any]) -> OrderOutcome:
        """Have a session do what somebody in the loop asks for: `what` ends the path, `fields` are the call's body."""
        method = "PUT" if what.startswith("slots/") else "POST"
        answer = self._call(method, f"/v1/sessions/{session_id}/{what}", json=given(**fields))
        return OrderOutcome.model_validate_json(answer.content)

    def close(self, session_id: SessionId, reason: str, *, erase: bool = False) -> None:
        """Close a session, or erase it."""
        self._call("DELETE", f"/v1/sessions/{session_id}", params={"reason": reason, "erase": erase})

    def export(self, session_id: SessionId, file_format: str) -> Iterator[bytes]:
        """Yield a transcript's file piece by piece."""
        path = f"/v1/sessions/{session_id}/export"
        with self._opened("GET", path, params={"format": file_format}) as answer:
            yield from answer.iter_bytes()

    def _look_until_done(self, session_id: SessionId, message_id: MessageId) -> TurnReply:
        while True:
            answer = self._call("GET", f"/v1/sessions/{session_id}/messages/{message_id}")
            receipt = Receipt.model_validate_json(answer.content)
            if receipt.reply is not None:
                return receipt.reply
            if receipt.status == "refused":
                raise SessionClosed("the session closed before this message had its turn")
            time.sleep(_LOOK_AGAIN_SECONDS)
