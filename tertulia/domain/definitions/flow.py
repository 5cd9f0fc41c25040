"""The ways through a definition: states that nothing leads to or out of, questions that nobody asks or uses.

Only for definitions whose references are in order: see definition_checks.py.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tertulia.domain.definitions import guards, skill_uses
from tertulia.domain.definitions.inconsistency import Inconsistency
from tertulia.domain.definitions.templates import placeholders

if TYPE_CHECKING:
    from tertulia.domain.definitions.definition import Definition, State


def flaws(definition: "Definition", texts: list[str]) -> list[Inconsistency]:
    """Find states and slots that can't play the part that they are meant for.

    Args:
        texts: Everything that the definition may say.
    """
    return [
        *_unreachable(definition),
        *(flaw for name, state in definition.states.items() for flaw in _dead_end(definition, name, state)),
        *_circles(definition),
        *_slots(definition, texts),
    ]


def _unreachable(definition: "Definition") -> Iterator[Inconsistency]:
    seen, ahead = set[str](), {definition.initial, *definition.jumps()}
    while ahead:
        name = ahead.pop()
        seen.add(name)
        state = definition.states[name]
        skills = {use.to for use in state.skills if use.to}
        ahead |= {*(step.to for step in state.next), *definition.may_follow(name), *skills} - seen
    for name in definition.states:
        if name not in seen:
            yield Inconsistency(
                ("states", name), f"nothing leads to {name!r}; name it under another state's `next`, or remove it"
            )


def _dead_end(definition: "Definition", name: str, state: "State") -> Iterator[Inconsistency]:
    for place, step in enumerate(state.next):
        if step.when is None and place + 1 < len(state.next):
            yield Inconsistency(
                ("states", name, "next", place + 1),
                f"this is never reached, for {step.to!r} ahead of it is always taken; give that one a `when`",
            )
            return
    if state.ends or state.reply or state.hand_over or any(step.when is None for step in state.next):
        return
    if state.next:
        yield Inconsistency(
            ("states", name, "next"),
            "where none of these conditions holds the conversation is stuck; end with a step that has none, or add a"
            " `reply`",
        )
    elif not state.say and not definition.may_follow(name):
        yield Inconsistency(
            ("states", name), "this is a dead end; add `next`, or something to `say`, a `reply`, or `ends: true`"
        )


def _circles(definition: "Definition") -> Iterator[Inconsistency]:
    """Find states that always lead back to themselves: once all is answered, nothing would stop them."""
    always = {
        name: state.next[0].to
        for name, state in definition.states.items()
        if state.next and state.next[0].when is None and not state.ends
    }
    settled = set[str]()
    for start in always:
        way: list[str] = []
        name: str | None = start
        while name is not None and name not in settled:
            settled.add(name)
            way.append(name)
            name = always.get(name)
        if name in way:
            circle = " → ".join((*way[way.index(name) :], name))
            yield Inconsistency(
                ("states", name, "next"), f"nothing ever leaves this circle: {circle}; give a step in it a `when`"
            )


def _slots(definition: "Definition", texts: list[str]) -> Iterator[Inconsistency]:
    states = definition.states.values()
    asked = {slot for state in states for slot in state.ask}
    worked_out = {slot for state in states for slot in state.sets} | skill_uses.gives(definition)
    is_scored = any(state.score for state in states)
    used = {
        *_used(definition, texts),
        *skill_uses.needs(definition),
        *(definition.slots if definition.results is None else definition.results),
    }
    for name, slot in definition.slots.items():
        if name not in asked | worked_out:
            yield Inconsistency(
                ("slots", name), f"{name!r} is never asked for; name it under a state's `ask`, or remove it"
            )
        elif name not in used and not (slot.score and is_scored):
            yield Inconsistency(
                ("slots", name),
                f"{name!r} is asked for and never used; list it under `results`, or don't ask for it",
            )
        if slot.score and not is_scored:
            yield Inconsistency(
                ("slots", name, "score"), "no state works out a score; give one `score: true`, or remove this"
            )


def _used(definition: "Definition", texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from placeholders(text)
    for state in definition.states.values():
        expressions = (*state.sets.values(), *(step.when for step in state.next if step.when))
        for expression in expressions:
            yield from guards.names(expression)
            yield from (text for name, text in guards.literals(expression) if name == "answered")
    for slot in definition.slots.values():
        yield from slot.depends_on
