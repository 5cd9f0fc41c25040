"""How long a provider asks us to wait: every place where one of them puts it, most precise first."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from tertulia.providers.untrusted import items, mapping, number, string

MAX_WAIT = timedelta(hours=24)

# Where it is midnight when Gemini's daily quotas begin anew.
_GEMINI_ZONE = "America/Los_Angeles"

# Beyond this it is no wait but something else in the wrong place.
ABSURD_S = timedelta(days=366).total_seconds()

# Numbers this large are moments, not durations: seconds or milliseconds since 1970.
_EPOCH_S = 1e9
_EPOCH_MS = 1e11

_UNIT_S = {
    **dict.fromkeys(("milliseconds", "millisecond", "ms"), 0.001),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86400.0),
}
_AMOUNT = rf"(\d+(?:\.\d+)?)\s?({'|'.join(_UNIT_S)})(?![a-z])\s?"
_PART = re.compile(_AMOUNT, re.IGNORECASE)
_DURATION = re.compile(f"(?:{_AMOUNT})+", re.IGNORECASE)
_ADVICE = re.compile(rf"(?:try again|retry) (?:in|after) ((?:{_AMOUNT})+)", re.IGNORECASE)


def retry_hint(headers: Mapping[str, str], error: Mapping[str, Any], now: datetime) -> timedelta | None:
    """Find out how long a failed call asks us to wait.

    Args:
        headers: The response's, names in any case.
        error: The error object of its body; empty where there is none.
        now: Time of the response, UTC.

    Returns:
        The wait, at most 24 h; None where nothing sensible is said.
    """
    for wait in _hints(_lower(headers), error, now):
        if wait is not None and 0 <= wait < ABSURD_S:
            return min(timedelta(seconds=wait), MAX_WAIT)
    return None


def wait_s(value: object, now: datetime) -> float | None:
    """Read a wait in whatever form: seconds, `2m59.56s`, an HTTP date, an RFC 3339 time, an epoch.

    Returns:
        Seconds, below 0 for a moment that has passed; None where it is no wait.
    """
    amount = number(value)
    if amount is not None:
        return _wait(float(amount), now)
    text = string(value).strip()
    if _DURATION.fullmatch(text):
        return _duration(text)
    moment = _moment(text)
    return None if moment is None else (moment - now).total_seconds()


def _hints(headers: Mapping[str, object], error: Mapping[str, Any], now: datetime) -> Iterator[float | None]:
    metadata = mapping(error.get("metadata"))
    yield _milliseconds(headers.get("retry-after-ms"))
    yield wait_s(headers.get("retry-after"), now)
    yield wait_s(mapping(error.get("availability")).get("retry_after"), now)
    details = [mapping(detail) for detail in items(error.get("details"))]
    # Such a failure names a short delay as well, after which it only comes again.
    yield _next_day(details, now)
    yield from (wait_s(detail.get("retryDelay"), now) for detail in details)
    yield _exhausted(headers, now)
    yield _exhausted(_lower(mapping(metadata.get("headers"))), now)
    yield wait_s(metadata.get("resets_at"), now)
    yield _advice(error.get("message"))


def _exhausted(headers: Mapping[str, object], now: datetime) -> float | None:
    """Read when the last of the exhausted limits is reset; a header for what remains has one for its reset."""
    waits = [
        wait_s(headers.get(name.replace("remaining", "reset")), now)
        for name, remaining in headers.items()
        if "ratelimit" in name and "remaining" in name and number(remaining) == 0
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _next_day(details: Iterable[Mapping[str, Any]], now: datetime) -> float | None:
    """Read how long it is until a daily quota that is used up begins anew."""
    violations = [mapping(violation) for detail in details for violation in items(detail.get("violations"))]
    if not any("PerDay" in string(violation.get("quotaId")) for violation in violations):
        return None
    zone = ZoneInfo(_GEMINI_ZONE)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time.min, zone) - now).total_seconds()


def _wait(seconds: float, now: datetime) -> float:
    if seconds > _EPOCH_MS:
        return seconds / 1000 - now.timestamp()
    return seconds - now.timestamp() if seconds > _EPOCH_S else seconds


def _milliseconds(value: object) -> float | None:
    amount = number(value)
    return None if amount is None else float(amount) / 1000


def _advice(message: object) -> float | None:
    found = _ADVICE.search(string(message))
    return _duration(found[1]) if found else None


def _duration(text: str) -> float:
    return sum(float(amount) * _UNIT_S[unit.lower()] for amount, unit in _PART.findall(text))


def _moment(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _lower(headers: Mapping[str, object]) -> Mapping[str, object]:
    return {name.lower(): value for name, value in headers.items()}
