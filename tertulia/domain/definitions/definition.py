"""An application as data: its states, its slots, and what it says. It enters a session by value."""

import hashlib
import json
import re
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tertulia.domain.compact import Compact
from tertulia.domain.conversation import CANDIDATE
from tertulia.domain.definitions import checks as definition_checks
from tertulia.domain.definitions.guards import (
    BUILT_IN,
    RESULT_KINDS,
    Expression,
    Kind,
    Vocabulary,
    kind_of,
    names,
    vocabulary,
)
from tertulia.domain.definitions.lifecycle import LIFE_CYCLE
from tertulia.domain.definitions.wording import Wording, reworded
from tertulia.domain.ids import DefinitionHash, Identifier
from tertulia.domain.skills import SKILLS
from tertulia.domain.slots import Reason, Slot

_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_LANGUAGE = re.compile(r"[a-z]{2}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _duration(given: Any) -> Any:
    """Read "90s", "15m", "24h", "14d" or "2w"; leave the rest (ISO 8601) to pydantic."""
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else given


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str), Field(gt=timedelta(0))]


class DoubleText(StrEnum):
    """What happens to a message that arrives while a turn runs."""

    QUEUE = "queue"  # it waits for its own turn
    REJECT = "reject"  # it is refused
    MERGE = "merge"  # it is answered together with the other waiting ones
    INTERRUPT = "interrupt"  # it stops the running turn and takes its place


class Step(Compact):
    """Where a state goes on to. Of several steps the first one that may be taken is.

    Attributes:
        to: The state to go to.
        when: A condition in CEL; always taken where it is left out. It may mention slots and context by name, and
            `questions_left` (the state to go to still has something to ask), `answered` (the names of the slots that
            are known), `language`, `channel` and `now`. It does not hold where it mentions what is not known.
    """

    to: str
    when: Expression | None = None


def _steps(given: Any) -> Any:
    steps = [given] if isinstance(given, str | dict) else given
    return [{"to": step} if isinstance(step, str) else step for step in steps] if isinstance(steps, list) else steps


Steps = Annotated[tuple[Step, ...], BeforeValidator(_steps, json_schema_input_type=str | Step | tuple[str | Step, ...])]


class Use(Compact):
    """A skill on offer: something that a person may ask for in the middle of anything else.

    Attributes:
        use: Which skill (below).
        to: The state to go to, which asks for what the skill needs; the skills say whether they need one.
        also: What else people say for it, besides the usual words in English.
        use_provider: Whether a provider may be asked if this is what a person means, where the rules don't see it.
    """

    use: str
    to: str = ""
    also: tuple[str, ...] = ()
    use_provider: bool = False


def _use(given: Any) -> Any:
    return {"use": given} if isinstance(given, str) else given


Uses = tuple[Annotated[Use, BeforeValidator(_use, json_schema_input_type=str | Use)], ...]


class State(Compact):
    """A state: what is done, said and asked in it, and where it goes on to.

    A state waits for the person as long as it has something to ask; then it has the skill under `run` do its work, and
    takes the first step whose condition holds. Without such a step it rests, and every message is answered by a skill,
    by `reply`, or else by the closing prompt.

    Attributes:
        say: Said on entry.
        ask: Slots to fill, in order; those that are known already are passed over.
        ask_together: A question for all of them at once, put first; what its answer leaves open is asked one by one.
        one_at_a_time: Go on after every answer rather than after the last.
        run: A skill that does its work when nothing is left to ask.
        skills: What a person may ask for here, the first one going first, ahead of the application's own.
        ask_job_questions: Where the session is about a job, ask that job's questions instead of those under `ask`.
        reply: Instructions to a provider, which then answers every message that a question does not claim.
        sets: Slots that get a value on entry, each with an expression in CEL.
        score: Work out the score on entry.
        hand_over: Why a human takes over on entry; from then on nothing is answered until the state is left.
        ends: The session closes on entry.
        next: Where it goes on to: a state, or steps.
    """

    say: str = ""
    ask: tuple[str, ...] = ()
    ask_together: str = ""
    one_at_a_time: bool = False
    run: str = ""
    skills: Uses = ()
    ask_job_questions: bool = False
    reply: str = ""
    sets: dict[str, Expression] = {}
    score: bool = False
    hand_over: str = ""
    ends: bool = False
    next: Steps = ()


class Interruption(Compact):
    """What a person may ask for in any state.

    Attributes:
        also: What else people say for it, besides the usual words in English.
        confirm: Asked first, to be answered by yes or no; where it is empty nothing is.
        say: Said when it is done.
        to: The state to go to.
    """

    also: tuple[str, ...] = ()
    confirm: str = ""
    say: str = ""
    to: str = ""


