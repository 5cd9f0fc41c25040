"""Days as people write them, relative to a `now` that is given: nothing here reads a clock or a locale."""

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from typing import Literal

from dateparser.date import DateDataParser

from tertulia.domain.slots.kinds import DateSlot
from tertulia.domain.slots.numbers import LENGTHS, Amount, amounts
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood
from tertulia.domain.slots.phrases import plain

_MONTHS = {name[:3].lower(): number for number, name in enumerate(calendar.month_name) if name}
_WEEKDAYS = {name[:3].lower(): number for number, name in enumerate(calendar.day_name)}
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,? ?(?P<year>20\d\d)\b)?"
_PART = r"(?P<part>beginning|start|early|mid(?:dle)?|end|late)(?:[ -]of)?[ -](?:the )?"
_WEEKDAY = r"(?P<weekday>mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|satur|sun)(?:day)?\b"

_ISO = re.compile(r"(?<!\d)(20\d\d)-(\d{1,2})-(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?!\d)")
_DAY_MONTH = re.compile(rf"(?<![\d.,]){_DAY}(?: day)?(?: of)? {_MONTH}{_YEAR}")
_MONTH_DAY = re.compile(rf"\b{_MONTH} (?:the )?{_DAY}(?!\d){_YEAR}")
_PART_OF_MONTH = re.compile(rf"\b{_PART}(?:{_MONTH}{_YEAR}|(?P<which>this|next) month)")
_ONLY_MONTH = re.compile(
    rf"(?:^|\b(?:in|by|from|around|about|next|this|as of) ){_MONTH}(?! (?:be|start|not))(?:,? (?P<year>20\d\d)\b)?"
)
_NEXT_PERIOD = re.compile(r"\b(?:next|coming|following) (?P<period>week|month|year)\b")
_NAMED_WEEKDAY = re.compile(rf"(?:^|\b(?:on|next|this|coming|following|from|by) )(?:(?:next|this|coming) )?{_WEEKDAY}")
_AT_ONCE = re.compile(
    r"\b(?:immediately|as soon as possible|asap|right (?:away|now)|straight ?away|at once|today|any ?time|now)\b"
)
_NEGATION = re.compile(r"\b(?:not|cannot|never)\b(?! (?:before|until|earlier))|n't\b")
_TOMORROW = re.compile(r"\b(?P<after>(?:the )?day after )?tomorrow\b")
_AGO = re.compile(r"\s*ago\b")
_YESTERDAY = re.compile(r"\b(?P<before>(?:the )?day before )?yesterday\b|\blast night\b")
_LAST_WEEKDAY = re.compile(rf"\b(?:last|since) {_WEEKDAY}")
_THIS_DAY = re.compile(r"\bthis (?:morning|afternoon|evening)\b")
_LED = re.compile(r"\b(?:in|after|within)(?: about| around| roughly)? $")
_TAILED = re.compile(r"\s*(?:'?s?'? (?:time|notice)|from (?:now|today)|later|notice)\b")
_APPROXIMATELY = re.compile(r"(?:about|around|roughly|maybe|probably|approximately|ca\.?) ")
_ONLY_NUMBER = re.compile(r"[\d\W_]{0,6}")

_LONGEST = 60
_MOST_UNITS = 600
_FURTHEST = timedelta(days=365 * 50)
_PART_DAYS = {"b": 1, "s": 1, "e": 1, "m": 15, "l": 25}


def understand_date(slot: DateSlot, text: str, now: datetime, language: str) -> Outcome:
    """Read the one day that a text names.

    Args:
        now: What "in two weeks" counts from, aware.
        language: Of the text; English is read by rules, others by dateparser.
    """
    today = now.astimezone(UTC).date()
    said = plain(text)
    if _NEGATION.search(said):
        return NotUnderstood(Reason.UNCLEAR)
    found = _days(said, today, slot, language)
    if len(found) > 1 or _is_of_unclear_order(said, slot):
        return NotUnderstood(Reason.AMBIGUOUS)
    return _in_bounds(found.pop(), slot, today) if found else NotUnderstood(Reason.UNCLEAR)


def _days(text: str, today: date, slot: DateSlot, language: str) -> set[date]:
    """Take the days that the first rule to find any has found."""
    for rule in _ENGLISH_RULES if language == "en" else _RULES:
        if found := {day for day in rule(text, today, slot) if day}:
            return found
    day = _by_dateparser(text, today, slot, language)
    return {day} if day else set()


def _is_of_unclear_order(text: str, slot: DateSlot) -> bool:
    match = _NUMERIC.search(text) if slot.order is None else None
    return match is not None and match[1] != match[2] and int(match[1]) <= 12 and int(match[2]) <= 12


def _in_bounds(day: date, slot: DateSlot, today: date) -> Outcome:
    if abs(day - today) > _FURTHEST:
        return NotUnderstood(Reason.TOO_LATE if day > today else Reason.TOO_EARLY)
    if slot.not_before and day < _bound(slot.not_before, today):
        return NotUnderstood(Reason.TOO_EARLY)
    if slot.not_after and day > _bound(slot.not_after, today):
        return NotUnderstood(Reason.TOO_LATE)
    return Understood(day.isoformat())


def _bound(bound: date | Literal["today"], today: date) -> date:
    return today if bound == "today" else bound


def _iso(text: str, _today: date, _slot: DateSlot) -> Iterator[date | None]:
    for match in _ISO.finditer(text):
        yield _day(int(match[1]), int(match[2]), int(match[3]))


