"""What a person means by a message, given what has been asked and what is known. By rules alone; decides nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from pydantic import JsonValue

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.recruiting import profiles, resumes
from tertulia.domain.slots import (
    NotUnderstood,
    Reason,
    Slot,
    Understood,
    accept,
    contacts,
    label_of,
    phrases,
    understand,
)
from tertulia.domain.slots.kinds import DocumentSlot

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
_CONNECTING = re.compile(r"(?:^[\s,;]*(?:and|also)\b)|(?:[\s,;]*\b(?:and|also)[\s,;]*$)", re.IGNORECASE)
_PIECES = re.compile(r"[,;\n]+\s*|(?<=[.!])\s+|\s+and\s+", re.IGNORECASE)
_FEW_WORDS = 3
# Kinds that take almost any words for an answer.
_ANY_WORDS = frozenset({"text", "name", "location", "document"})
# Kinds that would take an e-mail address for an answer, because they take almost anything.
_FREE = frozenset({"text", "name", "location"})


@dataclass(frozen=True, slots=True)
class Answers:
    """Values for slots: the open one's, if it is among them, and whatever else was given along.

    Attributes:
        asks: A question came along with the answers.
        read: Of the values, those that rules have found in a document.
    """

    values: Mapping[str, JsonValue]
    asks: bool = False
    read: Mapping[str, JsonValue] = field(default_factory=dict)


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
    definition: Definition,
    known: Mapping[str, JsonValue],
    asking: str,
    text: str,
    now: datetime,
    *,
    form: Sequence[str] = (),
    along: Sequence[str] = (),
) -> Interpretation:
    """Read a message that comes while a question is open.

    Args:
        known: The slots that have values.
        asking: The slot whose question is open.
        text: What was written, clean.
        now: What relative dates count from, aware.
        form: The slots that have been asked for together; empty where only one has been.
        along: Slots that may be answered along, where the message says which ones it speaks of.
    """
    slot = definition.slots[asking]
    if corrected := correction(definition, known, text, now, besides=asking):
        return corrected
    if phrases.is_help(text):
        return Help()
    if _leaves_out(slot, text, now):
        return Skip()
    if form:
        return _answers_to_form(definition, known, form, text, now)
    text, named = _named_along(definition, asking, along, text, now)
    given = {**dict(_contacts_along(definition, known, asking, text)), **named}
    if named and not text:
        return Answers(given)
    if given and slot.type in _FREE and contacts.is_only_contacts(text):
        return Answers(given)
    return _answer(definition, known, asking, text, given, now)


def _leaves_out(slot: Slot, text: str, now: datetime) -> bool:
    if phrases.is_skip(text):
        return slot.type in _WORDED or not isinstance(understand(slot, text, now), Understood)
    if slot.type in _WORDED and _NONE_SUCH.fullmatch(phrases.plain(text[: phrases.SHORT_ANSWER_CHARS])):
        return True
    return not slot.required and (phrases.is_decline(text) or phrases.is_unknown(text))


def _answer(
    definition: Definition,
    known: Mapping[str, JsonValue],
    asking: str,
    text: str,
    given: Mapping[str, JsonValue],
    now: datetime,
) -> Interpretation:
    slot = definition.slots[asking]
    statement, asks = (text, False) if slot.type == "text" and slot.may_ask else _parted(text)
    if not statement:
        return Question()
    outcome = understand(slot, statement, now, definition.language)
    match outcome:
        case Understood() if slot.type == "document":
            read = dict(_told_by(definition, known, slot, text, now))
            return Answers({asking: outcome.value, **given, **read}, asks, read)
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


def _told_by(
    definition: Definition, known: Mapping[str, JsonValue], document: DocumentSlot, text: str, now: datetime
) -> Iterator[tuple[str, JsonValue]]:
    """Find in a document what slots would ask for."""
    wanted = profiles.TOLD_BY_RESUME & definition.asked - known.keys()
    if document.reads != "resume" or not wanted:
        return
    facts = profiles.facts_in(resumes.parse(text, now.date()))
    for name, value in facts.items():
        if name not in wanted:
            continue
        outcome = accept(definition.slots[name], value, now, definition.language)
        if isinstance(outcome, Understood):
            yield name, outcome.value


def _named_along(
    definition: Definition, asking: str, along: Sequence[str], text: str, now: datetime
) -> tuple[str, dict[str, JsonValue]]:
    """Read "4 weeks, and my salary is 50k": take out what is said about slots by their names.

    Returns:
        What is left to answer the open question, and the values of the other slots.
    """
    ahead, parts = _parts(definition, (asking, *along), text)
    values: dict[str, JsonValue] = dict(_values(definition, parts, now))
    named = {name: value for name, value in values.items() if name != asking}
    return (parts.get(asking, ahead), named) if named else (text, {})


def _parts(definition: Definition, names: Sequence[str], text: str) -> tuple[str, dict[str, str]]:
    """Part a text at the slots' labels: what stands ahead of all of them, and behind each."""
    searched = text.lower()
    labels = {name: label_of(definition.slots[name], name) for name in names}
    found = sorted(
        (match.start(), match.end(), name)
        for name, label in labels.items()
        if label.lower() in searched and (match := _label(label).search(text))
    )
    if not found:
        return text, {}
    ends = [start for start, _, _ in found[1:]] + [len(text)]
    parts = {name: _trimmed(text[start:end]) for (_, start, name), end in zip(found, ends, strict=True)}
    return _trimmed(text[: found[0][0]]), parts


