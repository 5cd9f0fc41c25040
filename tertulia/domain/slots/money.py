"""Amounts of money: "55k", "€52,000 a year", "4.500 EUR per month"."""

import re

from tertulia.domain.slots.kinds import MoneySlot
from tertulia.domain.slots.numbers import amounts, bounded
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason
from tertulia.domain.slots.phrases import plain

_CURRENCIES = {
    "€": "EUR",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "$": "USD",
    "usd": "USD",
    "dollar": "USD",
    "dollars": "USD",
    "bucks": "USD",
    "£": "GBP",
    "gbp": "GBP",
    "pound": "GBP",
    "pounds": "GBP",
    "quid": "GBP",
    "chf": "CHF",
    "franc": "CHF",
    "francs": "CHF",
    "¥": "JPY",
    "jpy": "JPY",
    "yen": "JPY",
    "₹": "INR",
    "inr": "INR",
    "rupee": "INR",
    "rupees": "INR",
    "pln": "PLN",
    "sek": "SEK",
    "nok": "NOK",
    "dkk": "DKK",
    "cad": "CAD",
    "aud": "AUD",
    "brl": "BRL",
    "mxn": "MXN",
}
_CURRENCY = re.compile(
    r"[€$£¥₹]|(?<![a-z])(?:" + "|".join(word for word in _CURRENCIES if word.isalpha()) + r")(?![a-z])"
)
_PER = re.compile(
    r"\b(?:an?|per|each|every)\s*(hour|day|week|month|year|annum)\b|/\s*(h|hr|hour|day|week|month|mo|year|yr)\b"
)
_ADVERBS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "annually": "year",
    "yearly": "year",
}
_ADVERB = re.compile(r"\b(" + "|".join(_ADVERBS) + r"|pcm|p\.?a|pa)\b")
_PERIODS = {
    "mo": "month",
    "yr": "year",
    "annum": "year",
    "pcm": "month",
    "p.a": "year",
    "pa": "year",
    "h": "hour",
    "hr": "hour",
}
_MONTHS = {"month": 1, "year": 12}


def understand_money(slot: MoneySlot, text: str) -> Outcome:
    """Read an amount in the slot's currency, for the slot's period."""
    said = plain(text)
    if any(_CURRENCIES[word] != slot.currency for word in _CURRENCY.findall(said)):
        return NotUnderstood(Reason.WRONG_CURRENCY)
    found = amounts(_PER.sub(" ", _CURRENCY.sub(" ", said)))
    values = {amount.value for amount in found if amount.is_digits} or {amount.value for amount in found}
    if len(values) != 1:
        return NotUnderstood(Reason.AMBIGUOUS if values else Reason.UNCLEAR)
    return _for_period(slot, values.pop(), said)


def _for_period(slot: MoneySlot, value: float, text: str) -> Outcome:
    period = _period(text)
    if slot.per and period and period != slot.per:
        if period not in _MONTHS:
            return NotUnderstood(Reason.WRONG_FORMAT)
        value = value * _MONTHS[slot.per] / _MONTHS[period]
    return bounded(value, slot.min, slot.max)


def _period(text: str) -> str | None:
    if match := _PER.search(text):
        name = match[1] or match[2]
    elif match := _ADVERB.search(text):
        name = match[1]
    else:
        return None
    return _ADVERBS.get(name) or _PERIODS.get(name, name)
