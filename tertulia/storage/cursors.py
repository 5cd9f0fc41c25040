"""Places in lists, as clients carry them from page to page."""

import base64
from datetime import UTC, datetime

from tertulia.domain.errors import InvalidInput


def encode(order: datetime | float, item: str) -> str:
    """Write the place behind an item: what the list is ordered by, then the item's id."""
    written = order.isoformat() if isinstance(order, datetime) else repr(order)
    return base64.urlsafe_b64encode(f"{written} {item}".encode()).decode()


def decode_time(cursor: str) -> tuple[datetime, str]:
    """Read a place in a list that is ordered by time.

    Raises:
        InvalidInput: The cursor is not one of ours.
    """
    try:
        written, item = _decode(cursor)
        return datetime.fromisoformat(written).astimezone(UTC), item
    except (ValueError, OverflowError):
        raise _not_ours() from None


def decode_number(cursor: str) -> tuple[float, str]:
    """Read a place in a list that is ordered by a number.

    Raises:
        InvalidInput: The cursor is not one of ours.
    """
    try:
        written, item = _decode(cursor)
        return float(written), item
    except ValueError:
        raise _not_ours() from None


def _decode(cursor: str) -> tuple[str, str]:
    written, _, item = base64.urlsafe_b64decode(cursor).decode().partition(" ")
    return written, item


def _not_ours() -> InvalidInput:
    return InvalidInput("is not one that a page of this list has given", field="cursor")
