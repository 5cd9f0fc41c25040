"""WhatsApp Cloud API: its webhooks, sending, receipts and media.

Source: Meta's public documentation of the WhatsApp Business Platform. Times have the resolution of a second. A person
is named by a business-scoped id (`from_user_id`); the phone number (`from`) is missing where the person hides it.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from tertulia.channels import calls
from tertulia.channels.calls import Answer, Call, Seconds
from tertulia.domain.channels import Attachment, ChannelName, ChannelRules, Incoming, Outgoing, Receipt, Received
from tertulia.domain.deliveries import numbered
from tertulia.domain.errors import ChannelFailure, ChannelProblem, InvalidInput
from tertulia.domain.ids import MessageId

log = structlog.get_logger(__name__)

_SIGNATURE = "x-hub-signature-256"
_TEXT_CHARS = 4096
_WINDOW = timedelta(hours=24)
# Receipts come within seconds; this is for a platform in trouble.
_CONFIRMS_WITHIN = timedelta(seconds=30)

_INTERACTIVE_BODY_CHARS = 1024
_BUTTONS, _BUTTON_CHARS = 3, 20
_ROWS, _ROW_CHARS = 10, 24
_LIST_LABEL = "…"
# A template's body has at most 1,024 characters, its own words among them; its values may have no line breaks.
_TEMPLATE_VALUE_CHARS = 900

# Where files are kept; the key is shown to nobody else.
_MEDIA_HOSTS = ("fbsbx.com", "facebook.com", "whatsapp.net", "whatsapp.com")

_FETCHED = {"document", "image"}
_SILENT = {"reaction", "system", "ephemeral", "request_welcome"}

_PROBLEMS: Mapping[ChannelProblem, frozenset[int]] = {
    ChannelProblem.RATE_LIMIT: frozenset({4, 80007, 130429, 131048, 131056}),
    ChannelProblem.ACCOUNT: frozenset({0, 3, 10, 33, 190, 368, 131005, 131031, 131042, 131045, *range(200, 300)}),
    ChannelProblem.LATE: frozenset({131047}),
    ChannelProblem.UNDELIVERABLE: frozenset({130472, 131021, 131026, 131030, 131049, 131050}),
    ChannelProblem.SERVER: frozenset({1, 2, 131000, 131016, 131057, 133004}),
}


@dataclass(frozen=True, slots=True)
class WhatsAppAccount:
    """A phone number of a business.

    Attributes:
        template: Goes in place of what comes after the window; its body has one variable, for the text.
    """

    phone_number_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    api_url: str
    template: str | None = None
    template_language: str = "en"


# --- webhooks -----------------------------------------------------------------------------------------------------


class WhatsAppWebhook:
    """Implements `ports.Webhook`."""

    channel = ChannelName.WHATSAPP

    def __init__(self, account: WhatsAppAccount) -> None:
        self._account = account

    @property
    def key(self) -> bytes:
        return self._account.app_secret.encode()

    def handshake(self, query: Mapping[str, str]) -> str | None:
        if query.get("hub.mode") != "subscribe":
            return None
        known = calls.same(query.get("hub.verify_token", ""), self._account.verify_token)
        return query.get("hub.challenge", "") if known else None

    def is_authentic(self, body: bytes, headers: Mapping[str, str], path_secret: str) -> bool:  # noqa: ARG002
        signed = hmac.new(self.key, body, hashlib.sha256).hexdigest()
        return calls.same(headers.get(_SIGNATURE, ""), f"sha256={signed}")

    def read(self, body: bytes) -> Incoming:
        try:
            delivery = _Delivery.model_validate_json(body)
        except ValidationError as error:
            raise InvalidInput("is no delivery of WhatsApp's", field="body") from error
        values = [
            change.value
            for entry in delivery.entry
            for change in entry.changes
            if change.field == "messages" and change.value.metadata.phone_number_id == self._account.phone_number_id
        ]
        return Incoming(
            messages=tuple(message for value in values for message in _messages(value)),
            receipts=tuple(receipt for value in values for receipt in _receipts(value)),
        )


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class _Metadata(_Lenient):
    phone_number_id: str = ""


class _Value(_Lenient):
    metadata: _Metadata = _Metadata()
    messages: tuple[dict[str, Any], ...] = ()
    statuses: tuple[dict[str, Any], ...] = ()


class _Change(_Lenient):
    field: str = ""
    value: _Value = _Value()


class _Entry(_Lenient):
    changes: tuple[_Change, ...] = ()


class _Delivery(_Lenient):
    entry: tuple[_Entry, ...] = ()


class _Text(_Lenient):
    body: str = ""


class _Chosen(_Lenient):
    title: str = ""


class _Interactive(_Lenient):
    button_reply: _Chosen | None = None
    list_reply: _Chosen | None = None


class _Button(_Lenient):
    text: str = ""


class _Media(_Lenient):
    id: str
    caption: str = ""
    filename: str = ""


class _Message(_Lenient):
    id: str
    timestamp: Seconds
    type: str
    # "from" is a keyword of Python's.
    sender: str = ""
    from_user_id: str = ""
    text: _Text = _Text()
    interactive: _Interactive = _Interactive()
    button: _Button = _Button()


class _Error(_Lenient):
    code: int = -1
    title: str = ""


class _Status(_Lenient):
    id: str
    status: str
    timestamp: Seconds
    biz_opaque_callback_data: str | None = None
    errors: tuple[_Error, ...] = ()


def _messages(value: _Value) -> Iterator[Received]:
    for given in value.messages:
        try:
            message = _Message.model_validate(given | {"sender": given.get("from", "")})
            if message.type not in _SILENT and (message.sender or message.from_user_id):
                yield _received(message, given)
        except ValidationError:
            log.warning("a message of WhatsApp's can't be read", type=str(given.get("type"))[:40])


def _received(message: _Message, given: Mapping[str, Any]) -> Received:
    media = _Media.model_validate(given[message.type]) if message.type in _FETCHED else None
    return Received(
        message_id=MessageId(message_name(message.id)),
        person=message.from_user_id or message.sender,
        address=message.sender or message.from_user_id,
        position=message.timestamp,
        sent_at=datetime.fromtimestamp(message.timestamp, UTC),
        text=media.caption if media else _said(message),
        attachment=media and Attachment(media_id=media.id, kind=message.type, name=media.filename),
    )


def message_name(platform_id: str) -> str:
    """Name a message. The platform's own id holds the phone number, and would outlive all else that is erased."""
    return f"wa-{hashlib.sha256(platform_id.encode()).hexdigest()[:40]}"


