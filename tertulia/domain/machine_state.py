"""Where a conversation stands, as one small value that a session carries along."""

from pydantic import JsonValue

from tertulia.domain.compact import Compact
from tertulia.domain.errands import Errand, Item
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
        errand: What a skill has had to be done, as long as its outcome is awaited.
        listed: What was listed last, so that a number can name it.
        came_from: In `error`, and only there: the state to return to.
        context: What the session was opened with, as far as the definition declares it.
        ended: Nothing more is expected.
        stale: Slots whose values no longer count, because something else has been corrected; they are asked anew.
        again: Slots that are asked next, whatever the state.
        together: The open question is for all the slots of the state at once.
        confirming: The interruption about which the person has been asked whether it is meant.
        language: In which the person is spoken to; empty: the definition's own.
        channel: On which; empty: no particular one.
    """

    state: str
    slots: dict[str, JsonValue] = {}
    skipped: tuple[str, ...] = ()
    asking: str | None = None
    misses: int = 0
    pending: Ask | None = None
    errand: Errand | None = None
    listed: tuple[Item, ...] = ()
    came_from: str | None = None
    context: dict[str, str] = {}
    ended: bool = False
    stale: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    together: bool = False
    confirming: str | None = None
    language: str = ""
    channel: str = ""

    def lacks(self, slot: str) -> bool:
        """Tell whether a slot is still to be asked for."""
        is_open = slot not in self.slots or slot in self.stale or slot in self.again
        return is_open and slot not in self.skipped

    @property
    def known(self) -> dict[str, JsonValue]:
        """What counts of what is known."""
        if not self.stale:
            return self.slots
        return {name: value for name, value in self.slots.items() if name not in self.stale}
