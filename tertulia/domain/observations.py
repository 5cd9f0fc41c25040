"""What is noted of a conversation while it goes on, so that figures can be worked out of many of them later.

Nothing here says what a person wrote: a state, a slot, how an answer was taken, and how long it all took.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime

from tertulia.domain import machine
from tertulia.domain.conversation import Payload, TurnStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.machine import Observed
from tertulia.domain.machine_state import MachineState
from tertulia.domain.slots import Reason
from tertulia.domain.traversal import FINISHED


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


class TurnObserver:
    """Watches one turn; made for it, and dropped with it.

    Args:
        progress: How far the session had come before it.
        before: The machine's state before it.
    """

    def __init__(self, progress: Progress, before: MachineState) -> None:
        self._before = before
        self._progress = progress
        self._passages: list[Passage] = []
        self._misses: list[tuple[str, Reason]] = []

    def see(self, observed: Observed, at: datetime) -> None:
        """Note what followed from an event."""
        for _, target in observed.passages:
            self._pass_to(target, at)
        self._misses += observed.misses

    def end(
        self,
        definition: Definition,
        after: MachineState,
        *,
        status: TurnStatus,
        ends: str | None,
        handed_over: bool,
        arrived_at: datetime | None,
        answered: bool,
        at: datetime,
    ) -> tuple[TurnFigures, Progress]:
        """Work out what the turn adds, and how far the session has come with it.

        Args:
            ends: Why the session closes with it; None where it goes on.
            handed_over: Whether a human has had the session during the turn, or has it now.
            arrived_at: When the first message came that it answers; None where it answers none.
            answered: Whether the person was told something.
        """
        stays_in = after.came_from or after.state
        if stays_in != self._progress.state:
            # The way there is not known: what was done since has been undone, say.
            self._pass_to(stays_in, at)
        closing = () if ends is None else (Passage(at=at, source=stays_in, stayed_ms=self._stayed_ms(at)),)
        heard = arrived_at is not None and status is TurnStatus.ANSWERED
        slot, heard_as = self._heard(after) if heard else (None, None)
        figures = TurnFigures(
            response_ms=_ms(arrived_at, at) if arrived_at and answered else None,
            heard_slot=slot,
            heard_as=heard_as,
            passages=(*self._passages, *closing),
        )
        progress = {
            "standing": _standing(definition, after) if ends is None else self._last_standing(ends),
            "handed_over": self._progress.handed_over or handed_over,
        }
        return figures, self._progress.model_copy(update=progress)

    def _pass_to(self, target: str, at: datetime) -> None:
        progress = self._progress
        opening = progress.since is None
        first = target not in progress.visited
        self._passages.append(
            Passage(
                at=at,
                source=None if opening else progress.state,
                target=target,
                first=first,
                stayed_ms=None if opening else self._stayed_ms(at),
            )
        )
        visited = (*progress.visited, target) if first else progress.visited
        self._progress = progress.model_copy(update={"state": target, "since": at, "visited": visited})

    def _stayed_ms(self, at: datetime) -> int | None:
        return None if self._progress.since is None else _ms(self._progress.since, at)

    def _last_standing(self, ends: str) -> Standing:
        return Standing.COMPLETE if ends == FINISHED else self._progress.standing

    def _heard(self, after: MachineState) -> tuple[str, HeardAs] | tuple[None, None]:
        slot = self._before.asking
        if slot is None or self._before.confirming is not None:
            return None, None
        return slot, _heard_as(slot, after, [reason for missed, reason in self._misses if missed == slot])


def _heard_as(slot: str, after: MachineState, misses: Sequence[Reason]) -> HeardAs:
    if misses:
        return HeardAs.DECLINED if misses[-1] is Reason.DECLINED else HeardAs.NOT_UNDERSTOOD
    if not after.lacks(slot):
        return HeardAs.ANSWERED if slot in after.known else HeardAs.SKIPPED
    return HeardAs.ASKED_AGAIN if after.asking == slot else HeardAs.LEFT


def _standing(definition: Definition, state: MachineState) -> Standing:
    match machine.next_action(definition, state).kind:
        case "answer" | "retry":
            return Standing.ASKING
        case "talk":
            return Standing.TALKING
        case _:
            return Standing.COMPLETE


def _ms(since: datetime, until: datetime) -> int:
    # Clocks of servers differ, and the workflow's may have been set back.
    return max(0, round((until - since).total_seconds() * 1000))
