"""Times from which and to which something is counted, as clients give them."""

import re
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from tertulia.api.inputs import Given
from tertulia.domain.errors import InvalidInput

_LONGEST_WINDOW = timedelta(days=366)
# Safe from the ends of the calendar, whatever is added or taken away.
_YEARS = range(2000, 2200)
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_iso_8601_span = TypeAdapter(timedelta)


def _span(text: object) -> timedelta:
    span = _read_span(text) if isinstance(text, str) else None
    if span is None or not timedelta(0) < span <= _LONGEST_WINDOW:
        raise PydanticCustomError("span", "must be a span of at most 366 days, such as 15m, 1h, 7d or PT15M")
    return span


def _read_span(text: str) -> timedelta | None:
    if short := _SPAN.fullmatch(text):
        return timedelta(**{_UNITS[short[2]]: int(short[1])})
    try:
        return _iso_8601_span.validate_python(text) if text.startswith("P") else None
    except ValidationError:
        return None


def _moment(text: object) -> datetime | timedelta:
    moment = _read_moment(text) if isinstance(text, str) else None
    if moment is None:
        raise PydanticCustomError(
            "moment", "must be a day, a time in ISO 8601 with its offset, or how long ago: 15m, 1h, 7d"
        )
    return moment


def _read_moment(text: str) -> datetime | timedelta | None:
    if (span := _read_span(text)) is not None:
        return span if timedelta(0) < span <= _LONGEST_WINDOW else None
    if _DAY.fullmatch(text):
        text = f"{text}T00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year in _YEARS else None


Span = Annotated[timedelta, BeforeValidator(_span, json_schema_input_type=str)]
Moment = Annotated[datetime | timedelta, BeforeValidator(_moment, json_schema_input_type=str)]


class Window(Given):
    """What is counted: what happened from `since` to before `until`, or within `window` before it."""

    default_window: ClassVar[timedelta] = timedelta(hours=1)

    window: Span | None = Field(None, description="15m, 1h, 7d or PT15M; an hour by default", examples=["1h"])
    since: Moment | None = Field(
        None, description="A day (UTC), ISO 8601 with its offset, or how long ago", examples=["7d"]
    )
    until: Moment | None = Field(None, description="The same; now by default")

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Return from when until when.

        Raises:
            InvalidInput: There is no such window.
        """
        if self.window is not None and self.since is not None:
            raise InvalidInput("give either this or since", field="query.window")
        until = _at(self.until, now) if self.until is not None else now
        since = _at(self.since, now) if self.since is not None else until - (self.window or self.default_window)
        if not timedelta(0) < until - since <= _LONGEST_WINDOW:
            raise InvalidInput("must lie before until, by at most 366 days", field="query.since")
        return since, until


def _at(moment: datetime | timedelta, now: datetime) -> datetime:
    return now - moment if isinstance(moment, timedelta) else moment
