"""What clients get, where it is not a value of the domain as it stands."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from tertulia.domain.conversation import (
    Message,
    NextAction,
    Owner,
    Reply,
    SessionStatus,
    SessionView,
    TurnStatus,
)
from tertulia.domain.deliveries import Delivery, DeliveryStatus
from tertulia.domain.errors import ChannelProblem
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import Page, SessionRecord, TurnRecord

_OF_TURN = {"turn", "status", "state", "next_action", "provider", "owner"}


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class TurnReply(View):
    """The outcome of a message.

    Attributes:
        turn: Counted from 1.
        status: How the turn ended; after `failed` the same words may be sent again under a new id, and with
            `handed_over` a human will answer.
        reply: What the bot says.
        provider: Who answered; null where no provider was needed.
        owner: Who has the session after the turn: `bot` or `human`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session_id": "0197f3c2a1b4c8d2e6f00a1b2c3d4e5f",
                    "message_id": "m-1",
                    "turn": 1,
                    "status": "answered",
                    "reply": "Nice to meet you, Ada. Which e-mail address may we use?",
                    "state": "onboarding",
                    "next_action": {"kind": "answer", "slot": "email", "type": "email", "choices": []},
                    "provider": None,
                    "owner": "bot",
                }
            ]
        }
    )

    session_id: SessionId
    message_id: MessageId
    turn: int
    status: TurnStatus
    reply: str
    state: str
    next_action: NextAction
    provider: str | None
    owner: Owner = Owner.BOT

    @classmethod
    def of(cls, reply: Reply, session_id: SessionId, message_id: MessageId) -> "TurnReply":
        """View the outcome of a message; a duplicate's is that of the first."""
        return cls(
            session_id=session_id,
            message_id=message_id,
            reply=reply.text,
            **reply.model_dump(include=_OF_TURN),
        )


class OrderOutcome(View):
    """What came of an order of somebody in the loop, in a turn of its own.

    Attributes:
        request_id: The order's id.
        reply: What the bot says to the person; empty while a human has the session.
        owner: Who has the session now.
    """

    session_id: SessionId
    request_id: MessageId
    turn: int
    status: TurnStatus
    reply: str
    state: str
    next_action: NextAction
    provider: str | None
    owner: Owner

    @classmethod
    def of(cls, reply: Reply, session_id: SessionId, request_id: MessageId) -> "OrderOutcome":
        """View the outcome of an order; a repeated one's is that of the first."""
        return cls(
            session_id=session_id,
            request_id=request_id,
            reply=reply.text,
            **reply.model_dump(include=_OF_TURN),
        )


class Receipt(View):
    """Where a message stands that the session has durably taken.

    Attributes:
        status: `pending` while it waits for its turn, `running`, or how its turn ended; `refused` where the session
            ended before the message had its turn.
        turn: Null while it waits, and where it gets none.
        reply: Null until its turn has ended.
        resumes_at: When a provider is asked again, where the turn waits for one.
    """

    session_id: SessionId
    message_id: MessageId
    status: Literal["pending", "running", "refused"] | TurnStatus = "pending"
    turn: int | None = None
    reply: TurnReply | None = None
    resumes_at: datetime | None = None

    @classmethod
    def of(cls, turn: TurnRecord, message_id: MessageId) -> "Receipt":
        """View the turn of a message."""
        return cls(
            session_id=turn.session_id,
            message_id=message_id,
            status=turn.status,
            turn=turn.turn,
            reply=turn.reply and TurnReply.of(turn.reply, turn.session_id, message_id),
            resumes_at=turn.resumes_at if turn.status == "running" else None,
        )


class Messages(View):
    """A piece of a transcript, oldest first; `next` is the `after` of the piece behind it, null at the end."""

    messages: tuple[Message, ...]
    next: int | None = None


