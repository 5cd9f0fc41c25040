"""How far a person has come through the questions of a definition."""

from collections.abc import Iterable, Mapping
from typing import Any

from tertulia.domain.conversation import Payload
from tertulia.domain.definitions.definition import Definition


class Progress(Payload):
    """Where a person stands: at question `number` of `total`; past the last one `number` is `total`."""

    number: int
    total: int


def progress(definition: Definition, state: str, known: Mapping[str, Any], asking: str | None) -> Progress | None:
    """Count the questions behind and ahead of a person.

    Those that only some ways lead to count as long as they may still come.

    Args:
        known: What the person has told.
        asking: The slot whose question is open.

    Returns:
        None where nothing is asked at all, and where the conversation is in a state that is not the definition's.
    """
    if state not in definition.states:
        return None
    ahead = _asked(definition, definition.reached_from(state)) - _settled(definition, state, known, asking)
    behind = {slot for slot in definition.asked if slot in known or slot in _passed(definition, state)} - ahead
    behind |= _settled(definition, state, known, asking)
    total = len(behind | ahead)
    return Progress(number=min(len(behind) + 1, total), total=total) if total else None


def _settled(definition: Definition, state: str, known: Mapping[str, Any], asking: str | None) -> set[str]:
    """Name the slots that are answered, and those that the state has asked for in vain before the open question."""
    asks = definition.states[state].ask
    before = asks[: asks.index(asking)] if asking in asks else ()
    return ({slot for slot in definition.asked if slot in known} | set(before)) - {asking}


def _passed(definition: Definition, state: str) -> set[str]:
    """Name the slots of states that every way from the beginning to a state leads through."""
    gone = definition.states.keys() - definition.reached_from(state)
    return _asked(definition, (name for name in gone if not _leads_around(definition, name, state)))


def _leads_around(definition: Definition, name: str, target: str) -> bool:
    found, ahead = {name}, [definition.initial] if name != definition.initial else []
    while ahead:
        here = ahead.pop()
        if here == target:
            return True
        found.add(here)
        ahead += [step.to for step in definition.states[here].next if step.to not in found]
    return False


def _asked(definition: Definition, states: Iterable[str]) -> set[str]:
    return {slot for name in states if name in definition.states for slot in definition.states[name].ask}
