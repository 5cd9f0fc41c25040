from typing import Any

import pytest

from tertulia.domain import machine
from tertulia.domain.conversation import HandOverCause, NextAction
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.events import (
    Ask,
    HandOver,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    Purpose,
    RejectTransition,
    ReplyWanted,
    Resumed,
    Say,
    SessionStarted,
)
from tests.domain.conversations import BUNDLED, NOW, Conversation, define, define_unchecked

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
    states = {"first": {"next": "second"}, "second": {"next": "first"}}
    conversation = Conversation(define_unchecked(initial="first", states=states))
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


def test_a_reply_that_nobody_writes_anew_in_error_leads_back_to_where_it_was_all_the_same() -> None:
    ask = Ask(purpose=Purpose.REPLY, state="asking")
    conversation = Conversation(define()).is_moved_to("error")
    conversation.happens(ReplyWanted(ask=ask)).happens(ProvidersFailed(ask=ask))
    assert (conversation.state.state, conversation.state.came_from) == ("error", "asking")
    assert conversation.hears("Ana").state.slots == {"name": "Ana"}


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
    conversation = Conversation(define_unchecked(states=states))
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


# --- several answers in one message -----------------------------------------------------------------------------------

FORM = {
    "states": {
        "asking": {"ask": ["topic", "since", "note", "mail"], "ask_together": "Tell me all of it.", "next": "done"},
        "done": {"say": "Done."},
    },
    "slots": {
        "topic": {"type": "choice", "ask": "Which topic?", "choices": ["bill", "fault"]},
        "since": {"type": "date", "ask": "Since when?", "required": False},
        "note": {"type": "text", "ask": "What happens?"},
        "mail": {"type": "email", "ask": "Which address?"},
    },
}


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        (
            "fault, since yesterday, the screen is black, ana@example.org",
            {"topic": "fault", "since": "2026-03-09", "note": "the screen is black", "mail": "ana@example.org"},
        ),
        ("ana@example.org; it's a bill", {"topic": "bill", "mail": "ana@example.org"}),
        ("topic: bill\nnote: charged twice\nmail: ana@example.org", {"topic": "bill", "note": "charged twice"}),
        (
            "the fault is that nothing works at all",
            {"topic": "fault", "note": "the fault is that nothing works at all"},
        ),
    ],
)
def test_a_question_for_several_slots_takes_all_that_the_answer_tells(text: str, slots: dict[str, Any]) -> None:
    conversation = Conversation(define(**FORM))
    assert conversation.said == ["Tell me all of it."]
    assert conversation.next_action == NextAction(kind="answer", slot="topic", type="text")
    assert conversation.hears(text).state.slots.items() >= slots.items()
    assert conversation.said != ["Tell me all of it."]


def test_what_an_answer_to_several_questions_leaves_open_is_asked_one_by_one() -> None:
    conversation = Conversation(define(**FORM)).hears("bill, ana@example.org")
    assert conversation.said == ["Since when?"]
    assert conversation.hears("skip").said[1:] == ["What happens?"]


def test_where_nothing_of_an_answer_to_several_questions_is_understood_they_are_asked_one_by_one() -> None:
    conversation = Conversation(define(**FORM)).hears("?!")
    assert conversation.said == ["Which topic?"]
    assert conversation.state.misses == 0


def test_a_question_for_several_slots_that_is_met_by_a_question_is_put_again() -> None:
    conversation = Conversation(define(**FORM, digression="Answer.")).hears("Who are you?")
    assert conversation.is_answered("A machine.").said == ["A machine.", "Tell me all of it."]


LABELLED = {
    "states": {"asking": {"ask": ["age", "city", "pay"], "next": "done"}, "done": {"say": "Done."}},
    "slots": {
        "age": {"type": "number", "ask": "How old?", "max": 150},
        "city": {"type": "location", "ask": "Where?"},
        "pay": {"type": "money", "ask": "How much?", "currency": "EUR", "label": "salary"},
    },
}


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("30, and my salary is 50k", {"age": 30, "pay": 50000}),
        ("My city is Madrid, my salary is 50k and my age is 30", {"age": 30, "city": "Madrid", "pay": 50000}),
        ("age: 30\ncity: Madrid", {"age": 30, "city": "Madrid"}),
        ("my city is Madrid", {"city": "Madrid"}),
        ("30, my salary is none of your business", {"age": 30}),
    ],
)
def test_what_is_said_by_its_name_is_taken_along(text: str, slots: dict[str, Any]) -> None:
    assert Conversation(define(**LABELLED)).hears(text).state.slots == slots


# --- corrections ------------------------------------------------------------------------------------------------------

