"""How many sessions and turns there have been, since they are counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Where one bucket of turns ends and the next one begins: from a turn that asks nobody to one that waits for providers.
TURN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class EndedTurns:
    """Turns that were made by the same and have ended alike.

    Attributes:
        made_by: `person`, `intervention` (of an operator), or `engine`: greetings, reminders, ends.
        status: How they have ended.
        buckets: How many took how long: below the first of `TURN_SECONDS`, from there to the next one, and so on; the
            last are those above all of them.
        seconds: All of them together.
    """

    made_by: str
    status: str
    buckets: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Tallied:
    """What has been counted over all processes; it only ever goes up.

    Attributes:
        begun: Turns, by what has made them.
    """

    opened: int
    closed: int
    begun: Mapping[str, int]
    ended: Sequence[EndedTurns]