@lru_cache(maxsize=2048)
def _label(label: str) -> re.Pattern[str]:
    word = rf"\b{re.escape(label)}\b"
    said = r"\s*(?:[:=]|(?:is|are|was|would be)\b)\s*"
    return re.compile(rf"(?:\b(?:my|the|our)\s+)?{word}{said}|\b(?:my|the|our)\s+{word}\s*", re.IGNORECASE)


def _trimmed(part: str) -> str:
    return _CONNECTING.sub("", part).strip(" ,;\n")


def _value(definition: Definition, name: str, text: str, now: datetime) -> JsonValue:
    outcome = understand(definition.slots[name], text, now, definition.language)
    return outcome.value if isinstance(outcome, Understood) else None


def _values(definition: Definition, parts: Mapping[str, str], now: datetime) -> Iterator[tuple[str, JsonValue]]:
    for name, part in parts.items():
        if (value := _value(definition, name, part, now)) is not None:
            yield name, value


def _answers_to_form(
    definition: Definition, known: Mapping[str, JsonValue], form: Sequence[str], text: str, now: datetime
) -> Interpretation:
    """Read the answer to a question for several slots at once."""
    statement, asks = _parted(text)
    if not statement:
        return Question()
    ahead, parts = _parts(definition, form, statement)
    values: dict[str, JsonValue] = dict(_values(definition, parts, now))
    values |= _taken_in_turn(definition, [name for name in form if name not in values], ahead, now)
    if values:
        return Answers({**dict(_contacts_along(definition, known, form[0], text)), **values}, asks)
    return Greeting() if phrases.is_greeting(text) else Unclear(Reason.UNCLEAR)


def _taken_in_turn(definition: Definition, form: Sequence[str], text: str, now: datetime) -> dict[str, JsonValue]:
    """Give each piece of a text to the first slot that can use it; what takes any words gets what is left."""
    values: dict[str, JsonValue] = {}
    left: list[str] = []
    strict = [name for name in form if definition.slots[name].type not in _ANY_WORDS]
    for piece in _PIECES.split(text):
        taken = next(
            (
                (name, value)
                for name in strict
                if name not in values and (value := _value(definition, name, piece, now)) is not None
            ),
            None,
        )
        if taken:
            values[taken[0]] = taken[1]
        if piece.strip() and (not taken or _says_more(definition.slots[taken[0]], piece)):
            left.append(piece.strip())
    free = [name for name in form if name not in strict]
    for place, name in enumerate(free):
        mine = left[place:] if name == free[-1] else left[place : place + 1]
        value = _value(definition, name, ", ".join(mine), now) if mine else None
        if value is not None:
            values[name] = value
    return values


def _says_more(slot: Slot, piece: str) -> bool:
    """Tell whether a piece from which a choice was taken is a sentence that is worth keeping besides."""
    return slot.type in ("choice", "multi_choice", "date") and len(piece.split()) > _FEW_WORDS


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
        if slot is not None and name != besides and name in definition.asked:
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
