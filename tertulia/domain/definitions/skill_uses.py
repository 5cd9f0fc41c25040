"""What makes the use of skills in a definition consistent: each is there, and has the states and slots it needs."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tertulia.domain.definitions.inconsistency import Inconsistency, Path
from tertulia.domain.definitions.templates import placeholders
from tertulia.domain.skills import SKILLS

if TYPE_CHECKING:
    from tertulia.domain.definitions.definition import Definition, State, Use


def used(definition: "Definition") -> list[str]:
    """Name the skills that a definition uses, each once."""
    names = (*(use.use for use in definition.uses), *(state.run for state in definition.states.values()))
    return [name for name in dict.fromkeys(names) if name in SKILLS]


def words(definition: "Definition") -> dict[str, Mapping[str, str]]:
    """Return what the skills say that a definition uses, by their names."""
    return {name: SKILLS[name].words for name in used(definition)}


def mentioned(skill: str) -> frozenset[str]:
    """Name what the words of a skill may mention, besides what any text may: all that its own words do."""
    standard = SKILLS[skill].words.values() if skill in SKILLS else ()
    return frozenset(name for text in standard for name in placeholders(text))


def needs(definition: "Definition") -> frozenset[str]:
    """Name the slots that the skills read."""
    return frozenset(slot for name in used(definition) for slot in SKILLS[name].needs)


def gives(definition: "Definition") -> frozenset[str]:
    """Name the slots that the skills may fill."""
    return frozenset(slot for name in used(definition) for slot in SKILLS[name].gives)


def inconsistencies(definition: "Definition") -> Iterator[Inconsistency]:
    """Find skills that there are not, that are listed in vain, or that lack what they need."""
    yield from _uses(("skills",), definition.skills, definition)
    for name, state in definition.states.items():
        yield from _uses(("states", name, "skills"), state.skills, definition)
        if state.run:
            yield from _run(("states", name), state, definition)
    yield from _words(definition)


def _uses(path: Path, uses: "tuple[Use, ...]", definition: "Definition") -> Iterator[Inconsistency]:
    seen = set[str]()
    for place, use in enumerate(uses):
        at = (*path, place)
        if use.use not in SKILLS:
            yield _unknown((*at, "use"), use.use)
        elif use.use in seen:
            yield Inconsistency(at, f"{use.use!r} is on offer here already; remove one of the two")
        else:
            yield from _use(at, use, definition)
        seen.add(use.use)


def _use(path: Path, use: "Use", definition: "Definition") -> Iterator[Inconsistency]:
    skill, target = SKILLS[use.use], definition.states.get(use.to)
    if use.to and target is None:
        yield Inconsistency((*path, "to"), f"there is no state {use.to!r}; there are {', '.join(definition.states)}")
    elif skill.is_led and target is None:
        yield Inconsistency(path, f"{use.use!r} needs a state; say which one under `to`")
    elif use.use == "handover" and target and not target.hand_over:
        yield Inconsistency((*path, "to"), f"{use.to!r} has no `hand_over`; name a state that has")
    yield from _lacking(path, use.use, definition)


def _run(path: Path, state: "State", definition: "Definition") -> Iterator[Inconsistency]:
    if state.run not in SKILLS:
        yield _unknown((*path, "run"), state.run)
        return
    if SKILLS[state.run].does is None:
        yield Inconsistency((*path, "run"), f"{state.run!r} only leads to a state, and has no work of its own to do")
    if not state.next or state.next[-1].when is not None:
        yield Inconsistency(
            (*path, "run"), "say where to go on when the work is done: end `next` with a step that has no condition"
        )
    yield from _lacking((*path, "run"), state.run, definition)


def _lacking(path: Path, name: str, definition: "Definition") -> Iterator[Inconsistency]:
    for slot in SKILLS[name].needs:
        if slot not in definition.slots:
            yield Inconsistency(path, f"{name!r} needs the slot {slot!r}; define it under `slots`, and ask for it")


def _words(definition: "Definition") -> Iterator[Inconsistency]:
    there = words(definition)
    places: dict[Path, Mapping[str, Mapping[str, str]]] = {("skill_words",): definition.skill_words}
    places |= {("wordings", key, "skill_words"): wording.skill_words for key, wording in definition.wordings.items()}
    for place, skills in places.items():
        for skill, own in skills.items():
            if skill not in there:
                told = ", ".join(there) or "none"
                yield Inconsistency((*place, skill), f"the skill {skill!r} is not used; those used are {told}")
            for word in own.keys() - there.get(skill, own).keys():
                told = ", ".join(there[skill]) or "none"
                yield Inconsistency((*place, skill, word), f"{skill!r} has no words {word!r}; it has {told}")


def _unknown(path: Path, name: str) -> Inconsistency:
    return Inconsistency(path, f"there is no skill {name!r}; there are {', '.join(SKILLS)}")