class Interruptions(Compact):
    """What may interrupt a conversation at any time; the words for what is left out mean nothing special.

    Help, corrections and questions in between need no mention: they are always understood.

    Attributes:
        cancel: "Cancel", "stop": the session goes to the state, or closes where none is given.
        start_over: "Start over": everything is asked anew, from the state given or else the initial one.
    """

    cancel: Interruption | None = None
    start_over: Interruption | None = None

    @cached_property
    def offered(self) -> dict[str, Interruption]:
        """Those that are there, by name."""
        return {name: each for name, each in self if each is not None}


class Digression(Compact):
    """A question that comes up in between, and its answer; the open question is put again behind it.

    Attributes:
        about: Words that the question contains, one of them at least.
        say: The answer.
    """

    about: tuple[str, ...] = Field(min_length=1)
    say: str


class Timers(Compact):
    """What follows from a long silence; written as 90s, 15m, 24h, 14d or 2w.

    Attributes:
        reminder_after: When the person is reminded, once; never where it is left out.
        expire_after: When the session closes; never where it is left out.
    """

    reminder_after: Duration | None = None
    expire_after: Duration | None = None


class Limits(Compact):
    """What a session accepts.

    Attributes:
        message_chars: How long a message may be, in characters.
        waiting_messages: How many messages may wait.
    """

    message_chars: int = Field(default=16_000, ge=1, le=100_000)
    waiting_messages: int = Field(default=20, ge=1, le=1000)


class Replies(Compact):
    """How a provider writes free replies.

    Attributes:
        max_tokens: How long one may be.
        temperature: From 0 (the most likely words) to 2; left to the provider where it is not given.
    """

    max_tokens: int = Field(default=1024, ge=1, le=32_768)
    temperature: float | None = Field(default=None, ge=0, le=2)


