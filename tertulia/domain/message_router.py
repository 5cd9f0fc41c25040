"""What a message is for: the skill that it asks for, by rule; else the one that a provider has chosen."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tertulia.domain.definitions.definition import Definition, Use
from tertulia.domain.interpretation import Answers, Greeting, Interpretation, Question, Unclear
from tertulia.domain.providers.completions import field_in
from tertulia.domain.skills import SKILLS, Heard, Skill, request_said

# Kinds of slot that take any words for an answer, those of a request too.
_ANY_WORDS = frozenset({"text", "name", "location", "document"})
# A choice is one among several; a single skill that the rules have not recognised is not meant.
_FEWEST = 2


class Called(NamedTuple):
    """A skill that is called for, and what was said along."""

    use: Use
    heard: Heard = {}


def leaves_room(definition: Definition, meant: Interpretation) -> bool:
    """Tell whether a message may ask for a skill, after what has been made of it with regard to the open question.

    What answers the question stays an answer, except where the question would take any words for one.
    """
    match meant:
        case Question() | Unclear() | Greeting():
            return True
        case Answers():
            return all(definition.slots[name].type in _ANY_WORDS for name in meant.values)
        case _:
            return False


def recognised(uses: Mapping[str, Use], text: str) -> Called | None:
    """Find the first skill that the rules see in a message."""
    for use, skill in _known(uses):
        heard = skill.recognises(text)
        if heard is not None:
            return Called(use, heard)
        if use.also and request_said(use.also, text):
            return Called(use)
    return None


def _known(uses: Mapping[str, Use]) -> Iterator[tuple[Use, Skill]]:
    return ((use, SKILLS[name]) for name, use in uses.items() if name in SKILLS)


def choosable(definition: Definition, state: str) -> dict[str, Use]:
    """Return the skills among which a provider may choose in a state, by name; none where that is no choice."""
    found = {use.use: use for use, _ in _known(definition.skills_in(state)) if use.use_provider}
    return found if len(found) >= _FEWEST else {}


def chosen(uses: Mapping[str, Use], text: str) -> Use | None:
    """Read a provider's choice; None where it has chosen nothing, or nothing that is on offer."""
    name = field_in(text, "skill")
    return uses.get(name) if isinstance(name, str) else None
