"""Watches a conversation while it goes on, and notes what figures are worked out of."""

from collections.abc import Sequence
from datetime import datetime

from tertulia.domain import machine
from tertulia.domain.conversation import TurnStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.figures import HeardAs, Passage, Progress, Standing, TurnFigures
from tertulia.domain.machine import Observed
from tertulia.domain.machine_state import MachineState
from tertulia.domain.slots import Reason
from tertulia.domain.traversal import FINISHED


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
