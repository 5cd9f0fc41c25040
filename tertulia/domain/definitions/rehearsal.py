"""Conversations written down ahead, played against the state machine, and what of a definition they have gone through.

A rehearsal needs no server and no clock: providers answer what the script says, and time stands still.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BeforeValidator, Field, JsonValue, model_validator

from tertulia.domain import machine
from tertulia.domain.compact import Compact
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errands import Outcome as Found
from tertulia.domain.events import (
    AskProvider,
    Effect,
    EndSession,
    ErrandDone,
    ErrandFailed,
    Event,
    HandOver,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    RejectTransition,
    ReminderDue,
    RunErrand,
    Say,
    SessionExpired,
    SessionStarted,
    TransitionRequested,
)
from tertulia.domain.machine_state import MachineState

# A Tuesday. Any day will do, as long as it stays the same.
_DAY = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
_PATTERN = re.compile(r"/(.*)/", re.DOTALL)
# Where an interruption comes from.
ANYWHERE = "*"
# What is asked for again and again is a fault; a turn of the engine gives up as early.
_ASKS = 5


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])]


class Step(Compact):
    """One thing that happens, and what is expected of it. Without anything that happens: the beginning.

    Attributes:
        said: What the person says.
        waits: What a long silence leads to: `reminder` or `expiry`.
        moved_to: The state to which an operator moves the session.
        provider: What providers answer when they are asked in this step, in turn; empty: none can answer.
        data: What comes of the errands that skills have in this step, in turn; empty: none can be done.
        reply: What is said to the person, piece by piece and complete; `/…/` is a regular expression found in a piece.
        asks: The slot whose question is then open.
        state: The state that the conversation is then in.
        slots: Values that are then known; null: nothing is.
        ends: Why the session then closes.
        hands_over: Why a human then takes over.
        refused: Which states the move is refused in favour of.
    """

    said: str | None = None
    waits: Literal["reminder", "expiry"] | None = None
    moved_to: str | None = None
    provider: Texts | None = None
    data: tuple[Found, ...] | None = None
    reply: Texts | None = None
    asks: str | None = None
    state: str | None = None
    slots: dict[str, JsonValue] = {}
    ends: str | None = None
    hands_over: str | None = None
    refused: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(happening is not None for happening in (self.said, self.waits, self.moved_to)) > 1:
            raise ValueError("only one of `said`, `waits` and `moved_to` happens in a step; make it two")
        return self

    @property
    def event(self) -> Event | None:
        """What happens; None at the beginning."""
        if self.said is not None:
            return PersonSaid(text=self.said)
        if self.moved_to is not None:
            return TransitionRequested(state=self.moved_to)
        if self.waits is not None:
            return ReminderDue() if self.waits == "reminder" else SessionExpired()
        return None


class Script(Compact):
    """One conversation.

    Attributes:
        it: What it shows.
        context: What the session is opened with.
        channel: On which the person writes.
        at: When it is held.
        steps: What happens, in order.
    """

    it: str
    context: dict[str, JsonValue] = {}
    channel: str = ""
    at: AwareDatetime = _DAY
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _begins_once(self) -> Self:
        if any(step.event is None for step in self.steps[1:]):
            raise ValueError("every step but the first has one of `said`, `waits` and `moved_to`")
        return self


class Scripts(Compact):
    """The conversations with one definition.

    Attributes:
        conversations: In any order; each begins anew.
    """

    conversations: tuple[Script, ...] = Field(min_length=1)


class Miss(NamedTuple):
    """Something that came otherwise: in which step (counted from 0), which expectation, and how."""

    step: int
    expectation: str
    what: str


class Way(NamedTuple):
    """A passage from one state to another."""

    source: str
    target: str


class Rehearsed(NamedTuple):
    """What came of a conversation."""

    misses: tuple[Miss, ...]
    states: frozenset[str]
    ways: frozenset[Way]


class Outcome(NamedTuple):
    """What can be seen of a step."""

    reply: str
    state: str
    asks: str | None
    slots: Mapping[str, JsonValue]


def rehearse(definition: Definition, script: Script) -> Rehearsed:
    """Play a conversation; it goes on after a miss, so that all of them are told at once."""
    stage = _Stage(definition, script.at)
    stage.happens(SessionStarted(context=script.context, channel=script.channel), _NOTHING)
    misses: list[Miss] = []
    for number, step in enumerate(script.steps):
        if step.event is not None:
            stage.happens(step.event, step)
        misses += stage.compare(number, step)
    return Rehearsed(tuple(misses), frozenset(stage.states), frozenset(stage.ways))


def ways(definition: Definition) -> frozenset[Way]:
    """List all the ways from state to state that a definition has: by itself, by hand, by skill, by interruption."""
    return frozenset(
        Way(name, target)
        for name, state in definition.states.items()
        for target in (
            *(step.to for step in state.next),
            *definition.may_follow(name),
            *(use.to for use in state.skills if use.to),
        )
    ) | {Way(ANYWHERE, target) for target in definition.jumps()}


def seen(step: Step, number: int, outcome: Outcome) -> Iterator[Miss]:
    """Compare what is expected of a step with what can be seen from outside."""
    if step.reply is not None and not re.fullmatch("\n\n".join(map(_pattern, step.reply)), outcome.reply):
        yield Miss(number, "reply", f"said {outcome.reply!r}")
    if step.state is not None and outcome.state != step.state:
        yield Miss(number, "state", f"the state is {outcome.state!r}, not {step.state!r}")
    if step.asks is not None and outcome.asks != step.asks:
        yield Miss(number, "asks", f"asks for {outcome.asks!r}, not for {step.asks!r}")
    for name, value in step.slots.items():
        if outcome.slots.get(name) != value:
            yield Miss(number, "slots", f"{name} is {outcome.slots.get(name)!r}, not {value!r}")


def _pattern(expected: str) -> str:
    if found := _PATTERN.fullmatch(expected.strip()):
        return f"(?s:.*?(?:{found[1]}).*?)"
    return re.escape(expected.strip())


_NOTHING = Step(provider=(), data=())


class _Stage:
    """A conversation being held."""

    def __init__(self, definition: Definition, at: datetime) -> None:
        self.states: set[str] = set()
        self.ways: set[Way] = set()
        self._definition = definition
        self._ways = ways(definition)
        self._at = at
        self._state: MachineState = machine.initial(definition)
        self._effects: list[Effect] = []
        self._unforeseen: list[str] = []

    def happens(self, event: Event, step: Step) -> None:
        """Let something happen, with what the step says of providers and of data."""
        answers, data = iter(step.provider or ()), iter(step.data or ())
        self._effects, self._unforeseen = [], []
        following: Event | None = event
        for _ in range(_ASKS):
            if following is None:
                return
            following = _following(self._advance(following), answers, data)
            if isinstance(following, ProviderAnswered | ProvidersFailed) and step.provider is None:
                self._unforeseen.append("provider")
            if isinstance(following, ErrandDone | ErrandFailed) and step.data is None:
                self._unforeseen.append("data")

    def _advance(self, event: Event) -> Sequence[Effect]:
        passed = machine.passages(self._definition, self._state, event, self._at)
        self._state, effects = machine.advance(self._definition, self._state, event, self._at)
        self.ways |= {way if (way := Way(*passage)) in self._ways else Way(ANYWHERE, way.target) for passage in passed}
        self.states |= {target for _, target in passed} | {self._state.state}
        self._effects += effects
        return effects

    def compare(self, number: int, step: Step) -> Iterator[Miss]:
        said = (effect.text.strip() for effect in self._effects if isinstance(effect, Say))
        yield from seen(
            step, number, Outcome("\n\n".join(said), self._state.state, self._state.asking, self._state.known)
        )
        if "provider" in self._unforeseen:
            yield Miss(number, "provider", "a provider is asked; write what it answers under `provider`, or []")
        if "data" in self._unforeseen:
            asked = [each.errand.request.kind for each in self._effects if isinstance(each, RunErrand)]
            yield Miss(number, "data", f"data is needed ({', '.join(asked)}); write what there is under `data`, or []")
        for expectation, expected, found in (
            ("ends", step.ends, [effect.reason for effect in self._effects if isinstance(effect, EndSession)]),
            ("hands_over", step.hands_over, [each.reason for each in self._effects if isinstance(each, HandOver)]),
            ("refused", step.refused, [each.allowed for each in self._effects if isinstance(each, RejectTransition)]),
        ):
            if found != ([] if expected is None else [expected]):
                yield Miss(number, expectation, f"is {found[0] if found else None!r}, not {expected!r}")


def _following(effects: Sequence[Effect], answers: Iterator[str], data: Iterator[Found]) -> Event | None:
    """Make the event with which the last effect comes back."""
    match effects[-1:]:
        case (AskProvider(ask=ask),):
            answer = next(answers, None)
            return ProvidersFailed(ask=ask) if answer is None else ProviderAnswered(ask=ask, text=answer)
        case (RunErrand(errand=errand),):
            found = next(data, None)
            return ErrandFailed(errand=errand) if found is None else ErrandDone(errand=errand, outcome=found)
        case _:
            return None