TRAVEL = {
    "states": {
        "asking": {"ask": ["country", "city", "street", "age"], "next": [{"to": "minor", "when": "age < 18"}, "adult"]},
        "minor": {"say": "Minor."},
        "adult": {"say": "Adult."},
    },
    "slots": {
        "country": {"type": "location", "ask": "Country?"},
        "city": {"type": "location", "ask": "City?", "depends_on": ["country"]},
        "street": {"type": "text", "ask": "Street?", "depends_on": ["city"], "required": False},
        "age": {"type": "number", "ask": "Age?"},
    },
}


def travelled() -> Conversation:
    return Conversation(define(**TRAVEL)).hears("Spain", "Madrid", "Calle Mayor 3", "30")


def test_a_correction_asks_anew_what_depends_on_it_and_nothing_else() -> None:
    conversation = travelled().hears("sorry, my country is France")
    assert conversation.said[1:] == ["City?"]
    assert conversation.state.known == {"country": "France", "age": 30}
    assert conversation.state.slots["city"] == "Madrid"
    assert conversation.hears("Lyon").said == ["Street?"]
    assert conversation.hears("Rue Mercière 5").state.slots == {
        "country": "France",
        "city": "Lyon",
        "street": "Rue Mercière 5",
        "age": 30,
    }
    assert conversation.state.stale == ()


def test_an_old_value_is_dropped_where_the_person_leaves_out_the_new_one() -> None:
    conversation = travelled().hears("sorry, my city is Seville", "skip")
    assert conversation.state.slots == {"country": "Spain", "city": "Seville", "age": 30}
    assert conversation.state.skipped == ("street",)


def test_a_correction_that_leads_elsewhere_changes_the_way() -> None:
    conversation = travelled()
    assert conversation.state.state == "adult"
    assert conversation.hears("sorry, my age is 17").said[1:] == ["Minor."]
    assert conversation.state.state == "minor"
    assert conversation.hears("sorry, my age is 16").said[1:] == []


def test_what_is_worked_out_follows_a_correction_and_can_not_be_corrected_itself() -> None:
    states = {"asking": {"ask": ["age"], "next": "done"}, "done": {"sets": {"kind": 'age < 18 ? "minor" : "adult"'}}}
    slots = {
        "age": {"type": "number", "ask": "Age?"},
        "kind": {"type": "choice", "ask": "?", "choices": ["minor", "adult"]},
    }
    conversation = Conversation(define_unchecked(states=states, slots=slots)).hears("30")
    assert conversation.state.slots == {"age": 30, "kind": "adult"}
    assert conversation.hears("sorry, my kind is minor").state.slots["kind"] == "adult"
    assert conversation.hears("sorry, my age is 17").state.slots == {"age": 17, "kind": "minor"}


@pytest.mark.parametrize("expression", ["200.0", "1.0 / 0.0", "missing", "age +"])
def test_what_can_not_be_worked_out_or_is_out_of_bounds_stays_unknown(expression: str) -> None:
    states = {"asking": {"sets": {"age": expression}, "ask": ["name"]}}
    slots = {"name": {"type": "name", "ask": "?"}, "age": {"type": "number", "ask": "?", "max": 150}}
    assert Conversation(define_unchecked(states=states, slots=slots)).state.slots == {}


# --- interruptions, people, and words ---------------------------------------------------------------------------------

DESK_STATES = {
    "asking": {"ask": ["name"], "next": "done"},
    "done": {"say": "Goodbye."},
    "person": {"say": "One moment.", "hand_over": "asked for"},
}
DESK = {
    "states": DESK_STATES,
    "interruptions": {"cancel": {"say": "All right."}},
    "skills": [{"use": "handover", "to": "person"}],
}


def test_an_interruption_without_a_state_closes_the_session() -> None:
    conversation = Conversation(define(**DESK)).hears("please cancel")
    assert conversation.said == ["All right."]
    assert conversation.has_ended


def test_without_interruptions_their_words_are_answers_like_any_other() -> None:
    slots = {"name": {"type": "text", "ask": "Which word?"}}
    assert Conversation(define(slots=slots)).hears("cancel").state.slots == {"name": "cancel"}


def test_an_interruption_s_words_choose_where_the_question_offers_them() -> None:
    slots = {"name": {"type": "choice", "ask": "?", "choices": ["cancel", "keep"]}}
    assert Conversation(define(**DESK, slots=slots)).hears("cancel").state.slots == {"name": "cancel"}


