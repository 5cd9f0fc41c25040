from typing import Any

import pytest

from tertulia.domain import machine
from tertulia.domain.definition import Definition
from tertulia.domain.events import (
    Ask,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    Purpose,
    SessionStarted,
)
from tests.domain.conversations import BUNDLED, NOW, Conversation, define

ASSISTANT = BUNDLED.get("assistant")  # type: ignore[arg-type]


def chain(**states: Any) -> Definition:
    """Make a definition whose states hold no questions but that for a name."""
    return define(initial=next(iter(states)), states=states)


def test_a_talking_state_gives_every_message_to_a_provider() -> None:
    conversation = Conversation(ASSISTANT)
    assert conversation.said == ["Hello! What can I do for you?"]
    assert conversation.next_action.kind == "talk"
    conversation.hears("Tell me a joke")
    assert conversation.asked == Ask(purpose=Purpose.REPLY, state="talking")
    assert conversation.is_answered("  Knock knock.\n").said == ["  Knock knock.\n"]


def test_when_nobody_can_answer_the_person_gets_an_apology_and_can_try_again() -> None:
    conversation = Conversation(ASSISTANT).hears("Tell me a joke").finds_no_provider()
    assert conversation.said == [ASSISTANT.prompts.apology]
    assert (conversation.state.state, conversation.state.came_from) == ("error", "talking")
    assert conversation.next_action.kind == "retry"
    conversation.hears("Tell me a joke")
    assert conversation.state.state == "talking"
    assert conversation.is_answered("Knock knock.").said == ["Knock knock."]


@pytest.mark.parametrize("nothing", ["", "  \n "])
def test_an_empty_answer_is_no_answer(nothing: str) -> None:
    conversation = Conversation(ASSISTANT).hears("Tell me a joke").is_answered(nothing)
    assert conversation.state.state == "error"


def test_a_message_takes_the_place_of_a_question_that_nobody_has_answered_yet() -> None:
    conversation = Conversation(ASSISTANT).hears("Tell me a joke")
    first = conversation.asked
    conversation.hears("Never mind")
    assert conversation.state.pending == conversation.asked == first
    done = conversation.is_answered("Fine.")
    assert done.state.pending is None
    assert done.happens(ProviderAnswered(ask=first, text="late")).effects == ()
    assert done.happens(ProvidersFailed(ask=first)).effects == ()


def test_states_that_wait_for_nobody_are_passed_at_once() -> None:
    conversation = Conversation(
        chain(
            first={"say": "one", "next": "second"},
            second={"say": "two", "next": "third"},
            third={"ask": ["name"], "next": "fourth"},
            fourth={"say": "four"},
        )
    )
    assert conversation.said == ["one", "two", "Who are you?"]
    assert conversation.hears("Ana").said == ["four"]


def test_states_that_lead_in_a_circle_end_in_an_apology() -> None:
    conversation = Conversation(chain(first={"next": "second"}, second={"next": "first"}))
    assert conversation.state.state == "error"
    assert conversation.said == [conversation.definition.prompts.apology]
    assert conversation.hears("hello").state.state in ("error", "first", "second")


def test_the_first_step_whose_condition_holds_is_taken() -> None:
    definition = chain(
        first={"next": [{"to": "asking", "when": "questions_left"}, "done"]},
        asking={"ask": ["name"], "one_at_a_time": True, "next": "first"},
        done={"say": "done"},
    )
    assert Conversation(definition).state.state == "asking"
    assert Conversation(definition).hears("Ana").state.state == "done"
    assert Conversation(definition, {"name": "Ana"}).state.state == "done"


def test_a_state_that_ends_closes_the_session() -> None:
    conversation = Conversation(define(states={"asking": {"ask": ["name"], "next": "done"}, "done": {"ends": True}}))
    assert not conversation.has_ended
    assert conversation.hears("Ana").has_ended
    assert conversation.next_action.kind == "none"
    assert conversation.hears("hello?").said == [conversation.definition.prompts.closing]


def test_a_session_starts_only_once() -> None:
    conversation = Conversation(define()).hears("Ana")
    before = conversation.state
    assert conversation.happens(SessionStarted(context={"name": "Bob"})).effects == ()
    assert conversation.state == before


def test_any_state_can_be_suspended_and_taken_up_where_it_was() -> None:
    conversation = Conversation(define()).hears("42")
    assert conversation.is_moved_to("error").state.state == "error"
    assert conversation.effects == ()
    assert conversation.is_moved_to("done").rejected.allowed == ("asking",)
    conversation.is_moved_to("asking")
    assert conversation.said == ["Who are you?"]
    assert conversation.is_moved_to("error").hears("Ana").state.slots == {"name": "Ana"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("asking", "the conversation is in 'asking' already"),
        ("nowhere", "there is no state 'nowhere'"),
        ("other", "'other' may not follow 'asking'"),
    ],
)
def test_a_transition_is_rejected_with_its_reason(target: str, reason: str) -> None:
    states = {"asking": {"ask": ["name"], "next": "done"}, "done": {}, "other": {}}
    conversation = Conversation(define(states=states))
    assert conversation.is_moved_to(target).rejected.reason == reason
    assert conversation.rejected.allowed == ("done", "error")


def test_a_transition_by_hand_says_what_the_new_state_says() -> None:
    assert Conversation(define()).is_moved_to("done").said == ["Goodbye, friend."]


def test_transitions_beyond_the_steps_can_be_declared() -> None:
    states = {"asking": {"ask": ["name"], "next": "done"}, "done": {"say": "done"}, "other": {"say": "other"}}
    definition = define(states=states, transitions={"asking": ["done", "other"]})
    assert Conversation(definition).is_moved_to("other").said == ["other"]


def test_a_slot_s_own_words_come_before_the_standard_ones() -> None:
    slots = {"name": {"type": "name", "ask": "Who?", "reprompts": ["Again: {question}"], "thanks": "Hi {name}!"}}
    conversation = Conversation(define(slots=slots))
    assert conversation.hears("42").said == ["Again: Who?"]
    assert conversation.hears("Ana").said == ["Hi Ana!", "Goodbye, Ana."]


def test_a_problem_is_told_ahead_of_the_reprompt() -> None:
    slots = {"name": {"type": "number", "ask": "How many?", "max": 5, "reprompts": ["Try again."]}}
    definition = define(slots=slots, prompts={"problems": {"too_large": "That is too many."}})
    assert Conversation(definition).hears("7").said == ["That is too many. Try again."]


def test_the_same_event_at_the_same_time_has_the_same_outcome() -> None:
    definition = define()
    state = Conversation(definition).state
    event = PersonSaid(text="I'm Ana")
    assert machine.advance(definition, state, event, NOW) == machine.advance(definition, state, event, NOW)
