"""Telegram's Bot API: its webhooks, sending and files. Only private chats; edits of messages are passed over.

Source: Telegram's public documentation of the Bot API. Update ids rise from one update to the next, unless there
    was none for a week.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tertulia.channels import calls
from tertulia.channels.calls import Answer, Call, Seconds
from tertulia.domain.channels import Attachment, ChannelName, ChannelRules, Incoming, Outgoing, Received
from tertulia.domain.deliveries import numbered
from tertulia.domain.errors import ChannelFailure, ChannelProblem, InvalidInput
from tertulia.domain.ids import MessageId, is_identifier

log = structlog.get_logger(__name__)

_SECRET = "x-telegram-bot-api-secret-token"  # noqa: S105 - the header's name
_TEXT_CHARS = 4096
_KEYS = 12
_START = re.compile(r"/start(?:@\w+)?(?:\s+(\S+))?\s*")
_FETCHED = ("document", "photo")
_NAMELESS = "message"


@dataclass(frozen=True, slots=True)
class TelegramAccount:
    """A bot.

    Attributes:
        webhook_secret: Stands in the webhook's address and comes with each delivery in a header.
    """

    bot_token: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    api_url: str


# --- webhooks -----------------------------------------------------------------------------------------------------


class TelegramWebhook:
    """Implements `ports.Webhook`."""

    channel = ChannelName.TELEGRAM

    def __init__(self, account: TelegramAccount) -> None:
        self._account = account

    @property
    def key(self) -> bytes:
        return self._account.bot_token.encode()

    def handshake(self, query: Mapping[str, str]) -> str | None:  # noqa: ARG002 - Telegram has none
        return None

    def is_authentic(self, body: bytes, headers: Mapping[str, str], path_secret: str) -> bool:  # noqa: ARG002
        in_path = calls.same(path_secret, self._account.webhook_secret)
        return calls.same(headers.get(_SECRET, ""), self._account.webhook_secret) and in_path

    def read(self, body: bytes) -> Incoming:
        try:
            update = _Update.model_validate_json(body)
        except ValidationError as error:
            raise InvalidInput("is no update of Telegram's", field="body") from error
        message = _received(update)
        return Incoming(messages=(message,) if message else ())


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class _Chat(_Lenient):
    id: int
    type: str


class _User(_Lenient):
    language_code: str | None = None


class _File(_Lenient):
    file_id: str
    file_name: str = ""
    file_size: int | None = None


class _Contact(_Lenient):
    phone_number: str


class _Message(_Lenient):
    chat: _Chat
    date: Seconds
    sender: _User = Field(default=_User(), alias="from")
    text: str = ""
    caption: str = ""
    document: _File | None = None
    photo: tuple[_File, ...] = ()
    contact: _Contact | None = None


class _Pressed(_Lenient):
    data: str = ""
    sender: _User = Field(default=_User(), alias="from")
    message: _Message | None = None


class _Update(_Lenient):
    update_id: int = Field(ge=0, lt=2**62)
    message: dict[str, Any] | None = None
    callback_query: _Pressed | None = None


def _received(update: _Update) -> Received | None:
    """Read what a person says with an update; None where that is nothing."""
    try:
        message = _Message.model_validate(update.message) if update.message is not None else None
    except ValidationError:
        log.warning("a message of Telegram's can't be read")
        return None
    pressed = update.callback_query
    told = message or (pressed.message if pressed else None)
    if told is None or told.chat.type != "private":
        return None
    start = _START.fullmatch(told.text) if message else None
    text = pressed.data if pressed else _said(told, update.message or {})
    return Received(
        message_id=MessageId(f"tg-{update.update_id}"),
        person=str(told.chat.id),
        address=str(told.chat.id),
        position=update.update_id,
        sent_at=datetime.fromtimestamp(told.date, UTC),
        text=text,
        attachment=_attachment(told),
        only_opens=start is not None,
        job_id=start[1] if start and start[1] and is_identifier(start[1]) else None,
        language=(pressed.sender if pressed else told.sender).language_code,
    )


def _said(message: _Message, given: Mapping[str, Any]) -> str:
    if message.contact:
        return message.contact.phone_number
    if message.text or message.caption or _attachment(message):
        return message.text or message.caption
    known = ("voice", "audio", "video", "video_note", "sticker", "location", "animation", "poll")
    return f"[{next((kind for kind in known if kind in given), _NAMELESS)}]"


def _attachment(message: _Message) -> Attachment | None:
    file = message.document or max(message.photo, key=lambda size: size.file_size or 0, default=None)
    if file is None:
        return None
    kind = _FETCHED[0] if message.document else _FETCHED[1]
    return Attachment(media_id=file.file_id, kind=kind, name=file.file_name, size_bytes=file.file_size)


# --- sending ------------------------------------------------------------------------------------------------------


class TelegramMessenger:
    """Implements `ports.Messenger`."""

    channel = ChannelName.TELEGRAM
    rules = ChannelRules(text_limit=_TEXT_CHARS)

    def __init__(self, account: TelegramAccount, http: httpx.AsyncClient) -> None:
        self._account = account
        self._http = http

    async def send(self, message: Outgoing) -> str:
        body = {
            "chat_id": int(message.address),
            "text": message.text,
            "link_preview_options": {"is_disabled": True},
            **_keyboard(message),
        }
        answer = await self._ask("sendMessage", body, sends=True, hidden=message.address)
        try:
            return str(answer["message_id"])
        except (KeyError, TypeError):
            raise ChannelFailure(ChannelProblem.UNCONFIRMED, "an answer without the message's id") from None

    async def fetch(self, attachment: Attachment, most_bytes: int) -> bytes:
        if (attachment.size_bytes or 0) > most_bytes:
            raise ChannelFailure(ChannelProblem.UNUSABLE, f"larger than {most_bytes // 1024} KiB")
        found = await self._ask("getFile", {"file_id": attachment.media_id}, sends=False)
        path = found.get("file_path") if isinstance(found, dict) else None
        if not path:
            raise ChannelFailure(ChannelProblem.UNUSABLE, "the file can't be had")
        url = f"{self._account.api_url}/file/bot{self._account.bot_token}/{path}"
        return await calls.download(self._http, Call("GET", url), most_bytes)

    async def check(self) -> str:
        bot = await self._ask("getMe", {}, sends=False)
        webhook = await self._ask("getWebhookInfo", {}, sends=False)
        if not _at(webhook, "url").endswith(self._webhook_path):
            raise ChannelFailure(
                ChannelProblem.ACCOUNT,
                "its webhook leads elsewhere or nowhere; `tertulia channels register telegram URL` changes that",
            )
        waiting, failed = _at(webhook, "pending_update_count"), _at(webhook, "last_error_message")
        told = f"@{_at(bot, 'username')}, {waiting or 0} updates on their way"
        return f"{told}; once failed: {calls.shortened(failed, self._account.webhook_secret)}" if failed else told

    async def register(self, url: str) -> None:
        """Have what people write delivered to the API at an address.

        Raises:
            ChannelFailure: Telegram can't be reached, or refuses.
        """
        body = {
            "url": f"{url}{self._webhook_path}",
            "secret_token": self._account.webhook_secret,
            "allowed_updates": ["message", "callback_query"],
        }
        await self._ask("setWebhook", body, sends=False, hidden=self._account.webhook_secret)

    @property
    def _webhook_path(self) -> str:
        return f"/v1/webhooks/telegram/{self._account.webhook_secret}"

    async def _ask(self, method: str, body: Mapping[str, Any], *, sends: bool, hidden: str = "") -> Any:
        url = f"{self._account.api_url}/bot{self._account.bot_token}/{method}"
        answer = await calls.ask(self._http, Call("POST", url, body=body, sends=sends))
        if answer.status != httpx.codes.OK or answer.body.get("ok") is not True:
            raise _refusal(answer, hidden, self._account.bot_token)
        return answer.body.get("result")


def _at(answer: Any, name: str) -> str:
    """Read a field of an answer; empty where it is missing."""
    return str(answer.get(name, "")) if isinstance(answer, dict) else ""


def _keyboard(message: Outgoing) -> Mapping[str, Any]:
    """Show choices as keys; without choices put away those of an earlier question."""
    if not message.choices:
        return {"reply_markup": {"remove_keyboard": True}}
    if len(message.choices) > _KEYS:
        return {"text": numbered(message.text, message.choices)[:_TEXT_CHARS]}
    keys = [[{"text": choice}] for choice in message.choices]
    return {"reply_markup": {"keyboard": keys, "one_time_keyboard": True, "resize_keyboard": True}}


def _refusal(answer: Answer, *hidden: str) -> ChannelFailure:
    words = calls.shortened(str(answer.body.get("description", "")), *hidden)
    detail = f"{answer.status}: {words}"
    parameters = answer.body.get("parameters")
    asked = parameters.get("retry_after") if isinstance(parameters, dict) else answer.headers.get("retry-after")
    match answer.status:
        case httpx.codes.FORBIDDEN:
            return ChannelFailure(ChannelProblem.UNDELIVERABLE, detail)
        case httpx.codes.BAD_REQUEST if "chat not found" in words or "user is deactivated" in words:
            return ChannelFailure(ChannelProblem.UNDELIVERABLE, detail)
        case httpx.codes.NOT_FOUND:
            # So is an unknown token answered, as part of the path.
            return ChannelFailure(ChannelProblem.ACCOUNT, detail)
        case status:
            return calls.of_status(status, detail, calls.seconds(asked))
