"""A definition as a picture, in Mermaid's language for state diagrams."""

from collections.abc import Iterator

from tertulia.domain.definitions.definition import Definition, State

_CHARS = 60
_MARK = "classDef current fill:#0f766e,color:#fff,stroke:#0f766e"


def diagram(definition: Definition, current: str | None = None) -> str:
    """Draw the states with what is asked in them, the steps with their conditions, and where a session ends.

    Args:
        current: A state to mark as the one that a session is in.
    """
    marked = [_MARK, f"class {current} current"] if current in definition.states else []
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in (*_lines(definition), *marked)), ""])


def _lines(definition: Definition) -> Iterator[str]:
    yield f"[*] --> {definition.initial}"
    for name, state in definition.states.items():
        if told := _told(state):
            # A description alone would stand in the place of the name.
            yield f"{name} : {name}"
            yield f"{name} : {told}"
        for step in state.next:
            condition = f" : {_safe(step.when)}" if step.when else ""
            yield f"{name} --> {step.to}{condition}"
        yield from (f"{name} --> {use.to} : {_spoken(use.use)}" for use in state.skills if use.to)
        if state.ends:
            yield f"{name} --> [*]"
    for name, state in definition.states.items():
        steps = {step.to for step in state.next}
        yield from (f"{name} --> {target} : by hand" for target in definition.may_follow(name) if target not in steps)
    for interruption, each in definition.interruptions.offered.items():
        if each.to:
            yield f"anywhere --> {each.to} : {_spoken(interruption)}"
    yield from (f"anywhere --> {use.to} : {_spoken(use.use)}" for use in definition.skills if use.to)
    for name, slot in definition.slots.items():
        if slot.give_up_to:
            yield f"anywhere --> {slot.give_up_to} : no answer to {name}"


def _told(state: State) -> str:
    asked = f"asks {', '.join(state.ask)}" if state.ask else ""
    run = f"does {_spoken(state.run)}" if state.run else ""
    parts = (asked, run, "a provider replies" if state.reply else "", "a human takes over" if state.hand_over else "")
    return _safe("; ".join(part for part in parts if part))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _safe(text: str) -> str:
    """Leave out what would end a label."""
    shown = " ".join(text.replace(";", ",").replace(":", " ").replace("#", " ").split())
    return shown if len(shown) <= _CHARS else f"{shown[: _CHARS - 1]}…"
