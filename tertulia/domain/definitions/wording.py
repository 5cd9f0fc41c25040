"""Other words for the same application: for people of another language, or on another channel."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field

from tertulia.domain.compact import Compact


class StateWording(Compact):
    """What a state says otherwise.

    Attributes:
        say: Instead of the state's own.
        ask_together: Instead of the state's own.
    """

    say: str = ""
    ask_together: str = ""


class SlotWording(Compact):
    """What is said about a slot otherwise; everything stands instead of the slot's own.

    Attributes:
        ask: The question.
        label: What people call it.
        help: Said when somebody asks for help.
        example: A good answer.
        thanks: Said after an answer.
        reminder: Said after a long silence.
        reprompts: Said after answers that were not understood.
    """

    ask: str = ""
    label: str = ""
    help: str = ""
    example: str = ""
    thanks: str = ""
    reminder: str = ""
    reprompts: tuple[str, ...] = Field(default=(), max_length=3)


class InterruptionWording(Compact):
    """What an interruption says otherwise.

    Attributes:
        confirm: Instead of its own.
        say: Instead of its own.
    """

    confirm: str = ""
    say: str = ""


class Wording(Compact):
    """Other words for the same application, for people of another language or on another channel.

    Attributes:
        states: By the state's name.
        slots: By the slot's name.
        prompts: By the prompt's name.
        interruptions: By the interruption's name.
        digressions: Other answers, by the digression's name.
        skill_words: Other words of skills, by the skill's name and the word's.
    """

    states: dict[str, StateWording] = {}
    slots: dict[str, SlotWording] = {}
    prompts: dict[str, str | tuple[str, ...]] = {}
    interruptions: dict[str, InterruptionWording] = {}
    digressions: dict[str, str] = {}
    skill_words: dict[str, dict[str, str]] = {}


_Worded = TypeVar("_Worded", bound=Compact)


def reworded(texts: Mapping[str, _Worded], others: Mapping[str, Compact]) -> dict[str, _Worded]:
    """Return texts with those replaced for which there are other words."""
    return dict(texts) | {
        name: texts[name].model_copy(update={field: text for field, text in other if text})
        for name, other in others.items()
        if name in texts
    }
