"""Reading JSON whose shape nobody vouches for: what is not of the wanted kind counts as empty."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# Nothing that we count or pay has more digits; a number that does could take minutes to convert.
_MAX_MAGNITUDE = 30


def parse(text: str | bytes) -> Any:
    """Parse JSON; None where it is none. Numbers with a fraction become Decimal, so that money stays exact."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """Return the value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def string(value: object) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> Decimal | None:
    """Return the value if it is a finite number, or a string that spells one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        parsed = Decimal(value)
    except ArithmeticError:
        return None
    return parsed if parsed.is_finite() and abs(parsed.adjusted()) <= _MAX_MAGNITUDE else None


def count(value: object) -> int:
    """Return the whole number of at least 0 that the value is or spells, else 0."""
    return max(0, int(number(value) or 0))


def written(value: Mapping[str, Any]) -> str:
    """Write an object as JSON again."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_number)


def _as_number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(value)
    return float(value)
