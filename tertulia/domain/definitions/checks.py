"""What makes a definition consistent in itself, checked before anything runs it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import phonenumbers

from tertulia.domain.compact import Compact
from tertulia.domain.definitions import guards, skill_uses
from tertulia.domain.definitions.flow import flaws
from tertulia.domain.definitions.guards import BUILT_IN, Kind, kind_of
from tertulia.domain.definitions.inconsistency import Inconsistency, Path
from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.definitions.templates import placeholders
from tertulia.domain.definitions.wording import SlotWording, StateWording, Wording
from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tertulia.domain.slots import Slot, choices_of

if TYPE_CHECKING:
    from tertulia.domain.definitions.definition import Definition, State

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ABOUT_SLOT = frozenset({"label", "example", "choices"})
_ABOUT_QUESTION = _ABOUT_SLOT | {"question"}
# The prompts that tell a value.
_ABOUT_VALUES = frozenset({"corrected", "received"})
_SPOKEN = frozenset({"language", "channel"})
_WORDING = re.compile(r"[a-z]{2}|[a-z][a-z0-9_-]{2,63}|[a-z]{2}/[a-z][a-z0-9_-]{2,63}")
_LANGUAGE = re.compile(r"[a-z]{2}")
_WORDED: dict[str, type[Compact]] = {"states": StateWording, "slots": SlotWording}


def inconsistencies(definition: "Definition") -> list[Inconsistency]:
    """Find everything in a definition that refers to nothing, contradicts itself, or leads nowhere."""
    texts = list(_texts(definition))
    found = [
        *_names(definition),
        *_references(definition),
        *(problem for name, slot in definition.slots.items() for problem in _slot(("slots", name), slot)),
        *_unknown_placeholders(definition, texts),
        *_expressions(definition),
        *skill_uses.inconsistencies(definition),
        *_wordings(definition),
        *_timers(definition),
    ]
    return found or flaws(definition, [text for _, text, _ in texts])


def _names(definition: "Definition") -> Iterator[Inconsistency]:
    for kind, names in (("states", definition.states), ("slots", definition.slots), ("context", definition.context)):
        for name in names:
            if not _NAME.fullmatch(name):
                yield Inconsistency((kind, name), "names are lower-case letters, digits and _, beginning with a letter")
    for kind, names in (("slots", definition.slots), ("context", definition.context)):
        for name in BUILT_IN.keys() & names:
            yield Inconsistency((kind, name), f"{name!r} means something of its own in texts and conditions; rename it")
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
    for name, interruption in definition.interruptions.offered.items():
        if interruption.to and interruption.to not in definition.states:
            yield _no_state(("interruptions", name, "to"), interruption.to, definition)
    for name, slot in definition.slots.items():
        if slot.give_up_to and slot.give_up_to not in definition.states:
            yield _no_state(("slots", name, "give_up_to"), slot.give_up_to, definition)
        yield from _no_slots(("slots", name, "depends_on"), slot.depends_on, definition)
    yield from _no_slots(("results",), definition.results or (), definition)


def _no_slots(path: Path, names: Sequence[str], definition: "Definition") -> Iterator[Inconsistency]:
    for place, name in enumerate(names):
        if name not in definition.slots:
            yield Inconsistency((*path, place), f"there is no slot {name!r}; define it under `slots`")


def _state(path: Path, name: str, state: "State", definition: "Definition") -> Iterator[Inconsistency]:
    yield from _no_slots((*path, "ask"), state.ask, definition)
    if state.ask_together and len(state.ask) < 2:
        yield Inconsistency((*path, "ask_together"), "this is for several slots; list them under `ask`")
    for slot in state.sets:
        if slot not in definition.slots:
            yield Inconsistency((*path, "sets", slot), f"there is no slot {slot!r}; define it under `slots`")
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


def _expressions(definition: "Definition") -> Iterator[Inconsistency]:
    for name, state in definition.states.items():
        for place, step in enumerate(state.next):
            if step.when is not None:
                yield from _expression(("states", name, "next", place, "when"), step.when, definition)
        for slot, expression in state.sets.items():
            if slot in definition.slots:
                wanted = kind_of(definition.slots[slot])
                yield from _expression(("states", name, "sets", slot), expression, definition, wanted)


def _expression(
    path: Path, expression: str, definition: "Definition", wanted: Kind = Kind.YES_OR_NO
) -> Iterator[Inconsistency]:
    if wrong := definition.vocabulary.check(expression, wanted):
        known = f"; there are {', '.join(definition.vocabulary.kinds)}" if "nothing is called" in wrong.what else ""
        yield Inconsistency(path, f"{wrong.what}{known}")
        return
    for name, text in guards.literals(expression):
        offered = _offered(name, definition)
        if offered and text not in offered:
            yield Inconsistency(path, f"{name} is never {text!r}; it may be {', '.join(offered)}")


def _offered(name: str, definition: "Definition") -> list[str]:
    """List what a name can be compared to; nothing where that may be anything."""
    if name == "answered":
        return list(definition.slots)
    if name == "language":
        return sorted(definition.languages())
    slot = definition.slots.get(name)
    return [choice.value for choice in choices_of(slot)] if slot else []


def _timers(definition: "Definition") -> Iterator[Inconsistency]:
    reminder, expiry = definition.timers.reminder_after, definition.timers.expire_after
    if reminder and expiry and reminder >= expiry:
        yield Inconsistency(("timers", "reminder_after"), "the session expires first; remind earlier, or expire later")


def _wordings(definition: "Definition") -> Iterator[Inconsistency]:
    if definition.language != "en":
        english = [name for name in _prompts(definition) if name not in definition.prompts.model_fields_set]
        if english:
            yield Inconsistency(("prompts",), f"these are still in English: {', '.join(english)}; write them")
        own = definition.skill_words
        skills = [
            f"{skill}.{word}"
            for skill, words in skill_uses.words(definition).items()
            for word in words
            if word not in own.get(skill, {})
        ]
        if skills:
            yield Inconsistency(("skill_words",), f"these are still in English: {', '.join(skills)}; write them")
    for key, wording in definition.wordings.items():
        path = ("wordings", key)
        if not _WORDING.fullmatch(key):
            yield Inconsistency(
                path, "this is neither a language (es), nor a channel (whatsapp), nor both (es/whatsapp)"
            )
        for kind, names, there in (
            ("states", wording.states, definition.states),
            ("slots", wording.slots, definition.slots),
            ("prompts", wording.prompts, _prompts(definition)),
            ("interruptions", wording.interruptions, definition.interruptions.offered),
            ("digressions", wording.digressions, definition.digressions),
        ):
            for name in names:
                if name not in there:
                    told = ", ".join(there) or "none"
                    yield Inconsistency((*path, kind, name), f"there is no {name!r} under `{kind}`; there are {told}")
        if _LANGUAGE.fullmatch(key) and (missing := list(_untranslated(definition, key))):
            yield Inconsistency(path, f"without words for {', '.join(missing)}; write them")


def _prompts(definition: "Definition") -> list[str]:
    """Name the prompts that every language needs. What to say about a problem may be left out."""
    return [name for name in type(definition.prompts).model_fields if name != "problems"]


def _untranslated(definition: "Definition", language: str) -> Iterator[str]:
    """Name the texts that a language leaves as they are."""
    wording = definition.wordings[language]
    for kind in ("states", "slots"):
        others = getattr(wording, kind)
        for name, texts in getattr(definition, kind).items():
            other = others.get(name)
            for field in _WORDED[kind].model_fields:
                if getattr(texts, field) and not (other and getattr(other, field)):
                    yield f"{kind}.{name}.{field}"
    yield from (f"prompts.{name}" for name in _prompts(definition) if name not in wording.prompts)
    yield from (f"digressions.{name}" for name in definition.digressions if name not in wording.digressions)
    yield from (
        f"skill_words.{skill}.{word}"
        for skill, words in skill_uses.words(definition).items()
        for word in words
        if word not in wording.skill_words.get(skill, {})
    )
    for name, interruption in definition.interruptions.offered.items():
        for field in ("confirm", "say"):
            other = wording.interruptions.get(name)
            if getattr(interruption, field) and not (other and getattr(other, field)):
                yield f"interruptions.{name}.{field}"


def _unknown_placeholders(
    definition: "Definition", texts: Iterable[tuple[Path, str, frozenset[str]]]
) -> Iterator[Inconsistency]:
    known = {*definition.slots, *definition.context}
    if any(state.score for state in definition.states.values()):
        known |= {SCORE, MUST_HAVE_FAILED}
    for path, text, extra in texts:
        for name in placeholders(text):
            if name not in known | extra | _SPOKEN:
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
        yield ("states", name, "ask_together"), state.ask_together, nothing
        yield ("states", name, "reply"), state.reply, nothing
    for name, slot in definition.slots.items():
        yield ("slots", name, "ask"), slot.ask, _ABOUT_SLOT
        yield ("slots", name, "thanks"), slot.thanks, _ABOUT_SLOT
        yield ("slots", name, "help"), slot.help, _ABOUT_QUESTION
        yield ("slots", name, "reminder"), slot.reminder, _ABOUT_QUESTION
        for place, text in enumerate(slot.reprompts):
            yield ("slots", name, "reprompts", place), text, _ABOUT_QUESTION
    for name, interruption in definition.interruptions.offered.items():
        yield ("interruptions", name, "confirm"), interruption.confirm, nothing
        yield ("interruptions", name, "say"), interruption.say, nothing
    for name, digression in definition.digressions.items():
        yield ("digressions", name, "say"), digression.say, _ABOUT_QUESTION
    yield from _skill_texts(("skill_words",), definition.skill_words)
    for key, wording in definition.wordings.items():
        yield from _other_texts(("wordings", key), wording)
    yield from _prompt_texts(("prompts",), dict(definition.prompts))


def _other_texts(path: Path, wording: Wording) -> Iterable[tuple[Path, str, frozenset[str]]]:
    for kind, others, extra in (
        ("states", wording.states, frozenset[str]()),
        ("slots", wording.slots, _ABOUT_QUESTION),
        ("interruptions", wording.interruptions, frozenset[str]()),
    ):
        for name, other in others.items():
            for field, text in other:
                for one in (text,) if isinstance(text, str) else text:
                    yield (*path, kind, name, field), one, extra
    for name, text in wording.digressions.items():
        yield (*path, "digressions", name), text, _ABOUT_QUESTION
    yield from _skill_texts((*path, "skill_words"), wording.skill_words)
    yield from _prompt_texts((*path, "prompts"), wording.prompts)


def _skill_texts(path: Path, skills: Mapping[str, Mapping[str, str]]) -> Iterable[tuple[Path, str, frozenset[str]]]:
    """List the words of skills; they may mention what the skill's own words mention."""
    for skill, words in skills.items():
        for word, text in words.items():
            yield (*path, skill, word), text, skill_uses.mentioned(skill)


def _prompt_texts(path: Path, prompts: Mapping[str, object]) -> Iterable[tuple[Path, str, frozenset[str]]]:
    for field, text in prompts.items():
        match field, text:
            case _, str():
                yield (
                    (*path, field),
                    text,
                    _ABOUT_QUESTION | ({"value"} if field in _ABOUT_VALUES else frozenset()),
                )
            case _, tuple():
                for place, one in enumerate(text):
                    yield (*path, field, place), one, _ABOUT_QUESTION
            case _, dict():
                for reason, one in text.items():
                    yield (*path, field, str(reason)), one, _ABOUT_QUESTION