class DeliveryState(View):
    """What became of a part of a message on its messenger.

    Attributes:
        seq: The message in the transcript.
        part: From 1; a long message goes in several.
        attempts: How often it was given to the platform.
        maybe_twice: Whether the platform may have taken it more than once, since an attempt was cut off.
        by_template: Whether it went as the channel's template.
        problem: Why it did not arrive, or not yet.
        platform_id: The platform's name for it; of WhatsApp's a hash, as it holds the phone number.
    """

    seq: int
    part: int
    status: DeliveryStatus
    attempts: int
    maybe_twice: bool
    by_template: bool
    problem: ChannelProblem | None
    detail: str
    platform_id: str | None
    planned_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        told = {name: getattr(delivery, name) for name in cls.model_fields.keys() & Delivery.model_fields.keys()}
        return cls(seq=delivery.key.seq, part=delivery.key.part, maybe_twice=delivery.uncertain > 0, **told)


class Deliveries(View):
    """What became of a session's messages, in order; `next` is the `after` of the piece behind it, null at the end."""

    deliveries: tuple[DeliveryState, ...]
    next: int | None = None

    @classmethod
    def of(cls, found: Sequence[Delivery], messages: int) -> Self:
        """Show the deliveries of that many messages; those of one more say that there are more."""
        seqs = sorted({delivery.key.seq for delivery in found})
        shown = seqs[:messages]
        states = tuple(DeliveryState.of(delivery) for delivery in found if delivery.key.seq in shown)
        return cls(deliveries=states, next=shown[-1] if len(seqs) > messages else None)


class ExportFormat(StrEnum):
    """What a transcript is exported as."""

    JSON = "json"
    CSV = "csv"
    TXT = "txt"


class SessionSummary(View):
    """A session as lists show it: without what the person told."""

    model_config = ConfigDict(from_attributes=True)

    session_id: SessionId
    user_id: str
    channel: str
    role: str
    definition: str
    job_id: str | None
    state: str
    status: SessionStatus
    owner: Owner
    turn: int
    closed_reason: str | None
    created_at: datetime
    updated_at: datetime


class SessionList(View):
    """A page of sessions, newest first; `next` is the `cursor` of the page behind it, null at the end."""

    sessions: tuple[SessionSummary, ...]
    next: str | None = None

    @classmethod
    def of(cls, page: Page) -> "SessionList":
        """View a page of stored sessions."""
        return cls(sessions=tuple(SessionSummary.model_validate(found) for found in page.sessions), next=page.next)


class SessionDetail(SessionRecord):
    """A session as stored.

    Attributes:
        live: The running workflow's own view, where it was asked for and the session runs.
    """

    live: SessionView | None = None


class TurnCancelled(View):
    """Whether a turn was running, and so was stopped."""

    cancelled: bool


class DefinitionSummary(View):
    """An application on offer."""

    name: str
    title: str


class DefinitionList(View):
    """The applications on offer."""

    definitions: Sequence[DefinitionSummary]


class Readiness(View):
    """Every part that the API needs, and that it can be reached."""

    status: Literal["ready"] = "ready"
    parts: dict[str, Literal["ok"]]


class FieldProblem(View):
    """What is wrong with one field, such as `body.text`."""

    field: str
    problem: str


class Problem(View):
    """A refusal (RFC 9457).

    Attributes:
        type: Where the kind of problem is explained.
        code: The kind of problem, stable and machine-readable.
        errors: The fields that can't be used.
        allowed: The states that can be moved to instead, or what can be done instead.
        retry_after: When to try again, seconds.
        parts: What can be reached and what can't.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/session_closed",
                    "title": "The session has ended",
                    "status": 409,
                    "detail": "the session is closed",
                    "code": "session_closed",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldProblem, ...] | None = None
    allowed: tuple[str, ...] | None = None
    retry_after: int | None = None
    parts: dict[str, str] | None = None


class ProblemKind(View):
    """A kind of problem, explained."""

    code: str
    status: int
    title: str
    advice: str
