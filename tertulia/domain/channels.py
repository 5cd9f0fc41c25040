"""What passes between messengers and sessions: what people write there, what they are sent, what becomes of it."""

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NewType

from pydantic import AwareDatetime

from tertulia.domain.conversation import Payload
from tertulia.domain.errors import ChannelProblem
from tertulia.domain.ids import DEFAULT_TENANT, Identifier, MessageId, SessionId, TenantId

ChatId = NewType("ChatId", str)

_DIGITS = 24


class ChannelName(StrEnum):
    """The messengers. What is said in a session of one of these channels is also sent there."""

    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"


_SENT_TO = frozenset(map(str, ChannelName))


def is_sent_to(channel: str) -> bool:
    """Tell whether what is said in sessions of a channel has to be sent to a messenger."""
    return channel in _SENT_TO


# --- what comes in ------------------------------------------------------------------------------------------------


class Attachment(Payload):
    """A file that a person has sent, by reference.

    Attributes:
        media_id: The platform's name for it.
        kind: The platform's word for what it is: document, image, voice, …
        size_bytes: As the platform says; None where it doesn't.
    """

    media_id: str
    kind: str
    name: str = ""
    size_bytes: int | None = None


class Received(Payload):
    """A message of a person's, as a platform has delivered it.

    Attributes:
        message_id: Made from the platform's own, so that the same delivery has the same one for ever.
        person: The platform's lasting name for the person.
        address: Where messages to the person are sent.
        position: Where it stands among the person's messages, as far as the platform tells: a later one has no lower
            position.
        only_opens: Whether it says nothing but that a conversation should begin.
        job_id: What the conversation is about, where the link that led here says so.
        language: The person's, where the platform tells.
    """

    message_id: MessageId
    person: str
    address: str
    position: int
    sent_at: AwareDatetime
    text: str = ""
    attachment: Attachment | None = None
    only_opens: bool = False
    job_id: Identifier | None = None
    language: str | None = None


class Receipt(Payload):
    """What a platform tells of a message that it was given to deliver.

    Attributes:
        delivery_id: Our own name for it, where the platform gives it back.
    """

    platform_id: str
    delivery_id: str | None = None
    status: Literal["sent", "delivered", "read", "failed"]
    at: AwareDatetime
    problem: ChannelProblem | None = None
    detail: str = ""


class Incoming(Payload):
    """All that one call of a webhook has brought, in the platform's order."""

    messages: tuple[Received, ...] = ()
    receipts: tuple[Receipt, ...] = ()


class Purpose(Payload):
    """What a channel's chats are for.

    Attributes:
        tenant: Whose they are.
        definition: The application that they are about.
    """

    tenant: TenantId = DEFAULT_TENANT
    definition: str


class ChatNames(Payload):
    """What a person's chat is called where a phone number or an account may not stand.

    Attributes:
        user_id: The person, over all applications of a channel.
    """

    chat_id: ChatId
    user_id: str


def chat_names(channel: ChannelName, person: str, purpose: Purpose, key: bytes, *, begun_by: MessageId) -> ChatNames:
    """Name a person's chat by keyed hashes, so that the names tell nobody who it is.

    Args:
        key: Secret; without it a phone number could be found by trying all of them.
        begun_by: The chat's first message. A chat that was erased and begins again is another one, while the sessions
            of the first one may still be there under their names.
    """
    return ChatNames(
        chat_id=ChatId(f"{channel}-{_hashed(key, purpose.tenant, channel, person, purpose.definition, begun_by)}"),
        user_id=f"{channel}-{_hashed(key, purpose.tenant, channel, person)}",
    )


def session_id_of_chat(chat_id: ChatId, number: int) -> SessionId:
    """Name the session of a chat, counted from 1: a chat whose session has ended goes on in the next one."""
    return SessionId(f"{chat_id}.{number}")


def _hashed(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:_DIGITS]


# --- what goes out ------------------------------------------------------------------------------------------------


class ChannelRules(Payload):
    """What a channel allows.

    Attributes:
        text_limit: Longest text of one message, in UTF-16 code units.
        window: For how long after the person's last message anything may be sent; None: always.
        has_template: Whether there is a template for what comes later than that.
        confirms_within: How long after an attempt the platform may still tell of itself that it has the message; zero
            where it never does.
    """

    text_limit: int
    window: timedelta | None = None
    has_template: bool = False
    confirms_within: timedelta = timedelta(0)


class Outgoing(Payload):
    """One message to a person.

    Attributes:
        delivery_id: Our own name for it; a platform that can gives it back with its receipts.
        choices: The answers on offer, to be shown as the channel can.
        by_template: Whether it goes as the channel's template.
    """

    delivery_id: str
    address: str
    text: str
    choices: tuple[str, ...] = ()
    by_template: bool = False


class Chat(Payload):
    """A person's conversation on a channel about one application.

    Attributes:
        heard_at: When the person last wrote, by the platform's clock.
    """

    chat_id: ChatId
    tenant: TenantId
    channel: ChannelName
    person: str
    address: str
    definition: str
    user_id: str
    heard_at: datetime


class Arrived(Payload):
    """A message that waits to be handed over to its chat's session."""

    chat: Chat
    message: Received


class NextArrival(Payload):
    """What is to be handed over next in a chat.

    Attributes:
        wait_s: How long it still may have to let another one pass that is on its way, seconds.
    """

    message_id: MessageId
    wait_s: float
    has_attachment: bool


class ChatSession(Payload):
    """A session of a chat.

    Attributes:
        number: Counted from 1.
        opened_by: The message that it was opened for.
    """

    session_id: SessionId
    number: int
    opened_by: MessageId