def _numeric(text: str, _today: date, slot: DateSlot) -> Iterator[date | None]:
    for match in _NUMERIC.finditer(text):
        first, second, year = (int(part) for part in match.groups())
        month_first = slot.order == "MDY" or (slot.order is None and second > 12)
        month, day = (first, second) if month_first else (second, first)
        yield _day(year if year > 99 else 2000 + year, month, day)


def _day_and_month(text: str, today: date, slot: DateSlot) -> Iterator[date | None]:
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        for match in pattern.finditer(text):
            yield _in_month(match["month"], match["year"], int(match["day"]), today, slot)


def _part_of_month(text: str, today: date, slot: DateSlot) -> Iterator[date | None]:
    for match in _PART_OF_MONTH.finditer(text):
        if match["month"]:
            start = _in_month(match["month"], match["year"], 1, today, slot)
        else:
            start = today.replace(day=1) if match["which"] == "this" else _months_later(today, 1).replace(day=1)
        if start:
            yield (
                start.replace(day=calendar.monthrange(start.year, start.month)[1])
                if match["part"] == "end"
                else start.replace(day=_PART_DAYS[match["part"][0]])
            )


def _only_month(text: str, today: date, slot: DateSlot) -> Iterator[date | None]:
    for match in _ONLY_MONTH.finditer(text):
        yield _in_month(match["month"], match["year"], 1, today, slot)


def _distance(text: str, today: date, _slot: DateSlot) -> Iterator[date | None]:
    for amount in amounts(text):
        if amount.unit and 0 <= amount.value <= _MOST_UNITS and _is_distance(text, amount):
            yield _later(today, amount.value, amount.unit)


def _is_distance(text: str, amount: Amount) -> bool:
    """Tell whether a duration leads to a day: "in 2 weeks", "2 weeks from now", or nothing but "2 weeks"."""
    if _LED.search(text, 0, amount.start) or _TAILED.match(text, amount.end):
        return True
    return _APPROXIMATELY.sub("", text) == text[amount.start : amount.end]


def _named(text: str, today: date, _slot: DateSlot) -> Iterator[date | None]:
    for match in _TOMORROW.finditer(text):
        yield today + timedelta(days=2 if match["after"] else 1)
    for match in _NEXT_PERIOD.finditer(text):
        yield _later(today, 1, match["period"] + "s")
    for match in _NAMED_WEEKDAY.finditer(text):
        yield today + timedelta(days=(_WEEKDAYS[match["weekday"][:3]] - today.weekday() - 1) % 7 + 1)


def _at_once(text: str, today: date, _slot: DateSlot) -> Iterator[date | None]:
    if _AT_ONCE.search(text):
        yield today


def _looking_back(text: str, today: date, _slot: DateSlot) -> Iterator[date | None]:
    for amount in amounts(text):
        if amount.unit and 0 <= amount.value <= _MOST_UNITS and _AGO.match(text, amount.end):
            yield _later(today, -amount.value, amount.unit)
    for match in _YESTERDAY.finditer(text):
        yield today - timedelta(days=2 if match["before"] else 1)
    for match in _LAST_WEEKDAY.finditer(text):
        yield today - timedelta(days=(today.weekday() - _WEEKDAYS[match["weekday"][:3]] - 1) % 7 + 1)
    if _THIS_DAY.search(text):
        yield today


_Rule = Callable[[str, date, DateSlot], Iterator[date | None]]
_RULES: tuple[_Rule, ...] = (_iso, _numeric)
_ENGLISH_RULES: tuple[_Rule, ...] = (
    *_RULES,
    _part_of_month,
    _day_and_month,
    _only_month,
    _looking_back,
    _distance,
    _named,
    _at_once,
)


def _in_month(month: str, year: str | None, day: int, today: date, slot: DateSlot) -> date | None:
    number = _MONTHS[month[:3]]
    if year:
        return _day(int(year), number, day)
    this_year = _day(today.year, number, day)
    is_past = (number, day) < (today.month, 1 if day == 1 else today.day)
    return _day(today.year + 1, number, day) if slot.not_before and is_past else this_year


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _later(today: date, count: float, unit: str) -> date:
    match unit:
        case "decades" | "years":
            return _months_later(today, round(count * LENGTHS[unit][0]))
        case "months":
            return _months_later(today, int(count)) + timedelta(days=round(count % 1 * 30))
        case "fortnights":
            return today + timedelta(days=round(count * 14))
        case "weeks":
            return today + timedelta(days=round(count * 7))
        case _:
            return today + timedelta(days=round(count))


def _months_later(today: date, months: int) -> date:
    years, month = divmod(today.month - 1 + months, 12)
    year = min(max(today.year + years, MINYEAR), MAXYEAR)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))


def _by_dateparser(text: str, today: date, slot: DateSlot, language: str) -> date | None:
    """Read the whole of a short text in any language that dateparser knows."""
    if len(text) > _LONGEST or _ONLY_NUMBER.fullmatch(text):
        return None
    settings = {
        "RELATIVE_BASE": datetime(today.year, today.month, today.day),  # noqa: DTZ001
        "TIMEZONE": "UTC",
        "DATE_ORDER": slot.order or "DMY",
        "PREFER_DATES_FROM": "future" if slot.not_before else "current_period",
        "PREFER_DAY_OF_MONTH": "first",
        "PARSERS": ["relative-time", "absolute-time"],
    }
    try:
        read = DateDataParser(languages=[language], settings=settings).get_date_data(text)
    except (ValueError, OverflowError, TypeError):
        return None
    found = read.date_obj
    return found.date() if found and read.period != "year" and found.time() == datetime.min.time() else None
