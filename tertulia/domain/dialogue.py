"""How a conversation goes on: the answer to each event, the way through the states, and the words."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

from pydantic import JsonValue

from tertulia.domain import interpretation, prompts, scoring
from tertulia.domain.definition import Definition, Guard, State, Step
from tertulia.domain.events import Ask, AskProvider, Effect, EndSession, Purpose, Say
from tertulia.domain.interpretation import Answers, Correction, Greeting, Help, Question, Skip, Unclear
from tertulia.domain.lifecycle import ERROR
from tertulia.domain.machine_state import MachineState
from tertulia.domain.slots import NotUnderstood, Reason, Slot, Understood, accept, phrases, read_json
from tertulia.domain.templates import shown

# After so many misunderstandings a question that can be left out is.
_PATIENCE = 3
_CONTEXT_CHARS = 500
# Where the rules have understood that an answer does not fit, or that it says two things, the person is asked again.
_WORTH_A_CLOSER_LOOK = frozenset({Reason.UNCLEAR, Reason.NOT_OFFERED})


class Dialogue:
    """One call of `machine.advance` in the making: the state that it changes, the effects that it gathers.

    It is made for one event and dropped with it, so the change stays inside the call.
    """

    def __init__(self, definition: Definition, state: MachineState, now: datetime) -> None:
        self.definition = definition
        self.state = state
        self.effects: list[Effect] = []
        self._now = now

    # What happened

    def start(self, context: Mapping[str, Any]) -> None:
        """Begin; what the context already tells is not asked for."""
        declared = {name: str(context[name])[:_CONTEXT_CHARS] for name in self.definition.context if context.get(name)}
        self._set(context=declared, slots=dict(self._told_by(context)))
        self.go_to(self.definition.initial)

    def hear(self, text: str) -> None:
        """React to what the person wrote. A provider that has not answered yet is not waited for."""
        self._leave_error()
        self._set(pending=None)
        text = phrases.clean(text)
        if self.state.asking is None:
            self._talk(text)
        else:
            self._react(self.state.asking, text)

    def take(self, ask: Ask, text: str) -> None:
        """Use a provider's answer."""
        match ask.purpose:
            case Purpose.UNDERSTAND:
                self._set(pending=None)
                self._take_understanding(ask.slot or "", text)
            case Purpose.REPLY if text.strip():
                self._set(pending=None)
                self.effects.append(Say(text=text))
                self._put_question()
            case Purpose.REPLY:
                self.do_without(ask)
            case _:
                assert_never(ask.purpose)

    def do_without(self, ask: Ask) -> None:
        """Go on although no provider could answer; apologise where there is nothing to go on with."""
        self._set(pending=None)
        if self.state.asking is None:
            self._fail()
        elif ask.purpose is Purpose.UNDERSTAND:
            self._miss(self.state.asking, Reason.UNCLEAR)
        else:
            self._say(self.definition.prompts.no_answer)
            self._put_question()

    def remind(self) -> None:
        """Remind the person of the open question."""
        self._say(self.definition.prompts.reminder)

    def expire(self) -> None:
        """Say goodbye and end."""
        self._say(self.definition.prompts.expired)
        self._end("expired")

    def suspend(self) -> None:
        """Go to `error`, from where the next message leads back."""
        self._set(state=ERROR, came_from=self.state.state, pending=None)

    def resume(self) -> None:
        """Leave `error` and put the open question again."""
        self._leave_error()
        self._put_question()

    def go_to(self, state: str) -> None:
        """Enter a state and go on from there."""
        self._enter(state)
        self._go_on()

    # What was meant

    def _react(self, asking: str, text: str) -> None:
        meant = interpretation.interpret(self.definition, self.state.slots, asking, text, self._now)
        match meant:
            case Answers():
                self._take_answers(asking, meant)
            case Correction():
                self._correct(meant)
            case Skip() if self._slot(asking).required:
                self._miss(asking, Reason.DECLINED)
            case Skip():
                self._skip(asking)
            case Help():
                self._say(self._slot(asking).help or self.definition.prompts.help)
                self._put_question()
            case Greeting():
                self._put_question()
            case Question() if self._can_reply():
                self._ask_to_reply()
            case Question():
                self._look_closer(asking, Reason.UNCLEAR)
            case Unclear():
                self._look_closer(asking, meant.reason)
            case _:
                assert_never(meant)

    def _talk(self, text: str) -> None:
        """Answer where no question is open."""
        corrected = interpretation.correction(self.definition, self.state.slots, text, self._now)
        if corrected:
            self._correct(corrected)
        elif self._spec().reply and not self.state.ended:
            self._ask_to_reply()
        else:
            self._say(self.definition.prompts.closing)

    def _take_answers(self, asking: str, answers: Answers) -> None:
        self._set(slots={**self.state.slots, **answers.values})
        if asking not in answers.values:
            self._put_question()
            return
        self._say(self._slot(asking).thanks)
        self._go_on(after_answer=True)
        if answers.asks and self.state.asking is not None and self._can_reply():
            # The question just put is put again behind the reply.
            self.effects.pop()
            self._ask_to_reply()

    def _take_understanding(self, name: str, text: str) -> None:
        outcome = accept(self._slot(name), read_json(text), self._now, self.definition.language)
        match outcome:
            case Understood():
                self._take_answers(name, Answers({name: outcome.value}))
            case NotUnderstood():
                self._miss(name, outcome.reason)
            case _:
                assert_never(outcome)

    def _correct(self, correction: Correction) -> None:
        self._set(slots={**self.state.slots, correction.slot: correction.value})
        if scoring.SCORE in self.state.slots:
            self._score()
        about = prompts.about(self._slot(correction.slot), correction.slot)
        self._say(self.definition.prompts.corrected, {**about, "value": shown(correction.value)})
        self._put_question()

    def _skip(self, asking: str) -> None:
        self._set(skipped=(*self.state.skipped, asking))
        self._say(self.definition.prompts.skipped)
        self._go_on(after_answer=True)

    def _look_closer(self, asking: str, reason: Reason) -> None:
        """Have a provider understand what the rules did not, where the slot allows it."""
        if self._slot(asking).use_provider and reason in _WORTH_A_CLOSER_LOOK:
            today = self._now.astimezone(UTC).date().isoformat()
            self._ask_provider(prompts.ask_to_understand(self.definition, self.state, asking, today))
        else:
            self._miss(asking, reason)

    def _miss(self, asking: str, reason: Reason) -> None:
        """Count a misunderstanding and ask again, better each time, or let go of what can be left out."""
        slot, misses, texts = self._slot(asking), self.state.misses + 1, self.definition.prompts
        if misses >= _PATIENCE and not slot.required:
            self._skip(asking)
            return
        self._set(misses=misses)
        if reason is Reason.DECLINED:
            self._say(slot.help or texts.cannot_skip)
            self._put_question()
            return
        reprompts = slot.reprompts or texts.misunderstood
        self._say(f"{texts.problems.get(reason, '')} {reprompts[min(misses, len(reprompts)) - 1]}")

    # The way through the states

    def _go_on(self, *, after_answer: bool = False) -> None:
        """Ask what the state still has to ask, or take its steps until something waits for the person.

        A chain of states that waits for nobody is at most as long as there are states; a longer one would never end.
        """
        self._set(asking=None, misses=0)
        if after_answer and self._spec().one_at_a_time and (step := self._step()):
            self._enter(step.to)
        for _ in range(len(self.definition.states) + 1):
            slot = self._first_lacking(self._spec())
            if slot is not None and not self.state.ended:
                self._set(asking=slot)
                self._put_question()
                return
            step = self._step()
            if step is None or self.state.ended:
                return
            self._enter(step.to)
        self._fail()

    def _enter(self, state: str) -> None:
        self._set(state=state, asking=None, misses=0, pending=None)
        spec = self._spec()
        if spec.score:
            self._score()
        self._say(spec.say)
        if spec.ends:
            self._end("finished")

    def _step(self) -> Step | None:
        return next((step for step in self._spec().next if self._holds(step)), None)

    def _holds(self, step: Step) -> bool:
        match step.when:
            case None:
                return True
            case Guard.QUESTIONS_LEFT:
                return self._first_lacking(self.definition.states[step.to]) is not None
            case _:
                assert_never(step.when)

    def _first_lacking(self, spec: State) -> str | None:
        return next((slot for slot in spec.ask if self.state.lacks(slot)), None)

    def _leave_error(self) -> None:
        if self.state.came_from is not None:
            self._set(state=self.state.came_from, came_from=None, pending=None)

    def _fail(self) -> None:
        """Apologise. What was collected stays, and the next message is taken up where this one could not be."""
        self.suspend()
        self._say(self.definition.prompts.apology)

    def _end(self, reason: str) -> None:
        self._set(ended=True, asking=None, pending=None)
        self.effects.append(EndSession(reason=reason))

    def _score(self) -> None:
        result = scoring.score(self.definition.slots, self.state.slots, self._now)
        scored = {scoring.SCORE: result.total, scoring.MUST_HAVE_FAILED: bool(result.failed)}
        self._set(slots={**self.state.slots, **scored})

    # Words

    def _say(self, template: str, extra: Mapping[str, str] | None = None) -> None:
        if text := prompts.say(self.definition, self.state, template, extra):
            self.effects.append(Say(text=text))

    def _put_question(self) -> None:
        if question := prompts.question(self.definition, self.state):
            self.effects.append(Say(text=question))

    def _can_reply(self) -> bool:
        return bool(self._spec().reply or self.definition.digression)

    def _ask_to_reply(self) -> None:
        self._ask_provider(prompts.ask_to_reply(self.definition, self.state))

    def _ask_provider(self, ask: Ask) -> None:
        self._set(pending=ask)
        self.effects.append(AskProvider(ask=ask))

    # Shorthand

    def _told_by(self, context: Mapping[str, Any]) -> Iterator[tuple[str, JsonValue]]:
        for name, slot in self.definition.slots.items():
            outcome = accept(slot, context.get(name), self._now, self.definition.language)
            if isinstance(outcome, Understood):
                yield name, outcome.value

    def _slot(self, name: str) -> Slot:
        return self.definition.slots[name]

    def _spec(self) -> State:
        return self.definition.states[self.state.state]

    def _set(self, **changes: Any) -> None:
        self.state = self.state.model_copy(update=changes)
