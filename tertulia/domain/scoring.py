"""How well the answers fit: a weighted score, and whether every must-have is there.

The score is 100 x the sum of weight x worth over the sum of weights, so it lies in [0, 100] whatever is answered.
What an answer is worth lies in [0, 1]:

    number, money, date   on the line from `worst` (0) to `best` (1), no less and no more beyond its ends;
                          dates count in days from the day of scoring
    yes or no             1 for the expected answer
    choice                as `worth` lists it; of several chosen, the best one
    anything else         1

A question without an answer is worth nothing and keeps its weight. Must-haves stand beside the score: one fails where
the answer is missing, does not pass the slot's own rules, or is out of bounds: beyond `worst`, or worth nothing.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from pydantic import JsonValue

from tertulia.domain.slots import Criterion, Slot, Understood, accept

SCORE = "score"
MUST_HAVE_FAILED = "must_have_failed"


class Score(NamedTuple):
    """The result.

    Attributes:
        total: In [0, 100], one decimal; 100 where nothing has a weight.
        failed: The must-haves that are not met.
    """

    total: float
    failed: tuple[str, ...]


def score(slots: Mapping[str, Slot], answers: Mapping[str, JsonValue], now: datetime) -> Score:
    """Score answers against the criteria of their slots.

    Args:
        now: The time of scoring, aware.
    """
    weighed = {name: slot.score for name, slot in slots.items() if slot.score is not None}
    valid = {name: value for name in weighed if (value := _valid(slots[name], answers.get(name), now)) is not None}
    weights = sum(criterion.weight for criterion in weighed.values())
    earned = sum(criterion.weight * _worth(criterion, valid.get(name), now) for name, criterion in weighed.items())
    return Score(
        total=round(100 * earned / weights, 1) if weights else 100.0,
        failed=tuple(
            sorted(
                name
                for name, criterion in weighed.items()
                if criterion.must_have and not _met(criterion, valid.get(name), now)
            )
        ),
    )


def _valid(slot: Slot, value: JsonValue, now: datetime) -> JsonValue:
    """Return the answer if the slot's own rules let it pass. Documents and dates are kept in a form of their own."""
    if slot.type in ("document", "date"):
        return value
    outcome = accept(slot, value, now)
    return outcome.value if isinstance(outcome, Understood) else None


def _worth(criterion: Criterion, value: JsonValue, now: datetime) -> float:
    match value:
        case None:
            return 0.0
        case bool():
            return float(value is criterion.expected)
        case list():
            return max((_worth(criterion, item, now) for item in value), default=0.0)
        case str() if criterion.worth:
            return criterion.worth.get(value, 0.0)
    if criterion.best is None or criterion.worst is None:
        return 1.0
    measure = _measure(value, now)
    if measure is None:
        return 0.0
    return min(1.0, max(0.0, (measure - criterion.worst) / (criterion.best - criterion.worst)))


def _measure(value: JsonValue, now: datetime) -> float | None:
    match value:
        case int() | float():
            return float(value)
        case str():
            try:
                return float((date.fromisoformat(value) - now.astimezone(UTC).date()).days)
            except ValueError:
                return None
        case _:
            return None


def _met(criterion: Criterion, value: JsonValue, now: datetime) -> bool:
    if _worth(criterion, value, now) > 0:
        return True
    # Exactly at the worst that is still good enough: worth nothing, but not out of bounds.
    return (
        value is not None
        and not isinstance(value, bool)
        and criterion.worst is not None
        and _measure(value, now) == criterion.worst
    )
