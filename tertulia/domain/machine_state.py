"""Where a conversation stands, as one small value that a session carries along."""

from pydantic import JsonValue

from tertulia.domain.compact import Compact
from tertulia.domain.events import Ask


class MachineState(Compact):
    """Where a conversation stands.

    Attributes:
        state: One of the definition's states, or `error`.
        slots: What is known, as plain JSON.
        skipped: Slots that were asked for and are not asked for again.
        asking: The slot whose question is open.
        misses: Answers to the open question that were not understood, in a row.
        pending: What a provider has been asked, as long as its answer is awaited.
        came_from: In `error`, and only there: the state to return to.
        context: What the session was opened with, as far as the definition declares it.
        ended: Nothing more is expected.
    """

    state: str
    slots: dict[str, JsonValue] = {}
    skipped: tuple[str, ...] = ()
    asking: str | None = None
    misses: int = 0
    pending: Ask | None = None
    came_from: str | None = None
    context: dict[str, str] = {}
    ended: bool = False

    def lacks(self, slot: str) -> bool:
        """Tell whether a slot is still to be asked for."""
        return slot not in self.slots and slot not in self.skipped
