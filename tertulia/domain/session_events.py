"""What becomes known of a session, in order, and the ids by which a reader goes on where it was cut off.

A session is told in events. The durable ones are facts of storage (a turn has begun, waits, has ended; a message; the
session's end) and have numbers that rise. Between them the text of the running turn's answer is shown while it is
written: it may get lost, and an answer may be given up for another one, but the message that follows has it whole.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias, assert_never

from tertulia.domain.conversation import Message, NextAction, Owner, Payload, Reply, TurnStatus
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import MessageId
from tertulia.domain.turns import Delta, TurnWaits

_ID = re.compile(r"(\d{1,18})(?::(\d{1,9})\.(\d{1,9}))?", re.ASCII)

# With a human, a turn has nothing to say.
_COMPLETED = (TurnStatus.ANSWERED, TurnStatus.HANDED_OVER)


@dataclass(frozen=True, slots=True)
class EventId:
    """How far a reader has come: `number`, or `number:attempt.length` while an answer is written.

    Attributes:
        number: Of the last durable event; 0 before the first one.
        attempt: Whose text is shown, in the turn that runs; 0 where none has been shown yet.
        length: How much of that text the reader has had, in characters.
    """

    number: int = 0
    attempt: int = 0
    length: int = 0

    def __str__(self) -> str:
        return f"{self.number}:{self.attempt}.{self.length}" if self.attempt else str(self.number)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id.

        Raises:
            InvalidInput: It is none.
        """
        found = _ID.fullmatch(text)
        if found is None:
            raise InvalidInput("is not an id of an event", field="last-event-id")
        return cls(*(int(part or 0) for part in found.groups()))


BEGINNING = EventId()


class TurnStarted(Payload):
    """A turn has begun. Whatever was told of this turn before is void."""

    turn: int
    message_ids: tuple[MessageId, ...]


class TurnSuperseded(Payload):
    """The text shown so far is of an attempt that failed; throw it away."""

    turn: int
    attempt: int


class TurnEnded(Payload):
    """A turn has ended, and so has the text that was shown of it.

    Attributes:
        message_ids: The person's messages that it answers; none for a greeting, a reminder or a step of an operator.
        reply: What the person reads; empty where the turn was stopped.
        provider: Who answered; None where no provider was needed.
        owner: Who has the session after the turn.
        seq: The transcript's last message by now: no later one stands.
        withdrawn: By their `seq`, the messages that the turn has undone or written anew: they count no more.
    """

    turn: int
    status: TurnStatus
    message_ids: tuple[MessageId, ...]
    reply: str
    state: str
    next_action: NextAction
    provider: str | None
    owner: Owner
    seq: int
    withdrawn: tuple[int, ...] = ()

    @classmethod
    def of(cls, reply: Reply, message_ids: tuple[MessageId, ...], seq: int, withdrawn: tuple[int, ...] = ()) -> Self:
        """Tell the outcome of a turn."""
        return cls(
            message_ids=message_ids,
            reply=reply.text,
            seq=seq,
            withdrawn=withdrawn,
            **reply.model_dump(include={"turn", "status", "state", "next_action", "provider", "owner"}),
        )


class SessionEnded(Payload):
    """The session has ended; nothing comes behind this."""

    state: str
    reason: str | None


SessionEvent: TypeAlias = TurnStarted | TurnWaits | Delta | TurnSuperseded | Message | TurnEnded | SessionEnded


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the id behind which a reader goes on that has had it."""

    id: EventId
    event: SessionEvent


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reader shows that has had some events, from the session's beginning.

    Attributes:
        messages: The transcript.
        writing: The answer of the running turn, as far as it has been shown.
        ended: Whether the session has ended.
    """

    messages: tuple[Message, ...] = ()
    writing: str = ""
    ended: bool = False

    def after(self, event: SessionEvent) -> Self:
        """Return what is shown after one more event."""
        match event:
            case Delta():
                # What was lost on the way stays away; the message has the whole text.
                return replace(self, writing=self.writing[: event.offset] + event.text)
            case TurnStarted():
                return replace(self, messages=_before(event.turn, self.messages), writing="")
            case TurnSuperseded():
                return replace(self, writing="")
            case TurnWaits():
                return self
            case Message():
                earlier = (message for message in self.messages if message.seq < event.seq)
                return replace(self, messages=(*earlier, event))
            case TurnEnded():
                return replace(self, messages=_at_the_end(event, self.messages), writing="")
            case SessionEnded():
                return replace(self, ended=True)
            case _:
                assert_never(event)


def _before(turn: int, messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(_counting_again(turn, message) for message in messages if message.turn < turn)


def _at_the_end(ended: TurnEnded, messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(
        message.model_copy(update={"withdrawn_in": ended.turn})
        if message.seq in ended.withdrawn
        else _counting_again(ended.turn, message)
        for message in messages
        if message.seq <= ended.seq
    )


def _counting_again(turn: int, message: Message) -> Message:
    """Forget what a turn has withdrawn that is taken anew."""
    if message.withdrawn_in is None or message.withdrawn_in < turn:
        return message
    return message.model_copy(update={"withdrawn_in": None})


def name(event: SessionEvent) -> str:
    """Name an event as readers know it."""
    match event:
        case TurnStarted():
            return "turn.started"
        case TurnWaits():
            return "turn.waiting"
        case Delta():
            return "text.delta"
        case TurnSuperseded():
            return "turn.superseded"
        case Message():
            return "message"
        case TurnEnded():
            return "turn.completed" if event.status in _COMPLETED else "turn.failed"
        case SessionEnded():
            return "session.closed"
        case _:
            assert_never(event)


def of_piece(piece: Delta, place: EventId) -> list[Told]:
    """Tell a piece of text to a reader who has come so far; a later attempt's supersedes what was shown before."""
    told = []
    if 0 < place.attempt < piece.attempt:
        given_up = TurnSuperseded(turn=piece.turn, attempt=place.attempt)
        told.append(Told(replace(place, attempt=piece.attempt, length=0), given_up))
    told.append(Told(replace(place, attempt=piece.attempt, length=piece.offset + len(piece.text)), piece))
    return told


def of_fact(number: int, fact: SessionEvent, place: EventId) -> Told:
    """Tell a durable event to a reader who has come so far; the text shown goes on behind a turn's wait."""
    return Told(replace(place, number=number) if isinstance(fact, TurnWaits) else EventId(number), fact)
