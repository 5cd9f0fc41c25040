"""Small definitions, and conversations with them or with the bundled ones, for tests of the state machine."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tertulia.domain import machine
from tertulia.domain.conversation import NextAction
from tertulia.domain.definitions.definition import CheckedDefinition, Definition
from tertulia.domain.events import (
    Ask,
    AskProvider,
    Effect,
    EndSession,
    Event,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    RejectTransition,
    ReminderDue,
    Say,
    SessionExpired,
    SessionStarted,
    TransitionRequested,
)
from tertulia.storage.definition_files import DefinitionFiles

# A Tuesday.
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)

BUNDLED = DefinitionFiles(Path(__file__).parents[2] / "definitions")

EXAMPLE: dict[str, Any] = {
    "name": "example",
    "version": "1",
    "title": "Example",
    "initial": "asking",
    "states": {"asking": {"ask": ["name"], "next": "done"}, "done": {"say": "Goodbye, {name|friend}."}},
    "slots": {"name": {"type": "name", "ask": "Who are you?"}},
}


def define(**given: Any) -> Definition:
    """Make a definition with one state that asks for a name, unless told otherwise."""
    return CheckedDefinition.model_validate(EXAMPLE | given)


def define_unchecked(**given: Any) -> Definition:
    """Make a definition as a session carries it: of the right shape, but nobody has looked where it leads."""
    return Definition.model_validate(EXAMPLE | given)


class Conversation:
    """Keeps the machine's state between events, and the effects of the last one."""

    def __init__(self, definition: Definition, context: Mapping[str, Any] | None = None, channel: str = "") -> None:
        self.definition = definition
        self.state = machine.initial(definition)
        self.effects: tuple[Effect, ...] = ()
        self.happens(SessionStarted(context=dict(context or {}), channel=channel))

    def happens(self, event: Event) -> Self:
        self.state, self.effects = machine.advance(self.definition, self.state, event, NOW)
        return self

    def hears(self, *texts: str) -> Self:
        for text in texts:
            self.happens(PersonSaid(text=text))
        return self

    def is_answered(self, text: str) -> Self:
        return self.happens(ProviderAnswered(ask=self.asked, text=text))

    def finds_no_provider(self) -> Self:
        return self.happens(ProvidersFailed(ask=self.asked))

    def waits_until_reminded(self) -> Self:
        return self.happens(ReminderDue())

    def waits_until_expired(self) -> Self:
        return self.happens(SessionExpired())

    def is_moved_to(self, state: str) -> Self:
        return self.happens(TransitionRequested(state=state, reason="by hand"))

    @property
    def said(self) -> list[str]:
        return [effect.text for effect in self.effects if isinstance(effect, Say)]

    @property
    def asked(self) -> Ask:
        assert self.effects
        last = self.effects[-1]
        assert isinstance(last, AskProvider)
        return last.ask

    @property
    def rejected(self) -> RejectTransition:
        (effect,) = self.effects
        assert isinstance(effect, RejectTransition)
        return effect

    @property
    def has_ended(self) -> bool:
        return any(isinstance(effect, EndSession) for effect in self.effects)

    @property
    def next_action(self) -> NextAction:
        return machine.next_action(self.definition, self.state)

    @property
    def still_to_ask(self) -> tuple[str, ...]:
        return machine.still_to_ask(self.definition, self.state)
