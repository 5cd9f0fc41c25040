"""Whatever happens to a conversation: nothing raises, nothing collected is lost, no state is left that is declared."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tertulia.domain import machine
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.errands import Errand, FindApplications, Outcome
from tertulia.domain.events import (
    Ask,
    AskProvider,
    ErrandDone,
    ErrandFailed,
    Event,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    Purpose,
    ReminderDue,
    ReplyWanted,
    Resumed,
    RunErrand,
    SessionExpired,
    SessionStarted,
    SlotEdited,
    TransitionRequested,
)
from tertulia.domain.machine import Advanced, MachineState
from tertulia.domain.skills import SKILLS
from tertulia.domain.slots import phrases
from tests import recruiting_script as script
from tests.domain.conversations import BUNDLED, NOW, define_unchecked
from tests.domain.random_definitions import definitions

ERRAND = Errand(skill="application_status", request=FindApplications())
SPENT = {slot for skill in SKILLS.values() for slot in skill.spends}
DEFINITIONS = {name: BUNDLED.get(name) for name in BUNDLED.names()}
LIKELY = [
    *script.ANSWERS, "skip", "help", "hello", "no", "yes, but", "I'd rather not say", "What is the salary range?",
    "my email is actually bob@example.org", "4 weeks. Is remote work possible?", "+34 612 345 678", "55-60k", "-5",
    "1e999", "03/04/2026", "İstanbul", "ﬁ", "9" * 400, "0.0.0.0", "half a half", "{name}", "{question|x}", "\x00",
    "a@b@c.d", "?", "not", "31 february", "cancel", "start over", "start over",
    "I want to talk to a human", "yes", "no", "opening hours?", "actually my age is 20", "sorry, the topic is fault",
    "30", "bill", "red", "yesterday", "100 euros", "ana@example.org, red, 20 and Madrid",
    "how are you?", "hello skill", "I want to apply", "ask me the questions", "upload my cv", "a human",
    "which jobs are open?", "where does my application stand?", "what do you know about me?", "create a job",
    "my topic is bill, and my age is 7", "in 99999 years", "my name is", "actually my phone", "\ud800",
]  # fmt: skip
ANSWERS = [
    '{"skill": null}', '{"skill": "small_talk"}', '{"skill": "handover"}', '{"skill": "matching"}', '{"skill": 3}',
    '{"value": null}', '{"value": 3}', '{"value": "yes"}', '{"value": true}', '{"value": ["hybrid"]}', "{}",
    '{"value": NaN}', '{"value": 1e400}', '{"value": {"value": 1}}', "Sure!", "", "[" * 2000,
    '{"value": "' + "9" * 5000 + '"}', '{"value": ' + "9" * 5000 + "}",
]  # fmt: skip

texts = st.one_of(st.sampled_from(LIKELY), st.text(max_size=200), st.text("0123456789 .,-/kKmM€$@:?'", max_size=30))
# What comes of errands: slots are filled that skills give and others, and asked anew whether there or not.
words = st.sampled_from(["", "Ana", "7", "{name}", "x" * 2000])
found = st.builds(
    Outcome,
    said=st.sampled_from(["found", "nothing", "done", "refused", "no_job", "nonsense", ""]),
    items=st.lists(st.dictionaries(st.sampled_from(["title", "job_id", "question"]), words, max_size=2), max_size=3),
    values=st.dictionaries(st.sampled_from(["title", "lines"]), words, max_size=2),
    slots=st.dictionaries(st.sampled_from(["job", "job_title", "age", "nothing"]), st.one_of(words, st.none())),
    again=st.lists(st.sampled_from(["job", "age", "name", "nothing"]), max_size=2),
)
asks = st.builds(
    Ask,
    purpose=st.sampled_from(Purpose),
    state=st.sampled_from(["talking", "onboarding", "waiting_for_input", "nowhere"]),
    slot=st.sampled_from([None, "email", "notice_period", "nothing"]),
)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(), texts, st.lists(texts, max_size=2)
)
slot_names = st.sampled_from(["name", "email", "work_mode", "notice_period", "topic", "x", "nothing"])
states = st.sampled_from([*DEFINITIONS["recruiting"].states, "talking", ERROR, "nowhere", ""])  # type: ignore[index]
unasked = st.one_of(
    st.builds(PersonSaid, text=texts),
    st.builds(PersonSaid, text=texts),
    st.builds(ProviderAnswered, ask=asks, text=texts),
    st.builds(ProvidersFailed, ask=asks),
    st.builds(ErrandDone, errand=st.just(ERRAND), outcome=found),
    st.builds(ErrandFailed, errand=st.just(ERRAND)),
    st.builds(ReminderDue),
    st.builds(SessionExpired),
    st.builds(TransitionRequested, state=states),
    st.builds(ReplyWanted, ask=asks),
    st.builds(SlotEdited, slot=slot_names, value=values),
    st.builds(Resumed, state=st.none() | states),
    st.builds(SessionStarted, context=st.dictionaries(st.sampled_from(["email", "company", "work_mode"]), texts)),
)
answered = st.one_of(st.none(), st.sampled_from(ANSWERS), texts)
happenings = st.lists(st.tuples(unasked, answered, st.one_of(st.none(), found), st.integers(0, 10_000)), max_size=25)

# A small machine of any shape: some states ask, some talk, some lead to others, in circles or not.
names = st.sampled_from(["a", "b", "c", "d"])
steps = st.lists(st.fixed_dictionaries({"to": names}, optional={"when": st.just("questions_left")}), max_size=3)
machines = st.dictionaries(
    names,
    st.fixed_dictionaries(
        {"next": steps},
        optional={
            "say": st.sampled_from(["", "hello", "{x|nobody}"]),
            "ask": st.lists(st.sampled_from(["x", "y"]), max_size=2),
            "one_at_a_time": st.booleans(),
            "reply": st.sampled_from(["", "Answer."]),
            "score": st.booleans(),
            "ends": st.booleans(),
        },
    ),
    min_size=4,
)
slots = {
    "x": {"type": "number", "ask": "x?", "use_provider": True, "score": {"weight": 1, "best": 1, "worst": 0}},
    "y": {"type": "email", "ask": "y?", "required": False},
}


Happening = tuple[Event, str | None, Outcome | None, int]


def play(definition: Definition, happened: list[Happening], *, through_json: bool = False) -> list[Advanced]:
    """Let events happen, and answer every question to a provider, and every errand, in the way that stands beside."""
    state, now, course = machine.initial(definition), NOW, list[Advanced]()

    def advance(event: Event) -> None:
        nonlocal state
        advanced = machine.advance(definition, state, event, now)
        holds(definition, state, advanced, event, now)
        course.append(advanced)
        state = MachineState.model_validate_json(advanced.state.model_dump_json()) if through_json else advanced.state

    advance(SessionStarted())
    for event, answer, outcome, minutes in happened:
        now += timedelta(minutes=minutes)
        advance(event)
        for _ in range(5):
            if ask := state.pending:
                advance(ProvidersFailed(ask=ask) if answer is None else ProviderAnswered(ask=ask, text=answer))
            elif errand := state.errand:
                advance(ErrandFailed(errand=errand) if outcome is None else ErrandDone(errand=errand, outcome=outcome))
    return course


def holds(definition: Definition, before: MachineState, advanced: Advanced, event: Event, now: datetime) -> None:
    """Assert what holds after every event."""
    after, effects = advanced
    assert after.state in {*definition.states, ERROR}
    assert (after.state == ERROR) == (after.came_from is not None)
    # Only what the person has taken back by starting over or by a correction can then be left out.
    assert before.slots.keys() - after.slots.keys() <= set(before.stale)
    anew = {*after.again, *after.stale, *SPENT}
    assert set(before.skipped) - anew <= set(after.skipped) or begins_anew(definition, before, event)
    assert set(after.stale) <= after.slots.keys()
    assert all(after.lacks(slot) for slot in after.again)
    assert after.asking is None or after.lacks(after.asking)
    asked = [effect.ask for effect in effects if isinstance(effect, AskProvider)]
    assert asked == ([after.pending] if asked else [])
    assert after.pending is None or asked or after.pending == before.pending
    assert all(not isinstance(effect, AskProvider | RunErrand) for effect in effects[:-1])
    errands = [effect.errand for effect in effects if isinstance(effect, RunErrand)]
    assert errands == ([after.errand] if errands else [])
    assert after.errand is None or errands or after.errand == before.errand
    assert after.errand is None or after.pending is None
    assert machine.advance(definition, before, event, now) == advanced
    assert set(machine.still_to_ask(definition, after)) <= definition.slots.keys()
    expected = machine.next_action(definition, after)
    assert expected.slot == (after.asking if expected.kind == "answer" and not after.confirming else None)
    assert json.loads(after.model_dump_json()) == after.model_dump(mode="json")


def begins_anew(definition: Definition, before: MachineState, event: Event) -> bool:
    interruption = definition.interruptions.start_over
    if interruption is None or not isinstance(event, PersonSaid):
        return False
    return before.confirming == "start_over" or phrases.asks_for("start_over", event.text, interruption.also)


@given(definition=definitions(), happened=happenings)
def test_whatever_happens_any_valid_definition_stays_in_order(
    definition: Definition, happened: list[Happening]
) -> None:
    play(definition, happened)


@given(definition=definitions(), happened=happenings)
def test_any_valid_definition_goes_on_in_the_same_way_after_json(
    definition: Definition, happened: list[Happening]
) -> None:
    again = Definition.model_validate_json(definition.model_dump_json())
    assert play(again, happened, through_json=True) == play(definition, happened)


@pytest.mark.parametrize("name", DEFINITIONS)
@given(happened=happenings)
def test_whatever_happens_the_bundled_definitions_stay_in_order(name: str, happened: list[Happening]) -> None:
    play(DEFINITIONS[name], happened)  # type: ignore[index]


@given(states=machines, happened=happenings)
def test_whatever_happens_any_small_machine_stays_in_order(
    states: dict[str, object], happened: list[Happening]
) -> None:
    play(define_unchecked(initial="a", states=states, slots=slots), happened)


@given(happened=happenings)
def test_a_state_that_went_through_json_goes_on_in_the_same_way(happened: list[Happening]) -> None:
    definition = DEFINITIONS["recruiting"]  # type: ignore[index]
    again = type(definition).model_validate_json(definition.model_dump_json())
    assert play(again, happened, through_json=True) == play(definition, happened)


@given(happened=happenings)
def test_whatever_has_happened_the_recruiting_conversation_can_still_be_finished(
    happened: list[Happening],
) -> None:
    definition = DEFINITIONS["recruiting"]  # type: ignore[index]
    state = play(definition, [event for event in happened if not isinstance(event[0], SessionExpired)])[-1].state
    assume(not state.ended)
    answers = {exchange.slot: exchange.answer for exchange in script.EXCHANGES}
    for _ in range(2 * len(answers) + 2):
        if state.state == "completed":
            break
        answer = "no" if state.confirming else answers.get(state.asking or "", "")
        state = machine.advance(definition, state, PersonSaid(text=answer), NOW).state
    assert state.state == "completed"
    assert "score" in state.slots
