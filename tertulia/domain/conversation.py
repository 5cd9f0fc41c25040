"""The contract of a session: what clients send, receive and query. Payloads are plain JSON in every language.

Fields are only added, with defaults; none is renamed or given another type.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from tertulia.domain.ids import DEFAULT_TENANT, DefinitionHash, DefinitionName, Identifier, MessageId, SessionId


class Payload(BaseModel):
    # An error about a payload names the field and the problem, never what somebody wrote.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    OPERATOR = "operator"
    SYSTEM = "system"


class Owner(StrEnum):
    BOT = "bot"
    HUMAN = "human"


class SessionStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class TurnStatus(StrEnum):
    """How a turn ended."""

    ANSWERED = "answered"
    FAILED = "failed"  # every provider failed; the person got the apology and may try again
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # a later message took its place (double-text policy `interrupt`)


class OpenSession(Payload):
    """Who talks, where, and with which application.

    Attributes:
        user_id: The caller's own name for the person; at most 128 characters.
        context: Values that the definition may use in prompts and slots.
    """

    definition: Identifier
    user_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    channel: Identifier = "api"
    channel_user_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    role: Identifier = "candidate"
    job_id: Identifier | None = None
    tenant: Identifier = DEFAULT_TENANT
    context: dict[str, Any] = {}


class IncomingMessage(Payload):
    """What a person wrote. Without a `message_id` the update's id counts, or a new one is made."""

    text: str
    message_id: Identifier | None = None


class NextAction(Payload):
    """What the session expects next.

    Attributes:
        kind: `answer` (a question is open), `talk` (anything goes), `retry` (the last turn failed), `none` (ended).
        slot: What the open question asks for.
        type: The slot's type, so that a client can offer a fitting input.
        choices: The answers that can be chosen, where there are such.
    """

    kind: Literal["answer", "talk", "retry", "none"]
    slot: str | None = None
    type: str | None = None
    choices: tuple[str, ...] = ()


class Reply(Payload):
    """The outcome of one turn.

    Attributes:
        turn: Counted from 1; turn 0 is the greeting.
        text: What the person reads; empty for a turn that was cancelled or interrupted.
        provider: Who answered; None where no provider was needed.
    """

    turn: int
    status: TurnStatus
    text: str
    state: str
    next_action: NextAction
    message_id: MessageId | None = None
    provider: str | None = None


class Message(Payload):
    """One line of the transcript; `seq` counts the session's messages from 1 without gaps."""

    seq: int
    turn: int
    role: Role
    text: str
    created_at: AwareDatetime
    message_id: MessageId | None = None


class Opened(Payload):
    """Answer to the update `open`."""

    session_id: SessionId
    state: str
    next_action: NextAction
    messages: tuple[Message, ...]


class RefusedSignal(Payload):
    """A signal that could not be used. Says why, never what was written."""

    name: str
    reason: str
    at: AwareDatetime


class RunningTurn(Payload):
    """The turn in progress.

    Attributes:
        provider: Who is being asked, or was asked last.
        waiting_until: When somebody is asked again; None where the turn does not wait for a provider.
    """

    turn: int
    provider: str | None = None
    waiting_until: datetime | None = None


class SessionView(Payload):
    """Answer to the query `state`."""

    session_id: SessionId
    definition: DefinitionName
    definition_hash: DefinitionHash
    state: str
    status: SessionStatus
    owner: Owner
    turn: int
    slots: dict[str, Any]
    next_action: NextAction
    waiting: int
    running: RunningTurn | None
    refused_signals: tuple[RefusedSignal, ...]
    last_activity_at: datetime
    reminder_at: datetime | None
    expires_at: datetime | None


class HistoryView(Payload):
    """Answer to the query `history`: the last messages, oldest first."""

    messages: tuple[Message, ...]


class Close(Payload):
    reason: str = Field(default="closed by request", max_length=500)


class CancelTurn(Payload):
    """Stop the running turn; nothing happens where none runs."""


class TransitionTo(Payload):
    state: Identifier
    reason: str = Field(default="", max_length=500)
