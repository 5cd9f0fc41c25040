"""What is kept of each turn and each session, so that figures can be worked out of many of them later.

Nothing here says what a person wrote: a state, a slot, how an answer was taken, and how long it all took.
"""

from enum import StrEnum

from pydantic import AwareDatetime

from tertulia.domain.conversation import Payload


class Standing(StrEnum):
    """What a conversation wants of the person. One that has closed keeps what it wanted before."""

    ASKING = "asking"  # a question is open, or the last turn failed
    TALKING = "talking"  # nothing in particular: anything may be said
    COMPLETE = "complete"  # nothing more


class HeardAs(StrEnum):
    """What became of a question to which the person said something."""

    ANSWERED = "answered"
    NOT_UNDERSTOOD = "not_understood"
    DECLINED = "declined"  # the person would rather not, but it can't be left out
    SKIPPED = "skipped"
    ASKED_AGAIN = "asked_again"  # something else came in between: a question, a correction, a call for help
    LEFT = "left"  # the conversation went elsewhere


class Passage(Payload):
    """A step from one state to another.

    Attributes:
        source: The state left; None at the opening.
        target: The state entered; None where the session closed instead.
        first: Whether the session had never been in the state entered.
        stayed_ms: How long it had been in the state left; None at the opening.
    """

    at: AwareDatetime
    source: str | None = None
    target: str | None = None
    first: bool = False
    stayed_ms: int | None = None


class TurnFigures(Payload):
    """What a turn adds to the figures.

    Attributes:
        response_ms: From the arrival of the turn's first message to the turn's end; None where nothing was answered.
        heard_slot: The slot whose question was open when the person said something; None where none was.
        heard_as: What became of that question.
    """

    response_ms: int | None = None
    heard_slot: str | None = None
    heard_as: HeardAs | None = None
    passages: tuple[Passage, ...] = ()


class Progress(Payload):
    """How far a session has come.

    Attributes:
        state: Where it stays. In `error` it stays where it was.
        since: When it came there; None before it has opened.
        visited: Where it has ever been.
        handed_over: Whether a human has ever had it.
    """

    standing: Standing = Standing.TALKING
    state: str | None = None
    since: AwareDatetime | None = None
    visited: tuple[str, ...] = ()
    handed_over: bool = False
