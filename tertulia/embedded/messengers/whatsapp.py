"""A simulator of the WhatsApp Cloud API."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

from tertulia.embedded import http
from tertulia.embedded.http import Request
from tertulia.embedded.loopback import Loopback
from tertulia.embedded.messengers.platform import Refuse, SendingScript, Sent, WebhookCaller, answering

PHONE_NUMBER_ID = "106540352242922"
TEMPLATE = "simulated_follow_up"

_WINDOW = timedelta(hours=24)
_TEXT_CHARS = 4096
_BODY_CHARS = 1024
_MOST_BUTTONS, _BUTTON_CHARS = 3, 20
_MOST_ROWS, _ROW_CHARS = 10, 24


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WhatsAppSimulator:
    """The platform on 127.0.0.1, serving at `url` inside `async with`.

    Args:
        now: Tells the platform's time.

    Attributes:
        access_token: Of the one business that there is.
        app_secret: What its deliveries are signed with.
        verify_token: As the webhook was set up.
        sending: What becomes of what is sent.
        webhook: Calls ours.
        receipts: Reported of each message as soon as it has reached its person.
        files: What can be fetched, by media id.
    """

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.access_token, self.app_secret, self.verify_token = (token_hex(16) for _ in range(3))
        self.sending = SendingScript()
        self.webhook = WebhookCaller(self.signed)
        self.receipts: tuple[str, ...] = ("sent", "delivered")
        self.files: dict[str, bytes] = {}
        self._now = now
        self._heard: dict[str, datetime] = {}
        self._numbers = count(1)
        self._server = Loopback(answering(self._answer))
        self._exit = AsyncExitStack()
        self._reports: set[asyncio.Task[object]] = set()

    @property
    def url(self) -> str:
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self._server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for report in self._reports:
            report.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
        await self._exit.aclose()

    # What people do

    def text(self, person: str, text: str, *, at: datetime | None = None, hidden: bool = False) -> bytes:
        """Let a person write; return the delivery of it.

        Args:
            person: The phone number, digits only.
            hidden: Whether the person hides it.
        """
        return self._message(person, {"type": "text", "text": {"body": text}}, at, hidden=hidden)

    def press(self, person: str, label: str) -> bytes:
        """Let a person press a button."""
        pressed = {"type": "button_reply", "button_reply": {"id": label, "title": label}}
        return self._message(person, {"type": "interactive", "interactive": pressed}, None)

    def document(self, person: str, content: bytes, *, name: str, caption: str = "") -> bytes:
        """Let a person send a file."""
        media_id = f"media-{next(self._numbers)}"
        self.files[media_id] = content
        told = {"id": media_id, "filename": name, "mime_type": "application/octet-stream", "caption": caption}
        return self._message(person, {"type": "document", "document": told}, None)

    def receipt(self, sent: Sent, status: str, *, code: int | None = None) -> bytes:
        """Report on a message."""
        errors = {} if code is None else {"errors": [{"code": code, "title": "simulated failure"}]}
        told = {
            "id": sent.platform_id,
            "status": status,
            "timestamp": _seconds(self._now()),
            "recipient_id": sent.address,
            **errors,
        }
        return _delivery(
            {"statuses": [told | ({"biz_opaque_callback_data": sent.reference} if sent.reference else {})]}
        )

    def signed(self, body: bytes) -> Mapping[str, str]:
        """Sign a delivery."""
        signature = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={signature}"}

    async def deliver(self, *bodies: bytes) -> None:
        """Deliver, once each and in order."""
        await self.webhook.deliver(*bodies)

    def _message(self, person: str, content: Mapping[str, Any], at: datetime | None, *, hidden: bool = False) -> bytes:
        at = at or self._now()
        self._heard[person] = self._heard[user_id(person)] = at
        told = {
            "id": _message_id(person, next(self._numbers)),
            "timestamp": _seconds(at),
            "from_user_id": user_id(person),
            **({} if hidden else {"from": person}),
            **content,
        }
        return _delivery({"messages": [told]})

    # What is asked of the platform

    async def _answer(self, request: Request) -> bytes | None:
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return _refused(Refuse(401, 190, "Invalid OAuth access token"))
        match request.method, request.path.strip("/").split("/"):
            case "POST", [number, "messages"] if number == PHONE_NUMBER_ID:
                return self._send(request.json())
            case "GET", [number] if number == PHONE_NUMBER_ID:
                return http.whole(200, {"id": number, "display_phone_number": "+1 555 0100", "verified_name": "Test"})
            case "GET", ["files", media_id] if media_id in self.files:
                content = self.files[media_id]
                return http.head(200, {"content-length": str(len(content))}) + content
            case "GET", [media_id] if media_id in self.files:
                return http.whole(200, self._described(media_id))
            case _:
                return _refused(Refuse(400, 100, "Unsupported request"))

    def _described(self, media_id: str) -> Mapping[str, Any]:
        content = self.files[media_id]
        return {
            "id": media_id,
            "url": f"{self.url}/files/{media_id}",
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_size": len(content),
            "messaging_product": "whatsapp",
        }

    def _send(self, body: Mapping[str, Any]) -> bytes | None:
        reaction = self.sending.take()
        if isinstance(reaction, Refuse):
            return _refused(reaction)
        if refusal := self._fault(body):
            return _refused(refusal)
        address = str(body.get("to") or body.get("recipient"))
        sent = Sent(
            platform_id=_message_id(address, next(self._numbers)),
            address=address,
            text=_text(body),
            choices=_choices(body),
            template=body.get("template", {}).get("name"),
            reference=body.get("biz_opaque_callback_data"),
        )
        if reaction is None or reaction.takes:
            self.sending.deliver(sent)
            self._report(sent)
        if reaction is not None:
            return None
        return http.whole(200, {"messaging_product": "whatsapp", "messages": [{"id": sent.platform_id}]})

    def _report(self, sent: Sent) -> None:
        if not self.receipts:
            return
        report = asyncio.create_task(self.webhook.deliver(*(self.receipt(sent, status) for status in self.receipts)))
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)

    def _fault(self, body: Mapping[str, Any]) -> Refuse | None:
        address = str(body.get("to") or body.get("recipient"))
        if body.get("messaging_product") != "whatsapp":
            return Refuse(400, 100, "messaging_product is missing")
        if body.get("type") == "template":
            return None if body["template"].get("name") == TEMPLATE else Refuse(404, 132001, "Template does not exist")
        heard = self._heard.get(address)
        if heard is None or self._now() >= heard + _WINDOW:
            return Refuse(400, 131047, "Re-engagement message")
        return _too_large(body)


def user_id(person: str) -> str:
    """Return the business-scoped id of a person."""
    return f"ES.{hashlib.sha256(person.encode()).hexdigest()[:16]}"


def _message_id(person: str, number: int) -> str:
    """Name a message; whoever decodes the name reads with whom it was exchanged, as in the platform's own."""
    return f"wamid.{base64.b64encode(f'{person}+{number:06}'.encode()).decode()}"


