"""How the tests of slots are told: what is said, and what is kept or why not."""

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from tertulia.domain.slots import NotUnderstood, Reason, Slot, Understood, understand

# A Tuesday.
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)

_SLOT: TypeAdapter[Slot] = TypeAdapter(Slot)


def slot(kind: str, **given: Any) -> Slot:
    """Make a slot of a kind."""
    return _SLOT.validate_python({"type": kind, "ask": "?", **given})


def read(of: Slot, text: str) -> Any:
    """Return the value, or the reason why there is none."""
    outcome = understand(of, text, NOW)
    match outcome:
        case Understood():
            assert not isinstance(outcome.value, Reason)
            return outcome.value
        case NotUnderstood():
            return outcome.reason
