"""What a skill is, and the few things that one can do."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pydantic import JsonValue

from tertulia.domain.definitions.templates import shown
from tertulia.domain.errands import ITEM_CHARS, AnyRequest, Item
from tertulia.domain.slots import phrases

# Requests are short; in a longer message their words mean something else.
_CHARS = 160
_AROUND = " \t\n.,;:!?¡¿)("
# What people put around a request without meaning anything by it.
_LEAD = re.compile(
    r"(?:(?:hi|hello|hey|ok(?:ay)?|please|well|so|and|sorry|thanks|thank you|now|then|yes|actually)[,.! ]+)*"
    r"(?:(?:(?:can|could|would|will|may) (?:you|i|we)|i(?:'d| would)? (?:like|love|want|need)(?: you)? to|i want|i need"
    r"|i'd like|let me|let's|let us|help me(?: to)?) (?:please )?)?",
    re.IGNORECASE,
)
_TAILS = (" please", " now", " first", " for me", " then", " again", " thanks", " thank you")

# What was said along with a request, by slot; None: the slot is to be asked anew.
Heard = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something.

    Attributes:
        word: Which of the skill's words.
    """

    word: str


@dataclass(frozen=True, slots=True)
class AskFor:
    """Ask for slots, whether or not they are known already.

    Attributes:
        word: Which of the skill's words is said first; empty: none.
    """

    slots: tuple[str, ...]
    word: str = ""


@dataclass(frozen=True, slots=True)
class Do:
    """Have something done outside of the conversation; what comes of it is told by the skill's words."""

    request: AnyRequest


Move = Tell | AskFor | Do


class Situation(NamedTuple):
    """What a skill works with.

    Attributes:
        known: The slots that have values, and what the session was opened with.
        text: What the person has just written; empty where a state or a provider has called for the skill.
        listed: What was listed last.
    """

    known: Mapping[str, JsonValue]
    text: str = ""
    listed: Sequence[Item] = ()

    def text_of(self, slot: str) -> str:
        """Return a slot's value as a text that any request can carry; empty where it is not known."""
        return phrases.clean(shown(self.known.get(slot)))[:ITEM_CHARS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """Something that a person can ask for in the middle of anything else.

    Where the definition names a state for a skill (`to`), whoever asks for it is led there, and what is to be asked is
    asked by that state; a state that has the skill under `run` then has it do its work. Without a state it works at
    once. So a skill never asks, remembers or decides by itself: states and slots do.

    Attributes:
        summary: What it does, for a provider that chooses among skills and for people who read about them.
        recognises: Tells whether a message asks for it, and what it says along; None where it doesn't.
        does: Its work; None where being led to its state is all.
        words: What it may say, by name. Definitions may have other words.
        needs: Slots that it reads. A definition that uses it has to have them.
        gives: Slots that its work may fill, as far as a definition has them.
        spends: Slots that its work has used up: for the next time they are asked anew.
        is_led: Whether a state has to ask for what it needs, so that a definition has to name one.
    """

    summary: str
    recognises: Callable[[str], Heard | None]
    does: Callable[[Situation], Move] | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    spends: tuple[str, ...] = ()
    is_led: bool = False


def requests(*patterns: str) -> Callable[[str], Heard | None]:
    """Recognise messages that are wholly a request of one of these forms, politeness aside.

    Args:
        patterns: Regular expressions in lower case; a named group is what is said along for the slot of that name.
    """
    any_of_them = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)

    def recognise(text: str) -> Heard | None:
        found = any_of_them.fullmatch(_core(text)) if len(text) <= _CHARS else None
        return {slot: said for slot, said in found.groupdict().items() if said} if found else None

    return recognise


def request_said(phrases: Sequence[str], text: str) -> bool:
    """Tell whether a message is one of these phrases, case and punctuation aside."""
    said = in_one_line(text).lower()
    return any(said == in_one_line(phrase).lower() for phrase in phrases)


# One message is shown to every skill.
@lru_cache(maxsize=16)
def _core(text: str) -> str:
    """Return a request without what is only polite."""
    core = in_one_line(text)
    core = core[_LEAD.match(core).end() :]  # type: ignore[union-attr]
    while tail := next((tail for tail in _TAILS if core.lower().endswith(tail)), ""):
        core = core[: -len(tail)].rstrip(_AROUND)
    return core


# So are the phrases of the definition, the same ones each time.
@lru_cache(maxsize=256)
def in_one_line(text: str) -> str:
    """Return the text on one line, with straight apostrophes and without punctuation around it."""
    return " ".join(text.replace("\u2019", "'").split()).strip(_AROUND)
