"""What becomes of what a session says: messages on their way to a messenger, and whether they may go."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self, assert_never

from pydantic import AwareDatetime

from tertulia.domain import message_parts
from tertulia.domain.channels import ChannelRules, Chat, Receipt
from tertulia.domain.conversation import Payload
from tertulia.domain.errors import ChannelFailure, ChannelProblem
from tertulia.domain.ids import SessionId

# As many as surely fit into storage. Other programs that send by the same account have names of their own.
_KEY_DIGITS = 9


class DeliveryStatus(StrEnum):
    """Where a message stands on its way."""

    WAITING = "waiting"
    SENDING = "sending"  # an attempt is under way, or its worker has died, or the platform gave no answer
    HELD = "held"  # outside of the channel's window; goes out when the person writes again
    SKIPPED = "skipped"  # of no use any more: undone, or outside of the window
    SENT = "sent"  # the platform has it
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Manner(StrEnum):
    """How a message may go at a given time."""

    FREELY = "freely"
    BY_TEMPLATE = "by_template"
    HOLD = "hold"
    SKIP = "skip"


class DeliveryKey(Payload):
    """Names a part of a message of a transcript.

    Attributes:
        seq: The message.
        part: From 1; a long message goes in several.
    """

    session_id: SessionId
    seq: int
    part: int

    def __str__(self) -> str:
        return f"{self.session_id}/{self.seq}/{self.part}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a key back; None where it is none."""
        match text.rsplit("/", 2):
            case [session_id, seq, part] if (
                seq.isdecimal() and part.isdecimal() and max(len(seq), len(part)) <= _KEY_DIGITS
            ):
                return cls(session_id=SessionId(session_id), seq=int(seq), part=int(part))
            case _:
                return None


class Delivery(Payload):
    """A part of a message of a session's transcript, on its way.

    Attributes:
        attempts: How often it was given to the platform.
        uncertain: How many of these attempts ended without telling whether the platform has it. Where one was made
            after that, the person may have it twice.
        by_template: Whether it goes as the channel's template.
        late: Whether the platform has refused it because the window has closed, whatever our clock says.
        problem: Why it did not go, or not yet.
        platform_id: The platform's name for it, or a hash of that where it tells who the person is.
    """

    key: DeliveryKey
    status: DeliveryStatus = DeliveryStatus.WAITING
    attempts: int = 0
    uncertain: int = 0
    by_template: bool = False
    late: bool = False
    problem: ChannelProblem | None = None
    detail: str = ""
    platform_id: str | None = None
    planned_at: datetime
    attempted_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None

    @property
    def is_on_its_way(self) -> bool:
        return self.status in {DeliveryStatus.WAITING, DeliveryStatus.SENDING}


class ToDeliver(Payload):
    """What a session has said up to and with a turn.

    Attributes:
        at: The session's time.
    """

    session_id: SessionId
    up_to_turn: int
    at: AwareDatetime


class Spoken(Payload):
    """A message of a transcript that was shown to the person.

    Attributes:
        choices: The answers on offer after it.
        unprompted: Whether nobody waits for it: a reminder, the word at a session's expiry.
    """

    seq: int
    text: str
    choices: tuple[str, ...] = ()
    unprompted: bool = False


class Piece(Payload):
    """A part of a message as it is planned: where it stands in the message's text."""

    seq: int
    part: int
    start: int
    end: int
    choices: tuple[str, ...] = ()
    unprompted: bool = False


def numbered(text: str, choices: Sequence[str]) -> str:
    """Append the choices as a numbered list; a number is understood as an answer."""
    lines = [f"{number}. {choice}" for number, choice in enumerate(choices, start=1)]
    return "\n".join([text, "", *lines])


class ToSend(Payload):
    """A delivery with what it says, and to whom.

    Attributes:
        withdrawn: Whether it was undone or written anew meanwhile.
    """

    delivery: Delivery
    chat: Chat
    text: str
    choices: tuple[str, ...] = ()
    unprompted: bool = False
    withdrawn: bool = False


