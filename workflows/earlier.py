"""What can be taken back: the states before the person's last turns, and the reply that a provider wrote last."""

from collections.abc import Sequence

from tertulia.domain.conversation import Payload
from tertulia.domain.events import Ask
from tertulia.domain.machine import MachineState

# Nobody goes further back; and what is carried from run to run in one payload is bounded at 2 MB.
_TURNS = 10
_CARRIED_CHARS = 200_000


class Earlier(Payload):
    """Where the conversation stood before a turn."""

    turn: int
    machine: MachineState


class FreeReply(Payload):
    """A reply that a provider wrote freely.

    Attributes:
        turn: The person's turn that it answers.
        shown_in: The turn in which it was shown: a later one where it was written anew.
    """

    turn: int
    shown_in: int
    ask: Ask


class EarlierStates:
    """The last ones, of which the latest is taken back first."""

    def __init__(self, kept: Sequence[Earlier] = ()) -> None:
        self._kept = list(kept)

    @property
    def last(self) -> Earlier | None:
        return self._kept[-1] if self._kept else None

    @property
    def carried(self) -> tuple[Earlier, ...]:
        """The latest of them, as far as there is room from run to run."""
        kept, room = list[Earlier](), _CARRIED_CHARS
        for earlier in reversed(self._kept):
            room -= len(earlier.model_dump_json())
            if room < 0:
                break
            kept.insert(0, earlier)
        return tuple(kept)

    def push(self, turn: int, machine: MachineState) -> None:
        self._kept = [*self._kept, Earlier(turn=turn, machine=machine)][-_TURNS:]

    def pop(self) -> None:
        self._kept.pop()

    def clear(self) -> None:
        self._kept.clear()
