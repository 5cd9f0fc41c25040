"""Numbers as people write them: "3", "1,500", "10k", "twenty-five", "half a year", "2 years and 6 months"."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tertulia.domain.slots.kinds import NumberSlot
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood
from tertulia.domain.slots.phrases import plain, words

_ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
_SPOKEN = (
    {word: float(number) for number, word in enumerate(_ONES)}
    | {word: 10.0 * number for number, word in enumerate(_TENS, 2)}
    | {"a": 1.0, "an": 1.0, "single": 1.0, "couple": 2.0, "dozen": 12.0, "half": 0.5}
)
_SCALES = {"k": 1e3, "thousand": 1e3, "grand": 1e3, "m": 1e6, "mio": 1e6, "million": 1e6, "hundred": 1e2}
_UNITS = {"d": "day", "w": "week", "wk": "week", "mo": "month", "mth": "month", "y": "year", "yr": "year"}

# Months and days of each unit of time. Where days are wanted a month has 30 of them and a year 365.
LENGTHS = {
    "days": (0, 1),
    "weeks": (0, 7),
    "fortnights": (0, 14),
    "months": (1, 0),
    "years": (12, 0),
    "decades": (120, 0),
}

# Far beyond any answer, and still exact as JSON.
_LARGEST = 1e15

_DIGITS = r"\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?(?![\d.,]*\d)|\d+(?:[.,]\d+)?(?![.,]\d)"
_WORD = "|".join([*reversed(_ONES), *_TENS, "half", "couple", "dozen", "single", "an", "a"])
_AMOUNT = re.compile(
    rf"(?P<sign>(?<![\w)])[-\u2212])?(?<![\w.,])(?P<digits>{_DIGITS})"
    r"\s?(?P<scale>k|m|mio|thousand|grand|million|hundred)?(?![a-z]*\d)(?=\b|[^a-z]|$)"
    rf"|\b(?P<words>(?:{_WORD})(?:(?:[ -]| and )(?:{_WORD}|hundred|thousand|million))*)\b"
)
_UNIT = re.compile(r"(?: of| an?)?[\s-]*(?:(?:full|whole|calendar|solid|more) )?([a-z]+?)(?:s|'s|s')?\b\.?")
_TOGETHER = re.compile(r"[\s,]*(?:and|&|\+)?[\s,]*")
_HALF_MORE = re.compile(r"\s*and an? half\b")
_RANGE = re.compile(r"\s*(?:-|\u2013|\u2014|to|or|until|/)\s*")
_UPPER_BOUND = re.compile(r"(?:less than|under|below|up to|at most|no more than|fewer than|max(?:imum)?(?: of)?) ?$")
_MONTHS = re.compile(r"(\d)\s?m\b")
_CALENDAR_YEAR = re.compile(r"(?:19|20)\d\d")
_NOTHING = re.compile(
    r"(?:i (?:have|'ve|don'?t have|do not have|don'?t need|need) )?(?:none|no|zero|nothing|any|(?:not|none) at all)"
    r"(?: (?:notice|experience|period|at all|yet|prior|previous|professional|work|needed|required|any))*"
    r"|(?:i (?:can|could) (?:start|leave|join) |i'?m |i am )?(?:available )?"
    r"(?:immediately|right away|straight ?away|at once|today|asap|now)(?: available)?"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number in a text: where it stands, and the unit of time behind it, if any."""

    value: float
    unit: str | None
    text: str
    start: int
    end: int

    @property
    def is_digits(self) -> bool:
        return self.text[:1].isdigit() or self.value < 0


def amounts(text: str) -> list[Amount]:
    """Find the numbers in a text that is in lower case."""
    return [amount for match in _AMOUNT.finditer(text) if (amount := _amount(text, match)) is not None]


def _amount(text: str, match: re.Match[str]) -> Amount | None:
    value = _spoken(match["words"]) if match["words"] else _written(match)
    unit, end = _unit(text, match.end())
    if unit is None and _is_no_number(text, match["words"]):
        return None
    if more := _HALF_MORE.match(text, end):
        value, end = value + 0.5, more.end()
        if unit is None:
            unit, end = _unit(text, end)
    return Amount(value, unit, match[0], match.start(), end)


def _is_no_number(text: str, spoken: str | None) -> bool:
    """Tell whether a word that could be a number is more likely an article, or the pronoun "one"."""
    return spoken in ("a", "an", "half", "a half", "single") or (spoken == "one" and text.count(" ") > 2)


def _written(match: re.Match[str]) -> float:
    value = _read_digits(match["digits"]) * _SCALES.get(match["scale"] or "", 1)
    return -value if match["sign"] else value


