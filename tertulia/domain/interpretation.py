"""What a person means by a message, given what has been asked and what is known. By rules alone; decides nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from tertulia.domain.definition import Definition
from tertulia.domain.slots import NotUnderstood, Reason, Slot, Understood, contacts, label_of, phrases, understand

# A correction is a short message; in a long one its words mean something else.
_CORRECTION_CHARS = 160
_CORRECTING = re.compile(
    r"\b(?:actually|correction|i meant|mistake|typo|mistyped|wrong|change|update|correct|fix"
    r"|should (?:be|have been|say)|not right|sorry|oops|instead)\b|^my [\w ]{2,30}(?:'s| is)\b",
    re.IGNORECASE,
)
_BEGINNING = re.compile(
    r"(?:(?:no|wait|hi|hey|oh|ah|hmm|ok|please)[,.! ]+)*"
    r"(?:(?:actually|sorry|oops|correction|i meant|i (?:made|had) a (?:mistake|typo)|typo|mistake)\b"
    r"|(?:(?:i (?:want|need|have|would like)|i'd like) to |(?:can|could) (?:you|i|we) |let me )?(?:please )?"
    r"(?:(?:change|update|correct|fix) )?(?:my|the) )",
    re.IGNORECASE,
)
_AFTER_LABEL = re.compile(
    r"(?:'s)?[\s:,]*(?:(?:address|number)\b[\s:,]*)?"
    r"(?:(?:is|was|should be|should have been|would be|to|as|are)\b[\s:,]*)?"
    r"(?:(?:actually|now|really)\b[\s,]*)?",
    re.IGNORECASE,
)
_NONE_SUCH = re.compile(
    r"no(?:pe)?(?:[, ]+(?:thanks|thank you|sorry))?|none|nothing(?: (?:else|more|to add))?|that'?s (?:all|it)"
    r"|not (?:yet|at the moment|really)"
    r"|i (?:don'?t|do not) have (?:one|any|it|a [\w -]{2,30})(?: (?:yet|now|right now|with me|at hand|ready|here))*"
    r"|i have (?:none|nothing)(?: to add)?"
)
# Kinds to which "no" is not an answer.
_WORDED = frozenset({"text", "name", "location", "document", "email", "phone"})
# Kinds that would take an e-mail address for an answer, because they take almost anything.
_FREE = frozenset({"text", "name", "location"})


@dataclass(frozen=True, slots=True)
class Answers:
    """Values for slots: the open one's, if it is among them, and whatever else was given along.

    Attributes:
        asks: A question came along with the answers.
    """

    values: Mapping[str, JsonValue]
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Correction:
    """Another value for something answered earlier."""

    slot: str
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Skip:
    """The person would like to leave the open question out, or has no answer."""


@dataclass(frozen=True, slots=True)
class Help:
    """The person asks what to do."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The person greets, thanks or agrees to go on, which is no answer and no misunderstanding."""


@dataclass(frozen=True, slots=True)
class Question:
    """The person asks something instead of answering."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing that the rules can use."""

    reason: Reason


Interpretation = Answers | Correction | Skip | Help | Greeting | Question | Unclear


def interpret(
    definition: Definition, known: Mapping[str, JsonValue], asking: str, text: str, now: datetime
) -> Interpretation:
    """Read a message that comes while a question is open.

    Args:
        known: The slots that have values.
        asking: The slot whose question is open.
        text: What was written, clean.
        now: What relative dates count from, aware.
    """
    slot = definition.slots[asking]
    if corrected := correction(definition, known, text, now, besides=asking):
        return corrected
    if phrases.is_help(text):
        return Help()
    if _leaves_out(slot, text, now):
        return Skip()
    given = dict(_contacts_along(definition, known, asking, text))
    if given and slot.type in _FREE and contacts.is_only_contacts(text):
        return Answers(given)
    return _answer(definition, asking, text, given, now)


def _leaves_out(slot: Slot, text: str, now: datetime) -> bool:
    if phrases.is_skip(text):
        return slot.type in _WORDED or not isinstance(understand(slot, text, now), Understood)
    if slot.type in _WORDED and _NONE_SUCH.fullmatch(phrases.plain(text[: phrases.SHORT_ANSWER_CHARS])):
        return True
    return not slot.required and (phrases.is_decline(text) or phrases.is_unknown(text))


def _answer(
    definition: Definition, asking: str, text: str, given: Mapping[str, JsonValue], now: datetime
) -> Interpretation:
    statement, asks = _parted(text)
    if not statement:
        return Question()
    outcome = understand(definition.slots[asking], statement, now, definition.language)
    match outcome:
        case Understood():
            return Answers({asking: outcome.value, **given}, asks)
        case NotUnderstood() if given:
            return Answers(given, asks)
        case NotUnderstood() if asks or text.endswith("?") or phrases.begins_as_question(text):
            return Question()
        case NotUnderstood() if phrases.is_greeting(text):
            return Greeting()
        case _:
            return Unclear(outcome.reason)


def _parted(text: str) -> tuple[str, bool]:
    """Part a message into what it states, and whether a question follows."""
    if not text.endswith("?"):
        return text, False
    *before, last = phrases.sentences(text)
    return (" ".join(before), True) if phrases.is_question(last) else (text, False)


def _contacts_along(
    definition: Definition, known: Mapping[str, JsonValue], asking: str, text: str
) -> Iterator[tuple[str, JsonValue]]:
    """Find e-mail addresses and phone numbers for slots that have not been asked for yet."""
    for name, slot in definition.slots.items():
        if name != asking and name not in known and (found := _contact(slot, text)):
            yield name, found


def _contact(slot: Slot, text: str) -> str | None:
    match slot.type:
        case "email" if "@" in text:
            found = contacts.emails(text)
        case "phone":
            found = contacts.phones(text, slot.region)
        case _:
            return None
    return found[0] if len(found) == 1 else None


def correction(
    definition: Definition, known: Mapping[str, JsonValue], text: str, now: datetime, *, besides: str | None = None
) -> Correction | None:
    """Recognise "my email is actually ana@example.org", where another address is known.

    Args:
        besides: The slot that is being asked for, and therefore not corrected.
    """
    if len(text) > _CORRECTION_CHARS or not _BEGINNING.match(text) or not _CORRECTING.search(text):
        return None
    for name, value in known.items():
        slot = definition.slots.get(name)
        if slot is not None and name != besides:
            other = _contact(slot, text) or _labelled(slot, name, text, now, definition.language)
            if other is not None and other != value:
                return Correction(name, other)
    return None


def _labelled(slot: Slot, name: str, text: str, now: datetime, language: str) -> JsonValue:
    """Read what stands behind "my <label>"."""
    found = re.search(rf"\b(?:my|the) (?:{re.escape(label_of(slot, name))})\b", text, re.IGNORECASE)
    if found is None or slot.type == "document":
        return None
    rest = _AFTER_LABEL.match(text, found.end())
    outcome = understand(slot, text[rest.end() if rest else found.end() :], now, language)
    return outcome.value if isinstance(outcome, Understood) else None