def _said(message: _Message) -> str:
    chosen = message.interactive.button_reply or message.interactive.list_reply
    return message.text.body or (chosen.title if chosen else "") or message.button.text or f"[{message.type}]"


def _receipts(value: _Value) -> Iterator[Receipt]:
    for given in value.statuses:
        try:
            status = _Status.model_validate(given)
            error = next(iter(status.errors), None)
            yield Receipt.model_validate(
                {
                    "platform_id": message_name(status.id),
                    "delivery_id": status.biz_opaque_callback_data,
                    "status": status.status,
                    "at": datetime.fromtimestamp(status.timestamp, UTC),
                    "problem": _problem(error.code) if error else None,
                    "detail": calls.shortened(f"{error.code}: {error.title}") if error else "",
                }
            )
        except ValidationError:
            # There are kinds of status, such as `deleted`, that say nothing of a delivery.
            log.info("a status of WhatsApp's is passed over", status=str(given.get("status"))[:40])


def _problem(code: int) -> ChannelProblem:
    return next((problem for problem, codes in _PROBLEMS.items() if code in codes), ChannelProblem.REFUSED)


# --- sending ------------------------------------------------------------------------------------------------------


class WhatsAppMessenger:
    """Implements `ports.Messenger`."""

    channel = ChannelName.WHATSAPP

    def __init__(self, account: WhatsAppAccount, http: httpx.AsyncClient) -> None:
        self._account = account
        self._http = http

    @property
    def rules(self) -> ChannelRules:
        return ChannelRules(
            text_limit=_TEXT_CHARS,
            window=_WINDOW,
            has_template=self._account.template is not None,
            confirms_within=_CONFIRMS_WITHIN,
        )

    async def send(self, message: Outgoing) -> str:
        body = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            **_recipient(message.address),
            # Comes back with the receipts: by it a message is known whose sending was cut off.
            "biz_opaque_callback_data": message.delivery_id,
            **self._content(message),
        }
        url = f"{self._account.api_url}/{self._account.phone_number_id}/messages"
        answer = await calls.ask(self._http, Call("POST", url, self._authorization, body, sends=True))
        if answer.status != httpx.codes.OK:
            raise _refusal(answer, message.address)
        try:
            return message_name(str(answer.body["messages"][0]["id"]))
        except (KeyError, IndexError, TypeError):
            raise ChannelFailure(ChannelProblem.UNCONFIRMED, "an answer without the message's id") from None

    async def fetch(self, attachment: Attachment, most_bytes: int) -> bytes:
        found = await calls.ask(
            self._http, Call("GET", f"{self._account.api_url}/{attachment.media_id}", self._authorization)
        )
        if found.status != httpx.codes.OK:
            raise _refusal(found)
        url = str(found.body.get("url", ""))
        if not self._is_of_the_platform(url):
            raise ChannelFailure(ChannelProblem.UNUSABLE, "the file lies somewhere else")
        content = await calls.download(self._http, Call("GET", url, self._authorization), most_bytes)
        if found.body.get("sha256") not in {None, hashlib.sha256(content).hexdigest()}:
            raise ChannelFailure(ChannelProblem.UNREACHABLE, "the file did not come whole")
        return content

    async def check(self) -> str:
        url = f"{self._account.api_url}/{self._account.phone_number_id}?fields=display_phone_number,verified_name"
        answer = await calls.ask(self._http, Call("GET", url, self._authorization))
        if answer.status != httpx.codes.OK:
            raise _refusal(answer)
        return f"{answer.body.get('display_phone_number', '')} {answer.body.get('verified_name', '')}".strip()

    @property
    def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._account.access_token}"}

    def _is_of_the_platform(self, url: str) -> bool:
        address, ours = urlsplit(url), urlsplit(self._account.api_url)
        if (address.scheme, address.netloc) == (ours.scheme, ours.netloc):
            return True
        host = address.hostname or ""
        return address.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in _MEDIA_HOSTS)

    def _content(self, message: Outgoing) -> Mapping[str, Any]:
        if message.by_template:
            return {"type": "template", "template": self._template(message.text)}
        if message.choices and (shown := _interactive(message.text, message.choices)):
            return {"type": "interactive", "interactive": shown}
        text = numbered(message.text, message.choices) if message.choices else message.text
        return {"type": "text", "text": {"body": text[:_TEXT_CHARS], "preview_url": False}}

    def _template(self, text: str) -> Mapping[str, Any]:
        value = " ".join(text.split())
        if len(value) > _TEMPLATE_VALUE_CHARS:
            value = value[: _TEMPLATE_VALUE_CHARS - 1] + "…"
        return {
            "name": self._account.template,
            "language": {"code": self._account.template_language},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": value}]}],
        }


