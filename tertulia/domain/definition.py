"""An application as data: its states, its slots, and what it says. It enters a session by value."""

import hashlib
import json
import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tertulia.domain import definition_checks
from tertulia.domain.compact import Compact
from tertulia.domain.ids import DefinitionHash, Identifier
from tertulia.domain.lifecycle import LIFE_CYCLE
from tertulia.domain.slots import Reason, Slot

_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _duration(given: Any) -> Any:
    """Read "90s", "15m", "24h", "14d" or "2w"; leave the rest (ISO 8601) to pydantic."""
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else given


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]


class DoubleText(StrEnum):
    """What happens to a message that arrives while a turn runs."""

    QUEUE = "queue"  # it waits for its own turn
    REJECT = "reject"  # it is refused
    MERGE = "merge"  # it is answered together with the other waiting ones
    INTERRUPT = "interrupt"  # it stops the running turn and takes its place


class Guard(StrEnum):
    """Conditions on a step."""

    QUESTIONS_LEFT = "questions_left"  # the state that the step leads to still has something to ask


class Step(Compact):
    """Where a state goes on to; taken if `when` holds."""

    to: str
    when: Guard | None = None


def _steps(given: Any) -> Any:
    steps = [given] if isinstance(given, str | dict) else given
    return [{"to": step} if isinstance(step, str) else step for step in steps] if isinstance(steps, list) else steps


class State(Compact):
    """A state: what is said and asked in it, and where it goes on to.

    A state waits for the person as long as it has something to ask; then it takes the first step whose condition holds.
    Without such a step it rests, and every message is answered by `reply` or else by the closing prompt.

    Attributes:
        say: Said on entry.
        ask: Slots to fill, in order.
        one_at_a_time: Go on after every answer rather than after the last.
        reply: Instructions to a provider, which then answers every message that a question does not claim.
        score: Work out the score on entry.
        ends: The session closes on entry.
    """

    say: str = ""
    ask: tuple[str, ...] = ()
    one_at_a_time: bool = False
    reply: str = ""
    score: bool = False
    ends: bool = False
    next: Annotated[tuple[Step, ...], BeforeValidator(_steps)] = ()


class Timers(Compact):
    """How long a silence lasts until the person is reminded, and until the session expires; None: for ever."""

    reminder_after: Duration | None = None
    expire_after: Duration | None = None


class Limits(Compact):
    """How long a message may be, in characters, and how many may wait."""

    message_chars: int = Field(default=16_000, ge=1, le=100_000)
    waiting_messages: int = Field(default=20, ge=1, le=1000)


class Prompts(Compact):
    """What every application has to be able to say.

    Attributes:
        apology: A provider was needed, and none could answer.
        no_answer: The same, when a question came in the middle of the person's own answers.
        reminder: After a long silence. `{question}` is the open one, empty where there is none.
        expired: Said when the session expires.
        closing: Answer to messages after the end.
        help: Answer to "help" where the slot has none of its own.
        skipped: A slot was skipped.
        cannot_skip: A slot can't be.
        corrected: An earlier answer was changed; `{label}` and `{value}`.
        misunderstood: After the first, second and every further misunderstanding, where the slot has no reprompts.
        problems: What to tell about each reason, ahead of the reprompt; nothing for those that are not listed.
    """

    apology: str = "Sorry, I can't answer right now. Nothing is lost: please send your message again in a moment."
    no_answer: str = "Sorry, I can't answer that right now."
    reminder: str = "Are you still there? {question}"
    expired: str = "This conversation has been closed because it has been quiet for a long time."
    closing: str = "This conversation is complete. Thank you!"
    help: str = "Just answer in your own words."
    skipped: str = "All right, let's leave that."
    cannot_skip: str = "I'm afraid I can't go on without this one."
    corrected: str = "Thanks, I have changed your {label} to {value}."
    misunderstood: tuple[str, ...] = Field(
        default=(
            "Sorry, I didn't get that. {question}",
            "I still didn't get that. An answer could look like this: {example}",
            "Let me try once more. {question} An answer could look like this: {example}",
        ),
        min_length=1,
        max_length=3,
    )
    problems: dict[Reason, str] = {}


class Definition(Compact):
    """A whole application.

    Attributes:
        persona: Who a provider speaks as; ahead of every instruction.
        digression: Instructions to a provider for questions that come instead of an answer; empty: none is asked.
        transitions: For states whose names are not the standard ones: which may follow. Left out, a state's own `next`.
        window: How many messages of the transcript a provider is sent.
        context: Values that a session may be opened with, and what stands in for each.
    """

    name: Identifier
    version: str
    title: str
    language: str = Field(default="en", pattern=r"^[a-z]{2}$")
    persona: str = ""
    digression: str = ""
    initial: str
    states: dict[str, State] = Field(min_length=1)
    slots: dict[str, Slot] = {}
    transitions: dict[str, tuple[str, ...]] = {}
    prompts: Prompts = Prompts()
    timers: Timers = Timers()
    limits: Limits = Limits()
    double_text: DoubleText = DoubleText.QUEUE
    window: int = Field(default=20, ge=1, le=200)
    context: dict[str, str] = {}

    def may_follow(self, state: str) -> tuple[str, ...]:
        """List the states that a declared state may be followed by, `error` aside."""
        if state in self.transitions:
            return self.transitions[state]
        standard = LIFE_CYCLE.get(state)
        if standard is None:
            return tuple(step.to for step in self.states[state].next)
        return tuple(following for following in standard if following in self.states)

    def content_hash(self) -> DefinitionHash:
        """Return the SHA-256 of the definition's canonical JSON, in hexadecimal."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return DefinitionHash(hashlib.sha256(canonical.encode()).hexdigest())


class CheckedDefinition(Definition):
    """A definition as it is read from its author: every state, slot and placeholder that it mentions exists.

    Sessions carry the plain one, so that a check that is added later stops none that is under way.
    """

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        found = definition_checks.inconsistencies(self)
        if found:
            # Raised in this form, each problem keeps its own place.
            raise ValidationError.from_exception_data(
                "Definition",
                [
                    InitErrorDetails(
                        type=PydanticCustomError("inconsistent", "{what}", {"what": problem.what}),
                        loc=problem.path,
                        input=None,
                    )
                    for problem in found
                ],
            )
        return self
