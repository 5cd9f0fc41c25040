"""What makes a definition consistent in itself, checked before anything runs it."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import phonenumbers

from tertulia.domain.lifecycle import ERROR
from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tertulia.domain.slots import Slot, choices_of
from tertulia.domain.templates import placeholders

if TYPE_CHECKING:
    from tertulia.domain.definition import Definition, State

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ABOUT_SLOT = frozenset({"label", "example", "choices"})
_ABOUT_QUESTION = _ABOUT_SLOT | {"question"}

Path = tuple[str | int, ...]


class Inconsistency(NamedTuple):
    """What is wrong and what to do about it, and where: keys and positions from the top of the definition."""

    path: Path
    what: str


def inconsistencies(definition: "Definition") -> list[Inconsistency]:
    """Find everything in a definition that refers to nothing or contradicts itself."""
    return [
        *_names(definition),
        *_references(definition),
        *(problem for name, slot in definition.slots.items() for problem in _slot(("slots", name), slot)),
        *_unknown_placeholders(definition),
    ]


def _names(definition: "Definition") -> Iterator[Inconsistency]:
    for kind, names in (("states", definition.states), ("slots", definition.slots), ("context", definition.context)):
        for name in names:
            if not _NAME.fullmatch(name):
                yield Inconsistency((kind, name), "names are lower-case letters, digits and _, beginning with a letter")
    if ERROR in definition.states:
        yield Inconsistency(
            ("states", ERROR), f"every definition has the state {ERROR!r} already; remove it or rename it"
        )
    if any(state.score for state in definition.states.values()):
        for name in {SCORE, MUST_HAVE_FAILED} & definition.slots.keys():
            yield Inconsistency(("slots", name), f"{name!r} is where the result of scoring goes; rename the slot")


def _references(definition: "Definition") -> Iterator[Inconsistency]:
    if definition.initial not in definition.states:
        yield _no_state(("initial",), definition.initial, definition)
    for source, targets in definition.transitions.items():
        if source not in definition.states:
            yield _no_state(("transitions", source), source, definition)
        for place, target in enumerate(targets):
            if target not in definition.states:
                yield _no_state(("transitions", source, place), target, definition)
    for name, state in definition.states.items():
        yield from _state(("states", name), name, state, definition)


def _state(path: Path, name: str, state: "State", definition: "Definition") -> Iterator[Inconsistency]:
    for place, slot in enumerate(state.ask):
        if slot not in definition.slots:
            yield Inconsistency((*path, "ask", place), f"there is no slot {slot!r}; define it under `slots`")
    for place, step in enumerate(state.next):
        at = (*path, "next", place, "to")
        if step.to not in definition.states:
            yield _no_state(at, step.to, definition)
        elif step.to not in definition.may_follow(name):
            allowed = ", ".join(definition.may_follow(name)) or "none"
            yield Inconsistency(
                at, f"{step.to!r} may not follow {name!r} (allowed: {allowed}); list it under `transitions`"
            )


def _no_state(path: Path, name: str, definition: "Definition") -> Inconsistency:
    return Inconsistency(path, f"there is no state {name!r}; there are {', '.join(definition.states)}")


def _slot(path: Path, slot: Slot) -> Iterator[Inconsistency]:
    if slot.type in ("number", "money") and slot.min is not None and slot.max is not None and slot.min > slot.max:
        yield Inconsistency((*path, "min"), "`min` is greater than `max`")
    if slot.type == "text":
        if slot.min_length > slot.max_length:
            yield Inconsistency((*path, "min_length"), "`min_length` is greater than `max_length`")
        if slot.pattern is not None and not _compiles(slot.pattern):
            yield Inconsistency((*path, "pattern"), "this is not a regular expression")
    if slot.type == "phone" and slot.region and slot.region not in phonenumbers.SUPPORTED_REGIONS:
        yield Inconsistency((*path, "region"), f"there is no region {slot.region!r}; use two letters such as GB")
    if slot.score is not None:
        yield from _criterion((*path, "score"), slot)


def _criterion(path: Path, slot: Slot) -> Iterator[Inconsistency]:
    criterion = slot.score
    if criterion is None:
        return
    if (criterion.best is None) != (criterion.worst is None):
        yield Inconsistency(path, "`best` and `worst` belong together; give both")
    elif criterion.best is not None and criterion.best == criterion.worst:
        yield Inconsistency((*path, "best"), "`best` and `worst` are the same, so nothing could be between them")
    elif criterion.best is not None and slot.type not in ("number", "money", "date"):
        yield Inconsistency(
            (*path, "best"), f"`best` and `worst` are for numbers, money and dates, not for {slot.type}"
        )
    offered = {choice.value for choice in choices_of(slot)}
    for choice in criterion.worth:
        if choice not in offered:
            yield Inconsistency((*path, "worth", choice), f"{choice!r} is not among the choices")


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _unknown_placeholders(definition: "Definition") -> Iterator[Inconsistency]:
    known = {*definition.slots, *definition.context}
    if any(state.score for state in definition.states.values()):
        known |= {SCORE, MUST_HAVE_FAILED}
    for path, text, extra in _texts(definition):
        for name in placeholders(text):
            if name not in known | extra:
                yield Inconsistency(
                    path, f"nothing is called {{{name}}}; there are {', '.join(sorted(known | extra)) or 'none'}"
                )


def _texts(definition: "Definition") -> Iterable[tuple[Path, str, frozenset[str]]]:
    """List every text with its place, and what it may mention besides slots and context."""
    nothing: frozenset[str] = frozenset()
    yield ("persona",), definition.persona, nothing
    yield ("digression",), definition.digression, nothing
    for name, state in definition.states.items():
        yield ("states", name, "say"), state.say, nothing
        yield ("states", name, "reply"), state.reply, nothing
    for name, slot in definition.slots.items():
        yield ("slots", name, "ask"), slot.ask, _ABOUT_SLOT
        yield ("slots", name, "thanks"), slot.thanks, _ABOUT_SLOT
        yield ("slots", name, "help"), slot.help, _ABOUT_QUESTION
        for place, text in enumerate(slot.reprompts):
            yield ("slots", name, "reprompts", place), text, _ABOUT_QUESTION
    for field, text in definition.prompts:
        match field, text:
            case _, str():
                yield ("prompts", field), text, _ABOUT_QUESTION | ({"value"} if field == "corrected" else nothing)
            case _, tuple():
                for place, one in enumerate(text):
                    yield ("prompts", field, place), one, _ABOUT_QUESTION
            case _, dict():
                for reason, one in text.items():
                    yield ("prompts", field, str(reason)), one, _ABOUT_QUESTION
