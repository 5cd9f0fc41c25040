"""How a conversation goes on: the answer to each event, and what the person means by a message."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

from pydantic import JsonValue

from tertulia.domain import interpretation, message_router, prompts, scoring
from tertulia.domain.conversation import Attachment
from tertulia.domain.definitions.definition import Definition, Use
from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.definitions.templates import shown
from tertulia.domain.errands import Errand, Outcome
from tertulia.domain.events import Ask, Purpose, Say
from tertulia.domain.interpretation import Answers, Correction, Greeting, Help, Question, Skip, Unclear
from tertulia.domain.machine_state import MachineState
from tertulia.domain.skills import Heard
from tertulia.domain.slots import (
    NotUnderstood,
    Reason,
    Understood,
    choices,
    choices_of,
    document_of_file,
    label_of,
    phrases,
    read_json,
)
from tertulia.domain.traversal import Traversal

# After so many misunderstandings a question that can be left out is.
_PATIENCE = 3
_CONTEXT_CHARS = 500
CANCEL = "cancel"
START_OVER = "start_over"
# Where the rules have understood that an answer does not fit, or that it says two things, the person is asked again.
_WORTH_A_CLOSER_LOOK = frozenset({Reason.UNCLEAR, Reason.NOT_OFFERED})


class Dialogue(Traversal):
    """Answers one event.

    Attributes:
        misses: The slots to which no fitting answer was found, and why.
    """

    def __init__(self, definition: Definition, state: MachineState, now: datetime) -> None:
        super().__init__(definition, state, now)
        self.misses: list[tuple[str, Reason]] = []

    # What happened

    def start(self, context: Mapping[str, Any], channel: str) -> None:
        """Begin; what the context already tells is not asked for."""
        wanted = str(context.get("language", ""))
        self._set(language=wanted if wanted in self.definition.languages() else "", channel=channel)
        self.definition = self.definition.worded(self.state.language, self.state.channel)
        declared = {name: str(context[name])[:_CONTEXT_CHARS] for name in self.definition.context if context.get(name)}
        self._set(context=declared, slots=dict(self._told_by(context)))
        self.go_to(self.definition.initial)

    def hear(self, text: str) -> None:
        """React to what the person wrote. A provider that has not answered yet is not waited for."""
        self._leave_error()
        self._set(pending=None, errand=None)
        if self._spec().hand_over:
            return  # It is for the human to answer.
        text = phrases.clean(text)
        if self._is_confirmed(text) or self._is_interrupted(text):
            pass
        elif self.state.asking is None:
            self._talk(text)
        else:
            self._react(self.state.asking, text)
        self._leave_nobody_without_an_answer()

    def receive(self, file: Attachment) -> None:
        """Take a file for the slot of documents, and what it says about the person for slots that are open yet."""
        self._leave_error()
        self._set(pending=None, errand=None, confirming=None)
        taken = self.keep(file)
        if not taken:
            self._leave_nobody_without_an_answer()
            return
        if self._spec().hand_over:
            return  # It is for the human to answer.
        (_, document), *facts = taken.items()
        self._say(self.definition.prompts.received, {"value": self._with_facts(shown(document), dict(facts))})
        if self.state.asking in taken:
            self._go_on(after_answer=True)
        else:
            self._put_question()

    def keep(self, file: Attachment) -> Mapping[str, JsonValue]:
        """Take a file without a word.

        Returns:
            What was taken: the document first, then what it says for slots that were open; nothing where there is no
            slot for it, or the conversation has ended.
        """
        name = self.definition.document_slot
        if name is None or self.state.ended:
            return {}
        facts = dict(self._told_by({slot: value for slot, value in file.facts.items() if self._is_open(slot)}))
        self._set(skipped=tuple(slot for slot in self.state.skipped if slot != name))
        taken = {name: document_of_file(file.media_type, file.size_bytes), **facts}
        self._know(taken)
        return taken

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
            case Purpose.CHOOSE:
                self._set(pending=None)
                self._take_choice(ask, text)
            case _:
                assert_never(ask.purpose)

    def do_without(self, ask: Ask) -> None:
        """Go on although no provider could answer; apologise where there is nothing to go on with."""
        self._set(pending=None)
        if self.state.asking is None:
            if ask.purpose is Purpose.CHOOSE and not self._spec().reply:
                self._say(self.definition.prompts.closing)
            else:
                self._fail()
        elif ask.purpose is Purpose.UNDERSTAND or ask.reason:
            self._miss(self.state.asking, ask.reason or Reason.UNCLEAR)
        else:
            self._say(self.definition.prompts.no_answer)
            self._put_question()

    def learn(self, errand: Errand, outcome: Outcome) -> None:
        """Tell what came of an errand, keep what it brings, and go on."""
        self._set(errand=None, listed=outcome.items or self.state.listed)
        self._fill(errand.skill, outcome.slots)
        self._say(*prompts.outcome(self.definition, self.state, errand.skill, outcome))
        if outcome.again:
            self._forget(outcome.again)
            self._ask_anew(outcome.again)
        else:
            self._spend(errand.skill)
        self._come_back(errand.skill)

    def leave_undone(self, errand: Errand) -> None:
        """Go on although an errand could not be done."""
        self._set(errand=None)
        self._say(self.definition.prompts.no_answer)
        self._come_back(errand.skill)

    def remind(self) -> None:
        """Remind the person of the open question."""
        if self.state.state != ERROR and self._spec().hand_over:
            return
        own = self._slot(self.state.asking).reminder if self.state.asking else ""
        self._say(own or self.definition.prompts.reminder)

    def expire(self) -> None:
        """Say goodbye and end."""
        self._say(self.definition.prompts.expired)
        self._end("expired")

    def resume(self) -> None:
        """Leave `error`, wait for no provider, and put the open question again, unless it was answered meanwhile."""
        self._leave_error()
        self._set(pending=None, errand=None)
        if self.state.asking is None or self.state.lacks(self.state.asking):
            self._put_question()
        else:
            self._go_on(after_answer=True)

    def reply_again(self, ask: Ask) -> None:
        """Have a reply written anew."""
        self._ask_provider(ask)

    def edit(self, slot: str, value: JsonValue) -> None:
        """Take a value that somebody else gives, as if the person had answered or corrected it."""
        outcome = self._accept(slot, value)
        if not isinstance(outcome, Understood):
            return
        self._leave_error()
        self._set(pending=None, errand=None, confirming=None)
        if slot == self.state.asking:
            self._take_answers(slot, Answers({slot: outcome.value}))
        elif outcome.value == self.state.known.get(slot):
            self._put_question()
        else:
            self._correct(Correction(slot, outcome.value))

    def go_on_without_human(self) -> bool:
        """Leave a state in which a human answers, by its own next step; False where it has none."""
        step = self._step()
        if step:
            self.go_to(step.to)
        return step is not None

    # Interruptions

    def _is_confirmed(self, text: str) -> bool:
        """Take the answer to whether an interruption is meant; whatever is no answer is read as usual."""
        name = self.state.confirming
        if name is None:
            return False
        self._set(confirming=None)
        match choices.understand_boolean(text):
            case Understood(True) if name in self.definition.interruptions.offered:
                self._interrupt(name)
            case Understood():
                self._put_question()
            case _:
                return False
        return True

    def _is_interrupted(self, text: str) -> bool:
        for name, interruption in self.definition.interruptions.offered.items():
            if phrases.asks_for(name, text, interruption.also) and not self._is_choice(text) and not self.state.ended:
                self._set(confirming=name if interruption.confirm else None)
                if interruption.confirm:
                    self._put_question()
                else:
                    self._interrupt(name)
                return True
        return False

    def _is_choice(self, text: str) -> bool:
        """Tell whether the open question offers these very words."""
        offered = choices_of(self._slot(self.state.asking)) if self.state.asking else ()
        return phrases.plain(text) in {phrases.plain(name) for each in offered for name in (each.value, *each.also)}

    def _interrupt(self, name: str) -> None:
        interruption = self.definition.interruptions.offered[name]
        if name == START_OVER:
            self._set(stale=tuple(self.state.slots), skipped=())
        self._say(interruption.say)
        if name == START_OVER or interruption.to:
            self._set(again=())
            self.go_to(interruption.to or self.definition.initial)
        else:
            self._end(name)

    # What was meant

    def _react(self, asking: str, text: str) -> None:
        spec = self._spec()
        form = tuple(slot for slot in spec.ask if self.state.lacks(slot)) if self.state.together else ()
        along = tuple(slot for slot in spec.ask if slot != asking and self.state.lacks(slot))
        meant = interpretation.interpret(
            self.definition, self.state.known, asking, text, self._now, form=form, along=along
        )
        if message_router.leaves_room(self.definition, meant) and self._attend(text):
            return
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
            case Question() if self._digresses(text):
                self._put_question()
            case Question() if self._can_reply():
                if not self._ask_to_choose():
                    self._ask_to_reply()
            case Question():
                self._look_closer(asking, Reason.UNCLEAR)
            case Unclear() if self._digresses(text):
                self._put_question()
            case Unclear():
                self._look_closer(asking, meant.reason)
            case _:
                assert_never(meant)

    def _talk(self, text: str) -> None:
        """Answer where no question is open."""
        corrected = interpretation.correction(self.definition, self.state.known, text, self._now)
        if corrected:
            self._correct(corrected)
            return
        if self._attend(text) or self._digresses(text):
            return
        if phrases.is_greeting(text) or not self._ask_to_choose():
            self._reply_or_close()

    def _reply_or_close(self) -> None:
        if self._spec().reply and not self.state.ended:
            self._ask_to_reply()
        else:
            self._say(self.definition.prompts.closing)

    def _digresses(self, text: str) -> bool:
        """Answer a question that the definition foresees."""
        for digression in self.definition.digressions.values():
            if phrases.mentions(digression.about, text):
                self._say(digression.say)
                return True
        return False

    def _take_answers(self, asking: str, answers: Answers) -> None:
        together = self.state.together
        self._know(answers.values)
        if asking not in answers.values and not together:
            self._put_question()
            return
        if asking in answers.values:
            self._say(self._slot(asking).thanks)
        if answers.read:
            what = label_of(self._slot(asking), asking)
            self._say(self.definition.prompts.received, {"value": self._with_facts(what, answers.read)})
        self._go_on(after_answer=True)
        if answers.asks and self.state.asking is not None and self._can_reply():
            # The question just put is put again behind the reply.
            self.effects.pop()
            self._ask_to_reply()

    def _take_understanding(self, name: str, text: str) -> None:
        outcome = self._accept(name, read_json(text))
        match outcome:
            case Understood():
                self._take_answers(name, Answers({name: outcome.value}))
            case NotUnderstood():
                self._choose_or_miss(name, outcome.reason)
            case _:
                assert_never(outcome)

    # Skills

    def _attend(self, text: str) -> bool:
        """Have the skill that a message asks for do its part."""
        called = None if self.state.ended else message_router.recognised(self._skills(), text)
        if called is None:
            return False
        if called.use.to:
            self._set(again=())  # What else was to be asked at once belongs to what is left.
        self._hear_along(called.heard)
        self._call_for(called.use, text)
        return True

    def _hear_along(self, heard: Heard) -> None:
        """Keep what a request says along; what it leaves open is asked anew."""
        for name, said in heard.items():
            if name in self.definition.slots and said is None:
                self._ask_anew([name])
            elif name in self.definition.slots:
                self._know_if_fit(name, said)

    def _take_choice(self, ask: Ask, text: str) -> None:
        """Have the skill that a provider has chosen do its part; without one go on as if none had been asked."""
        use = message_router.chosen(self._choosable(), text)
        if use is not None:
            self._call_for(use)
            self._leave_nobody_without_an_answer()
        elif self.state.asking is None:
            self._reply_or_close()
        elif ask.reason is None:
            self._ask_to_reply()
        else:
            self._miss(self.state.asking, ask.reason)

    def _choosable(self) -> dict[str, Use]:
        return {} if self.state.ended else message_router.choosable(self.definition, self.state.state)

    def _skills(self) -> dict[str, Use]:
        return self.definition.skills_in(self.state.state)

    def _correct(self, correction: Correction) -> None:
        """Take another value. What depends on it is asked anew, and where it leads elsewhere the way is changed."""
        before = self._crossroads(correction.slot)
        self._know({correction.slot: correction.value})
        unsure = tuple(slot for slot in self.definition.dependents(correction.slot) if slot in self.state.known)
        self._set(stale=(*self.state.stale, *unsure), again=(*self.state.again, *unsure))
        if scoring.SCORE in self.state.slots:
            self._score()
        about = prompts.about(self._slot(correction.slot), correction.slot)
        self._say(self.definition.prompts.corrected, {**about, "value": shown(correction.value)})
        elsewhere = self._elsewhere(before, self._crossroads(correction.slot))
        if elsewhere is not None:
            self.go_to(elsewhere)
        elif unsure and not self.state.ended:
            self._go_on()
        else:
            self._put_question()

    def _crossroads(self, slot: str) -> dict[str, tuple[Mapping[str, JsonValue], str]]:
        """Tell what each state that decides something by a slot now works out, and where it leads."""
        facts, states, words = self._facts(), self.definition.states, self.definition.vocabulary
        return {
            name: (
                {each: words.value(sets, facts) for each, sets in states[name].sets.items()},
                step.to if (step := self._step_of(states[name])) else name,
            )
            for name in self.definition.decided_by(slot)
        }

    def _elsewhere(
        self,
        before: Mapping[str, tuple[Mapping[str, JsonValue], str]],
        after: Mapping[str, tuple[Mapping[str, JsonValue], str]],
    ) -> str | None:
        """Name the state that a correction leads to, where the conversation has come by a way that it changes."""
        for name, (values, target) in after.items():
            earlier, passed = before[name]
            if values != earlier and values.keys() <= self.state.known.keys():
                return name
            if target != passed and self.state.state in self.definition.reached_from(passed):
                return target
        return None

    def _skip(self, asking: str) -> None:
        if asking not in self.state.known:
            kept = {name: value for name, value in self.state.slots.items() if name != asking}
            self._set(skipped=(*self.state.skipped, asking), slots=kept)
        self._settle({asking})
        self._say(self.definition.prompts.skipped)
        self._go_on(after_answer=True)

    def _look_closer(self, asking: str, reason: Reason) -> None:
        """Have a provider understand what the rules did not, where the slot allows it."""
        if self._slot(asking).use_provider and reason in _WORTH_A_CLOSER_LOOK:
            today = self._now.astimezone(UTC).date().isoformat()
            self._ask_provider(prompts.ask_to_understand(self.definition, self.state, asking, today))
        else:
            self._choose_or_miss(asking, reason)

    def _choose_or_miss(self, asking: str, reason: Reason) -> None:
        if reason not in _WORTH_A_CLOSER_LOOK or not self._ask_to_choose(reason):
            self._miss(asking, reason)

    def _miss(self, asking: str, reason: Reason) -> None:
        """Count a misunderstanding and ask again, better each time, or let go of what can be left out."""
        slot, misses, texts = self._slot(asking), self.state.misses + 1, self.definition.prompts
        self.misses.append((asking, reason))
        if self.state.together:
            self._set(together=False)
            self._put_question()
            return
        if misses >= _PATIENCE and slot.give_up_to:
            self.go_to(slot.give_up_to)
            return
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

    # Words

    def _with_facts(self, document: str, facts: Mapping[str, JsonValue]) -> str:
        told = ", ".join(f"{label_of(self._slot(slot), slot)}: {shown(value)}" for slot, value in facts.items())
        return f"{document} ({told})" if told else document

    def _leave_nobody_without_an_answer(self) -> None:
        if not self.effects:
            self._say(self.definition.prompts.closing)

    def _can_reply(self) -> bool:
        return bool(self._spec().reply or self.definition.digression)

    def _ask_to_choose(self, reason: Reason | None = None) -> bool:
        """Have a provider choose the skill that is meant, where there is a choice.

        Args:
            reason: Why the message is no answer to the open question; None where it is a question itself.
        """
        if not self._choosable():
            return False
        self._ask_provider(prompts.ask_to_choose(self.definition, self.state, reason))
        return True

    def _ask_to_reply(self) -> None:
        self._ask_provider(prompts.ask_to_reply(self.definition, self.state))

    # Shorthand

    def _is_open(self, slot: str) -> bool:
        return slot in self.definition.asked and self.state.lacks(slot)

    def _told_by(self, context: Mapping[str, Any]) -> Iterator[tuple[str, JsonValue]]:
        for name in self.definition.slots:
            outcome = self._accept(name, context.get(name))
            if isinstance(outcome, Understood):
                yield name, outcome.value