def _read_digits(digits: str) -> float:
    """Read a number with separators: the last of `.` and `,` is decimal unless exactly three digits follow."""
    bare = re.sub(r"[' \u00a0\u202f]", "", digits)
    last = max(bare.rfind("."), bare.rfind(","))
    if last == -1:
        return float(bare)
    whole, fraction = re.sub(r"[.,]", "", bare[:last]), bare[last + 1 :]
    return float(whole + fraction) if len(fraction) == 3 and whole.strip("0") else float(f"{whole}.{fraction}")


def _spoken(spoken: str) -> float:
    total = group = 0.0
    for word in re.split(r"[ -]", spoken.replace(" and ", " ").replace("a half", "half")):
        if word in ("thousand", "million"):
            total, group = total + (group or 1) * _SCALES[word], 0.0
        elif word == "hundred":
            group = (group or 1) * 100
        elif word in ("couple", "dozen"):
            group = (group or 1) * _SPOKEN[word]
        elif not (group and word in ("a", "an")):
            group += _SPOKEN[word]
    return total + group


def _unit(text: str, start: int) -> tuple[str | None, int]:
    match = _UNIT.match(text, start)
    unit = _UNITS.get(match[1], match[1]) + "s" if match else ""
    return (unit, match.end()) if match and unit in LENGTHS else (None, start)


def understand_number(slot: NumberSlot, text: str) -> Outcome:
    """Read a number, in the slot's unit where it is one of time."""
    said = plain(text)
    if _NOTHING.fullmatch(said):
        return within(0.0, slot)
    value = _duration(slot.unit, _MONTHS.sub(r"\1 months", said)) if slot.unit in LENGTHS else _number(said)
    return NotUnderstood(value) if isinstance(value, Reason) else within(value, slot)


def _number(text: str) -> float | Reason:
    found = amounts(text)
    if not found:
        return Reason.UNCLEAR
    return Reason.AMBIGUOUS if len({amount.value for amount in found}) > 1 or _is_open(text, found) else found[0].value


def _duration(unit: str, text: str) -> float | Reason:
    found = amounts(text)
    durations = list(_durations(text, [amount for amount in found if amount.unit]))
    if not durations:
        return _number(text)
    others = [amount for amount in found if not amount.unit and not _CALENDAR_YEAR.fullmatch(amount.text)]
    if len(durations) > 1 or others or _is_open(text, found):
        return Reason.AMBIGUOUS
    return _in_unit(durations[0], unit)


def _is_open(text: str, found: Sequence[Amount]) -> bool:
    """Tell whether a number is only an upper bound ("less than 3"), or one end of a range ("3-5")."""
    return any(_UPPER_BOUND.search(text, 0, amount.start) for amount in found) or any(
        _RANGE.fullmatch(text, left.end, right.start) for left, right in pairwise(found)
    )


def _durations(text: str, found: Sequence[Amount]) -> Iterator[list[Amount]]:
    """Group what belongs together: "2 years and 6 months" is one duration."""
    group: list[Amount] = []
    for amount in found:
        if group and not (_is_shorter(amount, group[-1]) and _TOGETHER.fullmatch(text, group[-1].end, amount.start)):
            yield group
            group = []
        group.append(amount)
    if group:
        yield group


def _is_shorter(amount: Amount, than: Amount) -> bool:
    return LENGTHS[amount.unit or "days"] < LENGTHS[than.unit or "days"]


def _in_unit(duration: Sequence[Amount], unit: str) -> float:
    months = sum(amount.value * LENGTHS[amount.unit or "days"][0] for amount in duration)
    days = sum(amount.value * LENGTHS[amount.unit or "days"][1] for amount in duration)
    match unit:
        case "years":
            return months / 12 + days / 365
        case "months":
            return months + days / 30
        case "weeks":
            return (months * 30 + days) / 7
        case _:
            years, rest = divmod(months, 12)
            return years * 365 + rest * 30 + days


def within(value: float, slot: NumberSlot) -> Outcome:
    """Check a number against the slot's bounds."""
    outcome = bounded(value, slot.min, slot.max)
    if slot.integer and isinstance(outcome, Understood) and not isinstance(outcome.value, int):
        return NotUnderstood(Reason.NOT_WHOLE)
    return outcome


def bounded(value: float, least: float | None, most: float | None) -> Outcome:
    """Check a number against bounds, and keep it as an integer where it is one."""
    if not abs(value) <= _LARGEST:
        return NotUnderstood(Reason.TOO_LARGE)
    if least is not None and value < least:
        return NotUnderstood(Reason.TOO_SMALL)
    if most is not None and value > most:
        return NotUnderstood(Reason.TOO_LARGE)
    return Understood(int(value) if value == int(value) else round(value, 2))