def pieces(spoken: Spoken, text_limit: int) -> tuple[Piece, ...]:
    """Cut a message into what the channel takes at once; the choices go with the last part.

    That part leaves room to list them, which is how they go where a channel can't show them otherwise.
    """
    room = message_parts.length(numbered("", spoken.choices)) if spoken.choices else 0
    spans = message_parts.parts(spoken.text, text_limit, room if room <= text_limit // 2 else 0)
    return tuple(
        Piece(
            seq=spoken.seq,
            part=part,
            start=span.start,
            end=span.end,
            choices=spoken.choices if part == len(spans) else (),
            unprompted=spoken.unprompted,
        )
        for part, span in enumerate(spans, start=1)
    )


def manner(
    rules: ChannelRules,
    *,
    heard_at: datetime,
    at: datetime,
    unprompted: bool,
    late: bool = False,
    withdrawn: bool = False,
) -> Manner:
    """Decide how a message may go.

    Args:
        heard_at: When the person last wrote.
        unprompted: Whether nobody waits for it: a reminder, the word at a session's expiry.
        late: Whether the platform has refused this message because the window has closed.
        withdrawn: Whether it was undone or written anew.
    """
    if withdrawn:
        return Manner.SKIP
    if rules.window is None:
        return Manner.FREELY
    if at < heard_at + rules.window and not late:
        return Manner.FREELY
    if rules.has_template:
        return Manner.BY_TEMPLATE
    return Manner.SKIP if unprompted else Manner.HOLD


def is_worth_a_retry(failure: ChannelFailure) -> bool:
    """Tell whether time may mend a failure. What an operator has to mend keeps until then."""
    match failure.problem:
        case (
            ChannelProblem.UNREACHABLE
            | ChannelProblem.UNCONFIRMED
            | ChannelProblem.SERVER
            | ChannelProblem.RATE_LIMIT
            | ChannelProblem.ACCOUNT
        ):
            return True
        case _:
            return False


# --- what happens to a delivery -----------------------------------------------------------------------------------


def still_unconfirmed(delivery: Delivery, rules: ChannelRules, at: datetime) -> timedelta | None:
    """Tell how much longer the platform may tell of itself that it has a message; None where it won't any more."""
    if delivery.status is not DeliveryStatus.SENDING or delivery.attempted_at is None:
        return None
    left = delivery.attempted_at + rules.confirms_within - at
    return left if left > timedelta(0) else None


def begun(delivery: Delivery, at: datetime, *, by_template: bool) -> Delivery:
    """Give it to the platform. An attempt whose end was never learnt has not been the last."""
    cut_off = delivery.status is DeliveryStatus.SENDING
    return delivery.model_copy(
        update={
            "status": DeliveryStatus.SENDING,
            "attempts": delivery.attempts + 1,
            "uncertain": delivery.uncertain + cut_off,
            "by_template": by_template,
            "problem": None,
            "detail": "",
            "attempted_at": at,
        }
    )


def accepted(delivery: Delivery, platform_id: str, at: datetime) -> Delivery:
    """The platform has it. Its receipts may have come before its answer."""
    known = delivery.model_copy(update={"platform_id": platform_id, "sent_at": delivery.sent_at or at})
    return known.model_copy(update={"status": DeliveryStatus.SENT}) if known.is_on_its_way else known


def put_off(delivery: Delivery, how: Manner) -> Delivery:
    """Hold or skip it, unless it is known meanwhile that the platform has it."""
    if not delivery.is_on_its_way:
        return delivery
    status = DeliveryStatus.HELD if how is Manner.HOLD else DeliveryStatus.SKIPPED
    return delivery.model_copy(update={"status": status})


def failed(delivery: Delivery, problem: ChannelProblem, detail: str, at: datetime, *, will_retry: bool) -> Delivery:
    """An attempt has failed."""
    if not delivery.is_on_its_way:
        return delivery
    told = delivery.model_copy(update={"problem": problem, "detail": detail})
    if problem is ChannelProblem.UNCONFIRMED and will_retry:
        return told
    if will_retry:
        return told.model_copy(update={"status": DeliveryStatus.WAITING})
    if problem is ChannelProblem.LATE and not delivery.by_template:
        return told.model_copy(update={"status": DeliveryStatus.WAITING, "late": True})
    return told.model_copy(update={"status": DeliveryStatus.FAILED, "failed_at": at})


def told(delivery: Delivery, receipt: Receipt) -> Delivery:
    """Take in a receipt; they come in any order, and more than once."""
    known = delivery.model_copy(update={"platform_id": receipt.platform_id, "sent_at": delivery.sent_at or receipt.at})
    match receipt.status:
        case "read":
            read = {"status": DeliveryStatus.READ, "read_at": known.read_at or receipt.at}
            return known.model_copy(update=read | {"delivered_at": known.delivered_at or receipt.at})
        case "delivered":
            delivered = known.model_copy(update={"delivered_at": known.delivered_at or receipt.at})
            if known.status is DeliveryStatus.READ:
                return delivered
            return delivered.model_copy(update={"status": DeliveryStatus.DELIVERED})
        case "sent":
            return known.model_copy(update={"status": DeliveryStatus.SENT}) if known.is_on_its_way else known
        case "failed":
            return _refused_later(delivery, receipt)
        case _:
            assert_never(receipt.status)


def _refused_later(delivery: Delivery, receipt: Receipt) -> Delivery:
    """The platform had taken it, and then could not deliver it. Of another attempt's failure nothing follows."""
    if delivery.platform_id not in {None, receipt.platform_id}:
        return delivery
    if delivery.status not in {DeliveryStatus.SENDING, DeliveryStatus.SENT}:
        return delivery
    under_way = delivery.model_copy(update={"status": DeliveryStatus.SENDING, "platform_id": receipt.platform_id})
    problem = receipt.problem or ChannelProblem.REFUSED
    after = failed(under_way, problem, receipt.detail, receipt.at, will_retry=False)
    return after if after.status is DeliveryStatus.FAILED else after.model_copy(update={"platform_id": None})
