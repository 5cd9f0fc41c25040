"""What comes of reading a person's words for one slot."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue


class Reason(StrEnum):
    """Why a text does not answer. What a person is told about each stands in the definition's prompts."""

    UNCLEAR = "unclear"
    AMBIGUOUS = "ambiguous"
    DECLINED = "declined"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    NOT_WHOLE = "not_whole"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    WRONG_FORMAT = "wrong_format"
    WRONG_CURRENCY = "wrong_currency"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    NOT_OFFERED = "not_offered"


@dataclass(frozen=True, slots=True)
class Understood:
    """The value, as it is kept: plain JSON."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    reason: Reason


Outcome = Understood | NotUnderstood