class ProviderChoice(Compact):
    """Which of the configured providers the application uses; the rest is decided by the provider service.

    Attributes:
        prefer: Asked before the others, the first one first, whenever they may be asked.
        only: Nobody else is asked, whatever happens: for conversations that may not go elsewhere.
    """

    prefer: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


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
        too_long: Answer on a messenger to a message that is longer than the limit, and is not taken.
        received: A file has come; `{value}` tells what it is, and what was taken from it.
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
    too_long: str = "Sorry, that is too long for me to read. Nothing of it was taken; please send it in shorter pieces."
    received: str = "Thank you, I have received {value}."
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
        name: As the file is called.
        version: Yours to choose; it is shown with every session.
        title: What people call it.
        role: Whom it is for: sessions are opened in this role. `recruiter` may do what recruiters' skills do; on the
            web's chat pages there is only what is for candidates.
        language: Of all its words, two letters.
        persona: Who a provider speaks as; ahead of every instruction.
        digression: Instructions to a provider for questions that come instead of an answer; empty: none is asked.
        initial: The state to begin in.
        states: What happens, step by step.
        slots: What the application wants to know.
        results: The slots that it is all about: those that somebody reads in the end. Left out, all of them.
        transitions: Which states may follow a state. Left out, for a standard one (below) those of the standard life
            cycle that there are, and for any other one its own `next`.
        interruptions: What a person may ask for in any state.
        skills: What a person may ask for in any state, the first one going first.
        digressions: Questions that may come up in between, with their answers.
        prompts: What is said in any state.
        skill_words: What skills say in other words than their own: by the skill's name, and the word's.
        wordings: Other words, by language (`es`), channel (`whatsapp`) or both (`es/whatsapp`), the last going first.
        timers: What follows from a long silence.
        limits: What a session accepts.
        replies: How a provider writes free replies.
        providers: Which of the configured providers are used.
        double_text: What happens to a message that arrives while a turn runs: `queue`: it waits for its own turn;
            `reject`: it is refused; `merge`: it is answered together with the other waiting ones; `interrupt`: it stops
            the running turn.
        window: How many messages of the transcript a provider is sent.
        context: Values that a session may be opened with, and what stands in for each.
    """

    name: Identifier
    version: str
    title: str
    role: Identifier = CANDIDATE
    language: str = Field(default="en", pattern=r"^[a-z]{2}$")
    persona: str = ""
    digression: str = ""
    initial: str
    states: dict[str, State] = Field(min_length=1)
    slots: dict[str, Slot] = {}
    results: tuple[str, ...] | None = None
    transitions: dict[str, tuple[str, ...]] = {}
    interruptions: Interruptions = Interruptions()
    skills: Uses = ()
    digressions: dict[str, Digression] = {}
    prompts: Prompts = Prompts()
    skill_words: dict[str, dict[str, str]] = {}
    wordings: dict[str, Wording] = {}
    timers: Timers = Timers()
    limits: Limits = Limits()
    replies: Replies = Replies()
    providers: ProviderChoice = ProviderChoice()
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

    def languages(self) -> frozenset[str]:
        """Name the languages that it can speak."""
        return frozenset({self.language, *(key for key in self.wordings if _LANGUAGE.fullmatch(key))})

    def worded(self, language: str, channel: str) -> "Definition":
        """Return the definition in the words for a language and a channel; empty stands for the standard ones."""
        if not self.wordings:
            return self
        worded = self._worded.get((language, channel))
        if worded is None:
            keys = (channel, language, f"{language}/{channel}")
            worded = self.model_copy(update={"language": language or self.language})
            for key in keys:
                if wording := self.wordings.get(key):
                    worded = worded.model_copy(update=self._reworded(worded, wording))
            # What a person names is no key: no more than the wordings that there are is kept.
            if {language, channel} <= self._wording_keys:
                self._worded[language, channel] = worded
        return worded

    def _reworded(self, worded: "Definition", wording: Wording) -> dict[str, Any]:
        digressions = {
            name: worded.digressions[name].model_copy(update={"say": say})
            for name, say in wording.digressions.items()
            if name in worded.digressions
        }
        interruptions = reworded(worded.interruptions.offered, wording.interruptions)
        return {
            "states": reworded(worded.states, wording.states),
            "slots": reworded(worded.slots, wording.slots),
            "digressions": worded.digressions | digressions,
            "interruptions": Interruptions(**interruptions),
            "prompts": worded.prompts.model_copy(update=dict(wording.prompts)),
            "skill_words": worded.skill_words
            | {name: worded.skill_words.get(name, {}) | words for name, words in wording.skill_words.items()},
        }

    @cached_property
    def _worded(self) -> dict[tuple[str, str], "Definition"]:
        return {}

    @cached_property
    def _wording_keys(self) -> frozenset[str]:
        return frozenset({"", self.language, *(part for key in self.wordings for part in key.split("/"))})

    def dependents(self, slot: str) -> tuple[str, ...]:
        """Name the slots that depend on a slot, directly or by way of others, in the order of their definition."""
        found = {slot}
        for _ in self.slots:
            found |= {name for name, spec in self.slots.items() if not found.isdisjoint(spec.depends_on)}
        return tuple(name for name in self.slots if name in found - {slot})

    def decided_by(self, slot: str) -> tuple[str, ...]:
        """Name the states that work something out by a slot, or choose their way by it."""
        return self._decided_by.get(slot, ())

    @cached_property
    def _decided_by(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name, state in self.states.items():
            expressions = (*state.sets.values(), *(step.when for step in state.next if step.when))
            for mentioned in frozenset[str]().union(*map(names, expressions)):
                found[mentioned] = (*found.get(mentioned, ()), name)
        return found

    @cached_property
    def asked(self) -> frozenset[str]:
        """The slots that some state asks for; the others are worked out, and nobody can correct them."""
        return frozenset(slot for state in self.states.values() for slot in state.ask)

    def skills_in(self, state: str) -> dict[str, Use]:
        """Return the skills on offer in a state, by name, in the order in which they go first."""
        return self._skills_in.get(state, {})

    @cached_property
    def _skills_in(self) -> dict[str, dict[str, Use]]:
        anywhere = {use.use: use for use in self.skills}
        here = {name: {use.use: use for use in state.skills} for name, state in self.states.items()}
        return {
            name: uses | {each: anywhere[each] for each in anywhere if each not in uses} for name, uses in here.items()
        }

    def skill_word(self, skill: str, word: str) -> str:
        """Return what a skill says: the definition's own words, or else the skill's."""
        own = self.skill_words.get(skill, {}).get(word)
        standard = SKILLS[skill].words if skill in SKILLS else {}
        return standard.get(word, "") if own is None else own

    @property
    def uses(self) -> tuple[Use, ...]:
        """All the uses of skills, wherever they are on offer."""
        return (*self.skills, *(use for state in self.states.values() for use in state.skills))

    @cached_property
    def document_slot(self) -> str | None:
        """The slot that a file is an answer to: the first for documents, if there is one."""
        return next((name for name, slot in self.slots.items() if slot.type == "document"), None)

    def jumps(self) -> frozenset[str]:
        """Name the states that can be reached from any other: by an interruption, a skill, or for want of an answer."""
        interruptions = {each.to for each in self.interruptions.offered.values()}
        skills = {use.to for use in self.skills}
        return frozenset(interruptions | skills | {slot.give_up_to for slot in self.slots.values()}) - {""}

    def reached_from(self, state: str) -> frozenset[str]:
        """Name the states that steps lead to from a state, itself among them."""
        found, ahead = {state}, [state]
        while ahead:
            following = {step.to for step in self.states[ahead.pop()].next} - found
            found |= following
            ahead += following & self.states.keys()
        return frozenset(found)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What expressions may mention."""
        known = {name: kind_of(slot) for name, slot in self.slots.items()}
        results = RESULT_KINDS if any(state.score for state in self.states.values()) else {}
        return vocabulary(dict.fromkeys(self.context, Kind.TEXT) | known | results | BUILT_IN)


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
