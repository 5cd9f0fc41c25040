"""The way through a definition's states: what is worked out, said, asked and done by skills, until something waits."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, assert_never

from pydantic import JsonValue

from tertulia.domain import prompts, scoring
from tertulia.domain.conversation import HandOverCause
from tertulia.domain.definitions.definition import Definition, State, Step, Use
from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.errands import Errand
from tertulia.domain.events import Ask, AskProvider, Effect, EndSession, HandOver, RunErrand, Say
from tertulia.domain.machine_state import MachineState
from tertulia.domain.skills import SKILLS, AskFor, Do, Situation, Tell
from tertulia.domain.slots import Outcome, Slot, Understood, accept

HANDOVER = "handover"
# Why a session closes that has come to its end.
FINISHED = "finished"


class Traversal:
    """One call of `machine.advance` in the making: the state that it changes, the effects that it gathers.

    It is made for one event and dropped with it, so the change stays inside the call.

    Attributes:
        effects: What is to be done, in order.
        passages: The states that were left and entered, in pairs and in order.
    """

    def __init__(self, definition: Definition, state: MachineState, now: datetime) -> None:
        self.definition = definition.worded(state.language, state.channel)
        self.state = state.model_copy()
        self.effects: list[Effect] = []
        self.passages: list[tuple[str, str]] = []
        self._now = now
        self._wanted_human = False

    def go_to(self, state: str) -> None:
        """Enter a state and go on from there."""
        self._enter(state)
        self._go_on()

    def suspend(self) -> None:
        """Go to `error`, from where the next message leads back."""
        self._set(state=ERROR, came_from=self.state.came_from or self.state.state, pending=None, errand=None)

    # The way through the states

    def _go_on(self, *, after_answer: bool = False, ran: bool = False) -> None:
        """Ask what the state still has to ask, have its work done, and take its steps until something waits.

        A chain of states that waits for nobody is at most as long as there are states; a longer one would never end.

        Args:
            ran: Whether the work of the state has just been done.
        """
        self._set(asking=None, misses=0, together=False)
        if after_answer and self._spec().one_at_a_time and (step := self._step()):
            self._enter(step.to)
        for _ in range(len(self.definition.states) + 1):
            if self.state.ended or self._spec().hand_over:
                return
            if self._spec().run and not ran and self._next_to_ask(ran=False) is None:
                if self._work(self._spec().run):
                    return
                ran = True
            slot = self._next_to_ask(ran=ran)
            if slot is not None:
                self._set(asking=slot, together=bool(self._spec().ask_together) and self._has_just_entered())
                self._put_question()
                return
            step = self._step()
            if step is None:
                return
            self._enter(step.to)
            ran = False
        self._fail()

    def _next_to_ask(self, *, ran: bool) -> str | None:
        """Name the slot to ask for; where the work has been done, only what that has made necessary."""
        return next(iter(self.state.again), None) or (None if ran else self._first_lacking(self._spec()))

    def _enter(self, state: str) -> None:
        self.passages.append((self.state.state, state))
        self._set(state=state, asking=None, misses=0, pending=None, errand=None, together=False, confirming=None)
        spec = self._spec()
        for slot, expression in spec.sets.items():
            self._work_out(slot, expression)
        if spec.score:
            self._score()
        self._say(spec.say)
        if spec.hand_over:
            cause = HandOverCause.PERSON if self._wanted_human else HandOverCause.RULE
            self.effects.append(HandOver(reason=spec.hand_over, cause=cause))
        if spec.ends:
            self._end(FINISHED)

    def _has_just_entered(self) -> bool:
        return bool(self.passages) and self.passages[-1][1] == self.state.state

    def _work_out(self, slot: str, expression: str) -> None:
        self._know_if_fit(slot, self.definition.vocabulary.value(expression, self._facts()))

    def _step(self) -> Step | None:
        return self._step_of(self._spec())

    def _step_of(self, spec: State) -> Step | None:
        return next((step for step in spec.next if self._holds(step)), None)

    def _holds(self, step: Step) -> bool:
        if step.when is None:
            return True
        left = self._first_lacking(self.definition.states[step.to]) is not None
        return self.definition.vocabulary.holds(step.when, self._facts() | {"questions_left": left})

    def _facts(self) -> dict[str, JsonValue | datetime]:
        """Collect what expressions may mention."""
        known = self.state.known
        return {
            **self.definition.context,
            **self.state.context,
            **known,
            "answered": list(known),
            "language": self.definition.language,
            "channel": self.state.channel,
            "now": self._now,
        }

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
        self._set(ended=True, asking=None, pending=None, errand=None)
        self.effects.append(EndSession(reason=reason))

    def _score(self) -> None:
        result = scoring.score(self.definition.slots, self.state.known, self._now)
        self._know({scoring.SCORE: result.total, scoring.MUST_HAVE_FAILED: bool(result.failed)})

    # Skills

    def _call_for(self, use: Use, text: str = "") -> None:
        self._wanted_human = use.use == HANDOVER
        if self.state.asking is not None and not self.state.lacks(self.state.asking):
            self._set(asking=None)
        if not use.to:
            if not self._work(use.use, text):
                self._come_back()
        elif use.to == self.state.state and self.state.asking is not None:
            self._put_question()
        else:
            self.go_to(use.to)

    def _work(self, name: str, text: str = "") -> bool:
        """Have a skill do its work; tell whether its outcome has to be waited for."""
        skill = SKILLS.get(name)
        if skill is None or skill.does is None:
            return False
        known = {**self.definition.context, **self.state.context, **self.state.known}
        match skill.does(Situation(known, text, self.state.listed)):
            case Tell(word):
                self._say(self.definition.skill_word(name, word))
                self._spend(name)
            case AskFor(slots, word):
                self._say(self.definition.skill_word(name, word))
                self._ask_anew(slots)
            case Do(request):
                errand = Errand(skill=name, request=request)
                self._set(errand=errand)
                self.effects.append(RunErrand(errand=errand))
                return True
            case never:
                assert_never(never)
        return False

    def _come_back(self, ran: str = "") -> None:
        """Go on where a skill has come in between.

        Args:
            ran: The skill whose outcome has been waited for.
        """
        is_open = self.state.asking is not None or self.state.confirming is not None
        if is_open and not self.state.again:
            self._put_question()
        else:
            self._go_on(ran=not is_open and not self.state.again and self._spec().run == ran)

    def _fill(self, name: str, values: Mapping[str, JsonValue]) -> None:
        skill = SKILLS.get(name)
        for slot in skill.gives if skill else ():
            if slot in self.definition.slots:
                self._know_if_fit(slot, values.get(slot))

    def _spend(self, name: str) -> None:
        skill = SKILLS.get(name)
        if skill and skill.spends:
            self._forget(skill.spends)

    def _forget(self, slots: Collection[str]) -> None:
        """Let values no longer count, so that they are asked anew when their turn comes."""
        values = tuple(slot for slot in slots if slot in self.state.known)
        self._set(
            stale=(*self.state.stale, *values),
            skipped=tuple(slot for slot in self.state.skipped if slot not in slots),
        )

    def _ask_anew(self, slots: Collection[str]) -> None:
        """Have slots asked next, whatever is known; that counts until then."""
        declared = [slot for slot in slots if slot in self.definition.slots]
        self._set(
            again=tuple(dict.fromkeys((*self.state.again, *declared))),
            skipped=tuple(slot for slot in self.state.skipped if slot not in declared),
        )

    # Words

    def _say(self, template: str, extra: Mapping[str, str] | None = None) -> None:
        if text := prompts.say(self.definition, self.state, template, extra):
            self.effects.append(Say(text=text))

    def _put_question(self) -> None:
        if question := prompts.question(self.definition, self.state):
            self.effects.append(Say(text=question))

    def _ask_provider(self, ask: Ask) -> None:
        self._set(pending=ask, errand=None)
        self.effects.append(AskProvider(ask=ask))

    # Shorthand

    def _spec(self) -> State:
        return self.definition.states[self.state.state]

    def _slot(self, name: str) -> Slot:
        return self.definition.slots[name]

    def _accept(self, slot: str, value: object) -> Outcome:
        return accept(self._slot(slot), value, self._now, self.definition.language)

    def _know_if_fit(self, slot: str, value: object) -> None:
        outcome = self._accept(slot, value)
        if isinstance(outcome, Understood):
            self._know({slot: outcome.value})

    def _know(self, values: Mapping[str, JsonValue]) -> None:
        self._set(slots={**self.state.slots, **values})
        self._settle(values.keys())

    def _settle(self, slots: Collection[str]) -> None:
        if self.state.stale or self.state.again:
            stale, again = self.state.stale, self.state.again
            self._set(
                stale=tuple(slot for slot in stale if slot not in slots),
                again=tuple(slot for slot in again if slot not in slots),
            )

    def _set(self, **changes: Any) -> None:
        # The copy is this call's own until the call is over; a new one for each change would be a fifth of its time.
        self.state.__dict__.update(changes)
