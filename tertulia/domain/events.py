"""What can happen to a conversation (events), and what the state machine wants done about it (effects)."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from tertulia.domain.conversation import Attachment, HandOverCause
from tertulia.domain.errands import Errand, Outcome
from tertulia.domain.errors import FailureClass
from tertulia.domain.slots import Reason


class Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Purpose(StrEnum):
    """Why a provider is asked."""

    UNDERSTAND = "understand"  # turn what the person wrote into a slot's value (JSON, not shown)
    REPLY = "reply"  # write what the person reads (streamed)
    CHOOSE = "choose"  # choose the skill that the person means (JSON, not shown)


class Ask(Value):
    """A question to a provider, by reference: the texts are rendered where the call is made.

    Attributes:
        state: The definition's state in which it is asked.
        slot: The slot to understand; None for a free reply.
        variables: Values for the placeholders of the prompt.
        reason: Where a skill is to be chosen: why the message is no answer to the open question; None where it is a
            question itself, or none is open.
    """

    purpose: Purpose
    state: str
    slot: str | None = None
    variables: dict[str, str] = {}
    reason: Reason | None = None


# --- events -------------------------------------------------------------------------------------------------------


class SessionStarted(Value):
    """The first event.

    Attributes:
        context: What the session is opened with. `language` chooses among the definition's languages.
        channel: On which the person writes.
    """

    kind: Literal["session_started"] = "session_started"
    context: dict[str, Any] = {}
    channel: str = ""


class PersonSaid(Value):
    """The person wrote something, or sent a file; then the text only says so."""

    kind: Literal["person_said"] = "person_said"
    text: str
    attachment: Attachment | None = None


class ProviderAnswered(Value):
    kind: Literal["provider_answered"] = "provider_answered"
    ask: Ask
    text: str


class ProvidersFailed(Value):
    """Nobody could answer: every provider in order was tried or passed over."""

    kind: Literal["providers_failed"] = "providers_failed"
    ask: Ask
    failures: tuple[FailureClass, ...] = ()


class ErrandDone(Value):
    kind: Literal["errand_done"] = "errand_done"
    errand: Errand
    outcome: Outcome


class ErrandFailed(Value):
    """What a skill wanted could not be done."""

    kind: Literal["errand_failed"] = "errand_failed"
    errand: Errand


class ReminderDue(Value):
    kind: Literal["reminder_due"] = "reminder_due"


class SessionExpired(Value):
    kind: Literal["session_expired"] = "session_expired"


class TransitionRequested(Value):
    kind: Literal["transition_requested"] = "transition_requested"
    state: str
    reason: str = ""


class Resumed(Value):
    """The machine has the conversation again, after a human had it or a turn was taken back.

    Attributes:
        state: Where to go on; None: where it stands, with the open question put again.
    """

    kind: Literal["resumed"] = "resumed"
    state: str | None = None


class ReplyWanted(Value):
    """A free reply is to be written anew."""

    kind: Literal["reply_wanted"] = "reply_wanted"
    ask: Ask


class SlotEdited(Value):
    """Somebody in the loop gives a slot a value; nothing happens where the slot can't take it."""

    kind: Literal["slot_edited"] = "slot_edited"
    slot: str
    value: JsonValue


Event = Annotated[
    SessionStarted
    | PersonSaid
    | ProviderAnswered
    | ProvidersFailed
    | ErrandDone
    | ErrandFailed
    | ReminderDue
    | SessionExpired
    | TransitionRequested
    | Resumed
    | ReplyWanted
    | SlotEdited,
    Field(discriminator="kind"),
]


# --- effects ------------------------------------------------------------------------------------------------------


class Say(Value):
    """Show this to the person."""

    kind: Literal["say"] = "say"
    text: str


class AskProvider(Value):
    """Ask the providers, then come back with ProviderAnswered or ProvidersFailed. At most one, and the last effect."""

    kind: Literal["ask_provider"] = "ask_provider"
    ask: Ask


class RunErrand(Value):
    """Do what a skill wants, then come back with ErrandDone or ErrandFailed. At most one, and the last effect."""

    kind: Literal["run_errand"] = "run_errand"
    errand: Errand


class RejectTransition(Value):
    """The requested transition is not in the definition; nothing has changed."""

    kind: Literal["reject_transition"] = "reject_transition"
    reason: str
    allowed: tuple[str, ...]


class HandOver(Value):
    """A human takes over; the machine answers nothing until the state is left."""

    kind: Literal["hand_over"] = "hand_over"
    reason: str
    cause: HandOverCause = HandOverCause.RULE


class EndSession(Value):
    """The conversation is over; the session closes after this turn."""

    kind: Literal["end_session"] = "end_session"
    reason: str


Effect = Annotated[
    Say | AskProvider | RunErrand | RejectTransition | HandOver | EndSession,
    Field(discriminator="kind"),
]
