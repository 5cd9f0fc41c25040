"""A simulator of Telegram's Bot API."""

import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

from tertulia.embedded import http
from tertulia.embedded.http import Request
from tertulia.embedded.loopback import Loopback
from tertulia.embedded.messengers.platform import Refuse, SendingScript, Sent, WebhookCaller, answering

_TEXT_CHARS = 4096


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TelegramSimulator:
    """The platform on 127.0.0.1, serving at `url` inside `async with`.

    Args:
        now: Tells the platform's time.

    Attributes:
        bot_token: Of the one bot that there is.
        webhook_secret: As the webhook was set up.
        sending: What becomes of what is sent.
        webhook: Calls ours.
        registered: What the platform was told of our webhook, if it was.
        files: What can be fetched, by file id.
        blocked: Chats whose people have blocked the bot.
    """

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.bot_token = f"100200300:{token_hex(8)}"
        self.webhook_secret = token_hex(16)
        self.sending = SendingScript()
        self.webhook = WebhookCaller(lambda _: {"X-Telegram-Bot-Api-Secret-Token": self.webhook_secret})
        self.registered: Mapping[str, Any] | None = None
        self.files: dict[str, bytes] = {}
        self.blocked: set[str] = set()
        self._now = now
        self._updates = count(730_000_001)
        self._numbers = count(1)
        self._server = Loopback(answering(self._answer))
        self._exit = AsyncExitStack()

    @property
    def url(self) -> str:
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self._server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    # What people do

    def text(self, chat: int, text: str, *, language: str = "en") -> bytes:
        """Let a person write; return the update of it."""
        return self._update("message", self._message(chat, {"text": text}, language))

    def edit(self, chat: int, text: str) -> bytes:
        """Let a person change what was written."""
        return self._update("edited_message", self._message(chat, {"text": text, "edit_date": 0}))

    def sticker(self, chat: int) -> bytes:
        """Let a person send what is no text."""
        return self._update("message", self._message(chat, {"sticker": {"file_id": "s"}}))

    def document(self, chat: int, content: bytes, *, name: str, caption: str = "") -> bytes:
        """Let a person send a file."""
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = content
        told = {"file_id": file_id, "file_name": name, "file_size": len(content)}
        return self._update("message", self._message(chat, {"document": told, "caption": caption}))

    async def deliver(self, *bodies: bytes) -> None:
        """Deliver, once each and in order."""
        await self.webhook.deliver(*bodies)

    def _message(self, chat: int, content: Mapping[str, Any], language: str = "en") -> Mapping[str, Any]:
        return {
            "message_id": next(self._numbers),
            "from": {"id": chat, "is_bot": False, "first_name": "Somebody", "language_code": language},
            "chat": {"id": chat, "type": "private", "first_name": "Somebody"},
            "date": int(self._now().timestamp()),
            **content,
        }

    def _update(self, kind: str, content: Mapping[str, Any]) -> bytes:
        return json.dumps({"update_id": next(self._updates), kind: content}).encode()

    # What is asked of the platform

    async def _answer(self, request: Request) -> bytes | None:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["file", bot, "files", file_id] if bot == f"bot{self.bot_token}" and file_id in self.files:
                content = self.files[file_id]
                return http.head(200, {"content-length": str(len(content))}) + content
            case "POST", [bot, "sendMessage"] if bot == f"bot{self.bot_token}":
                return self._send(request.json())
            case "POST", [bot, "getMe"] if bot == f"bot{self.bot_token}":
                return _answered({"id": 100200300, "is_bot": True, "username": "simulated_bot"})
            case "POST", [bot, "setWebhook"] if bot == f"bot{self.bot_token}":
                self.registered = request.json()
                return _answered(result=True)
            case "POST", [bot, "getWebhookInfo"] if bot == f"bot{self.bot_token}":
                return _answered({"url": (self.registered or {}).get("url", ""), "pending_update_count": 0})
            case "POST", [bot, "getFile"] if bot == f"bot{self.bot_token}":
                return self._file(request.json())
            case _:
                return _refused(Refuse(404, message="Not Found"))

    def _file(self, body: Mapping[str, Any]) -> bytes:
        file_id = str(body.get("file_id"))
        if file_id not in self.files:
            return _refused(Refuse(400, message="Bad Request: invalid file_id"))
        found = {"file_id": file_id, "file_size": len(self.files[file_id]), "file_path": f"files/{file_id}"}
        return _answered(found)

    def _send(self, body: Mapping[str, Any]) -> bytes | None:
        reaction = self.sending.take()
        if isinstance(reaction, Refuse):
            return _refused(reaction)
        address, text = str(body.get("chat_id")), str(body.get("text", ""))
        if address in self.blocked:
            return _refused(Refuse(403, message="Forbidden: bot was blocked by the user"))
        if not 0 < len(text) <= _TEXT_CHARS:
            return _refused(Refuse(400, message="Bad Request: message is too long"))
        keys = body.get("reply_markup", {}).get("keyboard", ())
        number = next(self._numbers)
        choices = tuple(key["text"] for row in keys for key in row)
        if reaction is None or reaction.takes:
            self.sending.deliver(Sent(platform_id=str(number), address=address, text=text, choices=choices))
        return None if reaction else _answered({"message_id": number, "chat": {"id": int(address)}, "text": text})


def _answered(result: object) -> bytes:
    return http.whole(200, {"ok": True, "result": result})


def _refused(refusal: Refuse) -> bytes:
    parameters = {} if refusal.retry_after is None else {"parameters": {"retry_after": refusal.retry_after}}
    body = {"ok": False, "error_code": refusal.status, "description": refusal.message, **parameters}
    return http.whole(refusal.status, body)
