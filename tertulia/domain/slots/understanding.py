"""One way in for every kind of slot: by a person's words, or by what a provider read out of them."""

import math
from datetime import datetime
from typing import Any, assert_never

from tertulia.domain.providers.completions import field_in
from tertulia.domain.slots import choices, contacts, dates, money, numbers, phrases, texts
from tertulia.domain.slots.kinds import (
    BooleanSlot,
    ChoiceSlot,
    DateSlot,
    DocumentSlot,
    EmailSlot,
    LocationSlot,
    MoneySlot,
    MultiChoiceSlot,
    NameSlot,
    NumberSlot,
    PhoneSlot,
    Slot,
    TextSlot,
)
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood


def understand(slot: Slot, text: str, now: datetime, language: str = "en") -> Outcome:
    """Read an answer by rules alone.

    Args:
        text: What the person wrote, of any length.
        now: What relative dates count from, aware.
        language: Of the definition, two letters.

    Returns:
        The value as plain JSON, within the slot's bounds, or why there is none. Never raises.
    """
    text = phrases.clean(text)
    if not text:
        return NotUnderstood(Reason.UNCLEAR)
    match slot:
        case TextSlot():
            return texts.understand_text(slot, text)
        case NameSlot():
            return texts.understand_name(text)
        case LocationSlot():
            return texts.understand_location(text)
        case DocumentSlot():
            return texts.understand_document(slot, text)
    if phrases.is_decline(text):
        return NotUnderstood(Reason.DECLINED)
    if len(text) > phrases.SHORT_ANSWER_CHARS and not isinstance(slot, EmailSlot | PhoneSlot):
        return NotUnderstood(Reason.UNCLEAR)
    match slot:
        case NumberSlot():
            return numbers.understand_number(slot, text)
        case MoneySlot():
            return money.understand_money(slot, text)
        case DateSlot():
            return dates.understand_date(slot, text, now, language)
        case BooleanSlot():
            return choices.understand_boolean(text)
        case ChoiceSlot():
            return choices.understand_choice(slot, text)
        case MultiChoiceSlot():
            return choices.understand_choices(slot, text)
        case EmailSlot():
            return contacts.understand_email(text)
        case PhoneSlot():
            return contacts.understand_phone(text, slot.region)
        case _:
            assert_never(slot)


def accept(slot: Slot, value: Any, now: datetime, language: str = "en") -> Outcome:
    """Check a value that a provider, or whoever opened the session, gives for a slot.

    Texts are read like a person's; everything is held to the slot's bounds.

    Args:
        value: Anything that JSON can hold; None where there was no answer.

    Returns:
        As `understand`. Never raises.
    """
    match value:
        case str():
            return understand(slot, value, now, language)
        case bool():
            return Understood(value) if isinstance(slot, BooleanSlot) else NotUnderstood(Reason.UNCLEAR)
        case int() | float():
            return _number(slot, value)
        case list():
            return _list(slot, value, now, language)
        case dict() if isinstance(slot, DocumentSlot):
            return texts.accept_document(value)
        case _:
            return NotUnderstood(Reason.UNCLEAR)


def _number(slot: Slot, value: float) -> Outcome:
    if isinstance(value, float) and not math.isfinite(value):
        return NotUnderstood(Reason.UNCLEAR)
    match slot:
        case NumberSlot():
            return numbers.within(value, slot)
        case MoneySlot():
            return numbers.bounded(value, slot.min, slot.max)
        case _:
            return NotUnderstood(Reason.UNCLEAR)


def _list(slot: Slot, values: list[Any], now: datetime, language: str) -> Outcome:
    if not isinstance(slot, MultiChoiceSlot) or not all(isinstance(value, str) for value in values):
        return NotUnderstood(Reason.UNCLEAR)
    return understand(slot, ", ".join(values) or "none", now, language)


def json_schema(slot: Slot) -> dict[str, Any]:
    """Describe what a provider is to return: an object with the `value`, null where the person gave none."""
    return {
        "type": "object",
        "properties": {"value": {"anyOf": [_value_schema(slot), {"type": "null"}]}},
        "required": ["value"],
        "additionalProperties": False,
    }


def _value_schema(slot: Slot) -> dict[str, Any]:
    match slot:
        case NumberSlot() | MoneySlot():
            return {"type": "number"}
        case BooleanSlot():
            return {"type": "boolean"}
        case ChoiceSlot():
            return {"type": "string", "enum": [choice.value for choice in slot.choices]}
        case MultiChoiceSlot():
            return {"type": "array", "items": {"type": "string", "enum": [choice.value for choice in slot.choices]}}
        case _:
            return {"type": "string"}


def wanted(slot: Slot) -> str:
    """Describe to a provider what a slot's value is."""
    match slot:
        case NumberSlot():
            return f"a number of {slot.unit}" if slot.unit else "a number"
        case MoneySlot():
            return f"an amount in {slot.currency}" + (f" per {slot.per}" if slot.per else "")
        case DateSlot():
            return "a date as YYYY-MM-DD"
        case BooleanSlot():
            return "true for yes, false for no"
        case ChoiceSlot():
            return "one of: " + ", ".join(choice.value for choice in slot.choices)
        case MultiChoiceSlot():
            return "any of: " + ", ".join(choice.value for choice in slot.choices)
        case EmailSlot():
            return "an e-mail address"
        case PhoneSlot():
            return "a phone number in international form"
        case NameSlot():
            return "the person's name"
        case LocationSlot():
            return "a place"
        case TextSlot() | DocumentSlot():
            return "the answer, in the person's own words"
        case _:
            assert_never(slot)


def read_json(text: str) -> Any:
    """Read the `value` out of a provider's answer; None for whatever is not such an answer."""
    return field_in(text, "value")
