"""The contract of a session: what clients send, receive and query. Payloads are plain JSON in every language.

Fields are only added, with defaults; none is renamed or given another type.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

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
    HANDED_OVER = "handed_over"  # a human has the session and will read it; the bot says nothing


CANDIDATE = "candidate"
RECRUITER = "recruiter"


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
    role: Identifier = CANDIDATE
    job_id: Identifier | None = None
    tenant: Identifier = DEFAULT_TENANT
    context: dict[str, Any] = {}

    @property
    def applies(self) -> bool:
        """Whether the person applies for the job that the session is about."""
        return self.role == CANDIDATE and self.job_id is not None


class Attachment(Payload):
    """A file that a person has sent, by reference: the file and its text are in storage.

    Attributes:
        facts: What it says about the person, by the names of slots; those that are open yet are filled with it.
    """

    media_type: str = Field(max_length=100)
    size_bytes: int = Field(ge=0)
    facts: dict[Identifier, Annotated[str, StringConstraints(max_length=300)] | float] = Field({}, max_length=20)


class IncomingMessage(Payload):
    """What a person wrote. Without a `message_id` the update's id counts, or a new one is made."""

    text: str
    message_id: Identifier | None = None
    attachment: Attachment | None = None


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
        text: What the bot says; empty for a turn that was stopped, and while a human has the session.
        message_id: The message's id, or that of the order that the turn carries out.
        provider: Who answered; None where no provider was needed.
        owner: Who has the session after the turn.
    """

    turn: int
    status: TurnStatus
    text: str
    state: str
    next_action: NextAction
    message_id: MessageId | None = None
    provider: str | None = None
    owner: Owner = Owner.BOT


class Message(Payload):
    """One line of the transcript; `seq` counts the session's messages from 1 without gaps.

    Attributes:
        withdrawn_in: The turn that has undone it, or written it anew; None where it counts.
    """

    seq: int
    turn: int
    role: Role
    text: str
    created_at: AwareDatetime
    message_id: MessageId | None = None
    withdrawn_in: int | None = None


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


class HandOverCause(StrEnum):
    """Who wanted a human."""

    RULE = "rule"  # the definition's state
    PERSON = "person"
    OPERATOR = "operator"


class HandOverContext(Payload):
    """What a human who takes over has to know; the words themselves are in the transcript.

    Attributes:
        operator: Who took over, where an operator did.
        turn: The turn with which the human got the session.
        asking: The slot whose question is open.
        messages_after: The last messages are those behind this `seq`.
    """

    reason: str
    cause: HandOverCause
    operator: str = ""
    at: AwareDatetime
    turn: int
    state: str
    slots: dict[str, Any] = {}
    asking: str | None = None
    still_to_ask: tuple[str, ...] = ()
    messages_after: int = 0


class SessionView(Payload):
    """Answer to the query `state`.

    Attributes:
        hand_over: What a human has to know, as long as one has the session.
    """

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
    hand_over: HandOverContext | None = None


class HistoryView(Payload):
    """Answer to the query `history`: the last messages, oldest first."""

    messages: tuple[Message, ...]


class Close(Payload):
    reason: str = Field(default="closed by request", max_length=500)


class CancelTurn(Payload):
    """Stop the running turn; nothing happens where none runs."""


class Action(StrEnum):
    """What people in the loop may do with a session."""

    TRANSITION = "transition"
    HAND_OVER = "hand_over"
    TAKE_BACK = "take_back"
    OPERATOR_MESSAGE = "operator_message"
    UNDO = "undo"
    REGENERATE = "regenerate"
    EDIT_SLOT = "edit_slot"


class Order(Payload):
    """What a person in the loop asks for. Each gets a turn of its own, after the one that runs.

    Attributes:
        request_id: Chosen by the client: an order that is repeated under it gets its first outcome.
        operator: Who asks, by the caller's own name.
    """

    action: ClassVar[Action]

    request_id: Identifier | None = None
    operator: Annotated[str, StringConstraints(max_length=128)] = ""


class TransitionTo(Order):
    """Move the session along a transition of its definition."""

    action = Action.TRANSITION

    state: Identifier
    reason: str = Field(default="", max_length=500)


class HandOverToHuman(Order):
    """Let a human have the session: from then on the bot is silent, and its timers stand still."""

    action = Action.HAND_OVER

    reason: str = Field(default="an operator has taken over", min_length=1, max_length=500)


class TakeBack(Order):
    """Let the bot have the session again.

    Attributes:
        state: Where to go on; left out, where the session stands.
    """

    action = Action.TAKE_BACK

    state: Identifier | None = None
    reason: str = Field(default="", max_length=500)


class OperatorMessage(Order):
    """Say something to the person, as the human who has the session."""

    action = Action.OPERATOR_MESSAGE

    text: str
    request_id: Identifier | None = Field(default=None, validation_alias=AliasChoices("request_id", "message_id"))


class Undo(Order):
    """Go back to before the person's last turn; what was said since then does not count any more."""

    action = Action.UNDO


class Regenerate(Order):
    """Have the last free reply written anew, in the place of the one that was shown."""

    action = Action.REGENERATE


class EditSlot(Order):
    """Give a slot a value. It is held to the slot's own rules, and what depends on it is asked anew."""

    action = Action.EDIT_SLOT

    slot: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    value: JsonValue


ORDERS: dict[str, type[Order]] = {
    str(kind.action): kind
    for kind in (TransitionTo, HandOverToHuman, TakeBack, OperatorMessage, Undo, Regenerate, EditSlot)
}


class Intervention(Payload):
    """What somebody in the loop did in a turn, as it is kept with the turn's evidence.

    Attributes:
        cause: Who wanted a human, where one got the session.
        slot: Which slot was edited.
        since: The first of the turns that were undone, or the turn whose reply was written anew.
    """

    action: Action
    request_id: MessageId | None = None
    operator: str = ""
    reason: str = ""
    cause: HandOverCause | None = None
    slot: str | None = None
    since: int | None = None