def test_after_a_hand_over_the_machine_keeps_silent_until_the_state_is_left() -> None:
    conversation = Conversation(define(**DESK, transitions={"person": ["done"]})).hears("I want to talk to a human")
    assert conversation.effects == (Say(text="One moment."), HandOver(reason="asked for", cause=HandOverCause.PERSON))
    assert conversation.next_action.kind == "talk"
    assert conversation.hears("are you there?", "cancel").effects == ()
    assert conversation.waits_until_reminded().effects == ()
    assert conversation.is_moved_to("done").said == ["Goodbye."]
    assert conversation.hears("thanks").said == [conversation.definition.prompts.closing]


def test_a_digression_is_answered_in_every_state_and_the_question_put_again() -> None:
    digressions = {"hours": {"about": ["opening hours"], "say": "All day, {name|friend}."}}
    conversation = Conversation(define(digressions=digressions)).hears("What are your opening hours?")
    assert conversation.said == ["All day, friend.", "Who are you?"]
    assert conversation.hears("Ana", "and the Opening-Hours?").said == ["All day, Ana."]


def test_a_session_is_held_in_the_words_for_its_language_and_channel() -> None:
    wordings = {
        "web": {"states": {"done": {"say": "Bye on the web."}}},
        "web-es": {"slots": {"name": {"ask": "?"}}},
        "de": {"states": {"done": {"say": "Tschüss, {name}."}}, "slots": {"name": {"ask": "Wer bist du?"}}},
        "de/web": {"states": {"done": {"say": "Tschüss im Netz."}}},
    }
    definition = define_unchecked(wordings=wordings)

    def words(channel: str = "", **context: str) -> list[str]:
        return (
            Conversation(definition, context, channel).said
            + Conversation(definition, context, channel).hears("Ana").said
        )

    assert words() == ["Who are you?", "Goodbye, Ana."]
    assert words("web") == ["Who are you?", "Bye on the web."]
    assert words(language="de") == ["Wer bist du?", "Tschüss, Ana."]
    assert words("web", language="de") == ["Wer bist du?", "Tschüss im Netz."]
    assert words("unknown", language="xx") == ["Who are you?", "Goodbye, Ana."]


def test_the_text_of_a_slot_s_own_reminder_comes_first() -> None:
    slots = {"name": {"type": "name", "ask": "Who?", "reminder": "I wait for your name."}}
    assert Conversation(define(slots=slots)).waits_until_reminded().said == ["I wait for your name."]


def test_the_states_that_an_event_leads_through_are_told_in_order() -> None:
    definition = chain(first={"next": "second"}, second={"ask": ["name"], "next": "third"}, third={"say": "Bye."})
    start = machine.initial(definition)
    begun = machine.passages(definition, start, SessionStarted(), NOW)
    assert begun == [("first", "first"), ("first", "second")]
    state = Conversation(definition).state
    assert machine.passages(definition, state, PersonSaid(text="Ana"), NOW) == [("second", "third")]
    assert machine.passages(definition, state, PersonSaid(text="42"), NOW) == []


# --- taken back from a human ------------------------------------------------------------------------------------------


def test_a_conversation_that_is_resumed_puts_its_open_question_again_and_waits_for_no_provider() -> None:
    conversation = Conversation(define())
    waiting = conversation.state.model_copy(update={"pending": Ask(purpose=Purpose.REPLY, state="asking")})
    state, effects = machine.advance(conversation.definition, waiting, Resumed(), NOW)
    assert effects == (Say(text="Who are you?"),)
    assert state == conversation.state


def test_a_state_in_which_a_human_answers_is_left_by_its_own_step_or_by_the_one_that_is_named() -> None:
    definition = define(**DESK, transitions={"person": ["done"]})
    person = Conversation(definition).hears("I want to talk to a human").state
    _, effects = machine.advance(definition, person, Resumed(), NOW)
    assert effects == (
        RejectTransition(
            reason="in 'person' a human answers; say where to go on",
            allowed=machine.allowed_transitions(definition, person),
        ),
    )
    state, effects = machine.advance(definition, person, Resumed(state="done"), NOW)
    assert (state.state, effects) == ("done", (Say(text="Goodbye."),))
    by_itself = define(
        skills=DESK["skills"], states=DESK_STATES | {"person": {"hand_over": "asked for", "next": "done"}}
    )
    person = Conversation(by_itself).hears("I want to talk to a human").state
    assert machine.advance(by_itself, person, Resumed(), NOW).state.state == "done"


def test_a_conversation_is_not_resumed_where_its_definition_does_not_lead() -> None:
    conversation = Conversation(define())
    state, effects = machine.advance(conversation.definition, conversation.state, Resumed(state="nowhere"), NOW)
    assert state == conversation.state
    assert isinstance(effects[0], RejectTransition)