def _recipient(address: str) -> Mapping[str, str]:
    """A phone number is digits only; whoever hides theirs is reached by the business-scoped id."""
    return {"to": address} if address.isdecimal() else {"recipient": address}


def _interactive(text: str, choices: Sequence[str]) -> Mapping[str, Any] | None:
    """Show choices as buttons, or as a list where there are more; None where they don't fit."""
    if len(text) > _INTERACTIVE_BODY_CHARS or len(set(choices)) < len(choices):
        return None
    longest = max(map(len, choices))
    body = {"text": text}
    if len(choices) <= _BUTTONS and longest <= _BUTTON_CHARS:
        buttons = [{"type": "reply", "reply": {"id": choice, "title": choice}} for choice in choices]
        return {"type": "button", "body": body, "action": {"buttons": buttons}}
    if len(choices) <= _ROWS and longest <= _ROW_CHARS:
        rows = [{"id": choice, "title": choice} for choice in choices]
        return {"type": "list", "body": body, "action": {"button": _LIST_LABEL, "sections": [{"rows": rows}]}}
    return None


def _refusal(answer: Answer, *hidden: str) -> ChannelFailure:
    error = answer.body.get("error")
    retry_after = calls.seconds(answer.headers.get("retry-after"))
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return calls.of_status(answer.status, f"HTTP {answer.status}", retry_after)
    detail = calls.shortened(str(error.get("message", "")), *hidden)
    problem = _problem(error["code"])
    if problem is ChannelProblem.REFUSED and answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        problem = ChannelProblem.SERVER
    return ChannelFailure(problem, f"{error['code']}: {detail}", retry_after=retry_after)
