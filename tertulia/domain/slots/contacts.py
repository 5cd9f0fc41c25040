"""E-mail addresses and phone numbers, found inside sentences."""

import re

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood
from tertulia.domain.slots.phrases import plain, words

# Loaded here, for otherwise the first number from each country would read a file while a workflow runs.
PhoneMetadata.load_all()

# Whoever gives an address or a number in a long text, a résumé say, gives it at its top.
_SEARCHED_CHARS = 2000
_FEWEST_DIGITS = 7
_MOST_CANDIDATES = 20

_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"'|=]{1,64}@[^\s@<>()\[\],;:\"'|=!?/]{1,190}")
_SPELT = re.compile(r"[(\[]at[)\]]|\bdot\b", re.IGNORECASE)
_SPELT_AT = re.compile(r"\s*(?:[(\[]at[)\]]|\s+at\s+)\s*", re.IGNORECASE)
_SPELT_DOT = re.compile(r"\s*(?:[(\[]dot[)\]]|\s+dot\s+)\s*", re.IGNORECASE)
_SPELT_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_DOUBLE_ZERO = re.compile(r"(?<![\d+])00(?=[1-9])")
_DIGIT = re.compile(r"\d")
_PHONE = re.compile(r"\+?[\d\s().\-/]{7,30}")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_INTRODUCING = frozenset(
    words(
        "my the a is its it's here are and or email e-mail mail address phone number mobile cell tel contact me at on"
        " you can reach via call please sure ok okay yes hi hello"
    )
)


def emails(text: str) -> list[str]:
    """Find the e-mail addresses in a text, each once, in normal form."""
    searched = text[:_SEARCHED_CHARS]
    written = _EMAIL.findall(searched) if "@" in searched else _spelt(searched)
    return list(dict.fromkeys(address for found in written if (address := _normal_email(found))))


def _spelt(text: str) -> list[str]:
    if not _SPELT.search(text):
        return []
    return _SPELT_EMAIL.findall(_SPELT_DOT.sub(".", _SPELT_AT.sub("@", text, count=1)))


def _normal_email(found: str) -> str | None:
    try:
        return validate_email(found.strip(".!?*_`"), check_deliverability=False).normalized
    except (EmailNotValidError, ValueError):
        return None


def understand_email(text: str) -> Outcome:
    """Read the one e-mail address in a text."""
    found = emails(text)
    if len(found) == 1:
        return Understood(found[0])
    if found:
        return NotUnderstood(Reason.AMBIGUOUS)
    return NotUnderstood(Reason.WRONG_FORMAT if "@" in text else Reason.UNCLEAR)


def phones(text: str, region: str | None) -> list[str]:
    """Find the valid phone numbers in a text, each once, in international form (E.164).

    Args:
        region: Whose numbers need no country code, two letters.
    """
    searched = _international_prefix(text[:_SEARCHED_CHARS])
    if not _has_enough_digits(searched):
        return []
    matches = phonenumbers.PhoneNumberMatcher(searched, region, max_tries=_MOST_CANDIDATES)
    return list(dict.fromkeys(_international(match.number) for match in matches))


def understand_phone(text: str, region: str | None) -> Outcome:
    """Read the one phone number in a text.

    Numbering plans change, so a text that holds nothing but a number of a possible length is taken, too.
    """
    found = phones(text, region)
    if len(found) == 1:
        return Understood(found[0])
    if found:
        return NotUnderstood(Reason.AMBIGUOUS)
    if possible := _possible(text, region):
        return Understood(possible)
    return NotUnderstood(Reason.WRONG_FORMAT if _has_enough_digits(text) else Reason.UNCLEAR)


def _possible(text: str, region: str | None) -> str | None:
    bare = " ".join(word for word in _international_prefix(text).split() if plain(word) not in _INTRODUCING).strip(
        " .!"
    )
    if not _PHONE.fullmatch(bare):
        return None
    try:
        number = phonenumbers.parse(bare, region)
    except phonenumbers.NumberParseException:
        return None
    return _international(number) if phonenumbers.is_possible_number(number) else None


def _international_prefix(text: str) -> str:
    """Write the prefix `00` as a plus, which needs no region to be understood."""
    return _DOUBLE_ZERO.sub("+", text)


def _has_enough_digits(text: str) -> bool:
    return len(_DIGIT.findall(text)) >= _FEWEST_DIGITS


def _international(number: phonenumbers.PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def is_only_contacts(text: str) -> bool:
    """Tell whether a text that holds an address or a number says nothing besides."""
    return not any(
        "@" not in word and _LETTERS.search(word) and plain(word) not in _INTRODUCING for word in text.split()
    )