def _too_large(body: Mapping[str, Any]) -> Refuse | None:
    choices = _choices(body)
    most, chars = (
        (_MOST_BUTTONS, _BUTTON_CHARS)
        if body.get("interactive", {}).get("type") == "button"
        else (_MOST_ROWS, _ROW_CHARS)
    )
    if len(choices) > most or any(len(choice) > chars for choice in choices):
        return Refuse(400, 131009, "Parameter value is not valid")
    if not 0 < len(_text(body)) <= (_BODY_CHARS if choices else _TEXT_CHARS):
        return Refuse(400, 100, "The text has a wrong length")
    return None


def _text(body: Mapping[str, Any]) -> str:
    match body.get("type"):
        case "template":
            return " ".join(
                parameter["text"] for part in body["template"]["components"] for parameter in part["parameters"]
            )
        case "interactive":
            return str(body["interactive"]["body"]["text"])
        case _:
            return str(body.get("text", {}).get("body", ""))


def _choices(body: Mapping[str, Any]) -> tuple[str, ...]:
    action = body.get("interactive", {}).get("action", {})
    buttons = [button["reply"]["title"] for button in action.get("buttons", ())]
    rows = [row["title"] for section in action.get("sections", ()) for row in section["rows"]]
    return tuple(buttons or rows)


def _delivery(value: Mapping[str, Any]) -> bytes:
    told = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": PHONE_NUMBER_ID}, **value}
    changes = [{"field": "messages", "value": told}]
    body = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}
    return json.dumps(body).encode()


def _refused(refusal: Refuse) -> bytes:
    error = {"message": f"(#{refusal.code}) {refusal.message}", "type": "OAuthException", "code": refusal.code}
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return http.whole(refusal.status, {"error": error}, headers)


def _seconds(at: datetime) -> str:
    return str(int(at.timestamp()))
