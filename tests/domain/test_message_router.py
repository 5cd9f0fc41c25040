"""Which skill a message reaches: by rule, then by provider, and never one that is not on offer."""

import pytest

from tertulia.domain import prompts
from tertulia.domain.conversation import HandOverCause
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.events import AskProvider, HandOver, Purpose, Say
from tertulia.domain.slots import Reason
from tests.domain.conversations import Conversation, define

TALKING = {"use": "small_talk", "use_provider": True}
TO_A_PERSON = {"use": "handover", "to": "person", "also": ["una persona"], "use_provider": True}
STATES: dict[str, dict[str, object]] = {
    "asking": {"ask": ["name"], "next": "counting"},
    "counting": {"ask": ["age"], "next": "done"},
    "person": {"say": "One moment.", "hand_over": "asked for"},
    "done": {"say": "Goodbye."},
}
SLOTS: dict[str, dict[str, object]] = {
    "name": {"type": "text", "ask": "Who are you?"},
    "age": {"type": "number", "ask": "How old?", "reprompts": ["A number, please."]},
}
WELL = "I'm well, thank you for asking."


def desk(*skills: object, **given: object) -> Definition:
    given = {"states": STATES, "slots": SLOTS, "transitions": {"done": ["person"]}, **given}
    return define(skills=list(skills), **given)


def chosen(name: str | None) -> str:
    return f'{{"skill": "{name}"}}' if name else '{"skill": null}'


def test_a_skill_answers_in_between_and_the_question_is_put_again() -> None:
    conversation = Conversation(desk(TALKING)).hears("Ana", "How are you?")
    assert conversation.said == [WELL, "How old?"]
    assert conversation.hears("31").said == ["Goodbye."]
    assert conversation.hears("how are you").said == [WELL]


def test_an_answer_stays_an_answer() -> None:
    words = {"age": {"type": "choice", "ask": "Whom?", "choices": ["a human", "a robot"]}}
    conversation = Conversation(desk(TO_A_PERSON, slots=SLOTS | words)).hears("Ana", "a human")
    assert conversation.state.slots["age"] == "a human"


def test_where_any_words_would_be_an_answer_a_request_goes_first() -> None:
    assert Conversation(desk(TALKING)).hears("how are you").said == [WELL, "Who are you?"]
    assert Conversation(desk()).hears("how are you").state.slots == {"name": "how are you"}


def test_a_correction_goes_before_a_skill() -> None:
    conversation = Conversation(desk(TO_A_PERSON)).hears("Ana", "sorry, my name is a human")
    assert conversation.state.slots == {"name": "a human"}


def test_a_skill_leads_to_its_state() -> None:
    conversation = Conversation(desk(TO_A_PERSON)).hears("Ana", "I want to talk to a human")
    assert conversation.effects == (Say(text="One moment."), HandOver(reason="asked for", cause=HandOverCause.PERSON))
    assert (conversation.state.state, conversation.state.slots) == ("person", {"name": "Ana"})


@pytest.mark.parametrize("text", ["una persona", "¿Una persona?", "Una persona."])
def test_a_skill_is_also_asked_for_in_the_definition_s_words(text: str) -> None:
    assert Conversation(desk(TO_A_PERSON)).hears("Ana", text).state.state == "person"


def test_the_state_s_own_skills_go_first() -> None:
    here = STATES | {"counting": STATES["counting"] | {"skills": [{"use": "handover", "to": "done"}]}}
    nowhere = here | {"done": {"say": "Goodbye.", "hand_over": "here"}}
    conversation = Conversation(desk(TO_A_PERSON, states=nowhere))
    assert conversation.hears("Ana", "a human").state.state == "done"


def test_of_two_skills_the_first_one_that_recognises_a_message_is_meant() -> None:
    twice: list[dict[str, object]] = [
        {"use": "onboarding", "to": "done", "also": ["go"]},
        {"use": "small_talk", "also": ["go"]},
    ]
    assert Conversation(desk(*twice)).hears("go").state.state == "done"
    assert Conversation(desk(*reversed(twice))).hears("go").state.state == "asking"


def test_a_skill_that_is_not_on_offer_is_not_reached() -> None:
    assert Conversation(desk(TALKING)).hears("Ana", "I want to talk to a human").said == ["A number, please."]


def test_a_skill_that_leads_to_where_one_is_puts_the_open_question() -> None:
    begin = {"use": "onboarding", "to": "asking"}
    assert Conversation(desk(begin)).hears("I want to apply").said == ["Who are you?"]
    assert Conversation(desk(begin)).hears("Ana", "I want to apply").said == ["How old?"]
    assert Conversation(desk(begin)).hears("Ana", "31", "I want to apply").said == ["Goodbye."]


def test_a_slot_that_is_asked_anew_keeps_its_value_until_there_is_another() -> None:
    slots = SLOTS | {"resume": {"type": "document", "ask": "Paste it.", "min_length": 5, "required": False}}
    states = STATES | {"asking": {"ask": ["resume", "name"], "next": "counting"}}
    conversation = Conversation(desk("resume_intake", states=states, slots=slots, results=list(slots)))

    def resume() -> object:
        value = conversation.state.known["resume"]
        return value["excerpt"] if isinstance(value, dict) else value

    conversation.hears("an old résumé", "Ana")
    assert conversation.hears("I have a new résumé").said == ["Paste it."]
    assert resume() == "an old résumé"
    assert conversation.hears("skip").said == [conversation.definition.prompts.skipped, "How old?"]
    assert resume() == "an old résumé"
    assert conversation.hears("upload my cv", "a newer résumé").said == ["How old?"]
    assert resume() == "a newer résumé"


def test_a_slot_that_was_left_out_can_still_be_asked_for() -> None:
    slots = SLOTS | {"resume": {"type": "document", "ask": "Paste it.", "min_length": 5, "required": False}}
    states = STATES | {"asking": {"ask": ["resume", "name"], "next": "counting"}}
    conversation = Conversation(desk("resume_intake", states=states, slots=slots, results=list(slots)))
    assert conversation.hears("skip", "Ana", "I have a résumé").said == ["Paste it."]
    assert conversation.hears("my résumé").state.skipped == ()


def test_a_provider_is_asked_which_of_two_skills_is_meant() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "Would somebody else read this?")
    assert conversation.asked.purpose is Purpose.CHOOSE
    assert conversation.is_answered(chosen("handover")).state.state == "person"


@pytest.mark.parametrize("skills", [[], [TALKING], [TALKING, {"use": "handover", "to": "person"}]])
def test_a_provider_is_not_asked_where_there_is_no_choice(skills: list[object]) -> None:
    conversation = Conversation(desk(*skills)).hears("Ana", "Would somebody else read this?")
    assert not any(isinstance(effect, AskProvider) for effect in conversation.effects)


@pytest.mark.parametrize(
    "answer",
    [
        chosen(None), chosen("onboarding"), chosen("person"), '{"skill": ["handover"]}', "handover", "", "[" * 2000,
        '{"skill": {"skill": "handover"}}', "[]", '{"skill": 3}', '{"value": "handover"}',
    ],
)  # fmt: skip
def test_what_a_provider_chooses_beyond_the_offer_counts_for_nothing(answer: str) -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "as old as the hills")
    assert conversation.is_answered(answer).said == ["A number, please."]
    assert conversation.state.state == "counting"


def test_after_a_question_that_asks_for_no_skill_a_provider_replies() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON, digression="Answer.")).hears("Ana", "What does it cost?")
    assert conversation.is_answered(chosen(None)).asked.purpose is Purpose.REPLY
    assert conversation.is_answered("Nothing.").said == ["Nothing.", "How old?"]


def test_a_provider_first_tries_to_understand_an_answer_and_then_to_choose_a_skill() -> None:
    slots = SLOTS | {"age": SLOTS["age"] | {"use_provider": True}}
    conversation = Conversation(desk(TALKING, TO_A_PERSON, slots=slots)).hears("Ana", "as old as the hills")
    assert conversation.asked.purpose is Purpose.UNDERSTAND
    assert conversation.is_answered('{"value": null}').asked.reason is Reason.UNCLEAR
    assert conversation.is_answered(chosen("small_talk")).said == ["That's kind of you, thank you.", "How old?"]


def test_a_foreseen_question_needs_no_provider() -> None:
    digressions = {"hours": {"about": ["opening hours"], "say": "All day."}}
    conversation = Conversation(desk(TALKING, TO_A_PERSON, digressions=digressions))
    assert conversation.hears("Ana", "What are your opening hours?").said == ["All day.", "How old?"]


def test_without_a_provider_the_conversation_goes_on_as_if_none_had_been_asked() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "as old as the hills")
    assert conversation.finds_no_provider().said == ["A number, please."]
    asked = Conversation(desk(TALKING, TO_A_PERSON, digression="Answer.")).hears("Ana", "What does it cost?")
    assert asked.finds_no_provider().said == [asked.definition.prompts.no_answer, "How old?"]


def test_where_no_question_is_open_a_provider_chooses_too() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "31", "I am lost")
    assert conversation.asked.purpose is Purpose.CHOOSE
    again = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "31", "I am lost")
    lost = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "31", "I am lost")
    closing = conversation.definition.prompts.closing
    assert conversation.is_answered(chosen("handover")).state.state == "person"
    assert again.is_answered(chosen(None)).said == [closing]
    assert lost.finds_no_provider().said == [closing]


def test_where_a_provider_replies_to_everything_it_replies_to_what_asks_for_no_skill() -> None:
    talking = {"talking": {"reply": "Answer."}, "person": STATES["person"]}
    definition = define(initial="talking", states=talking, slots={}, skills=[TALKING, TO_A_PERSON])
    assert Conversation(definition).hears("I am lost").is_answered(chosen(None)).asked.purpose is Purpose.REPLY
    failed = Conversation(definition).hears("I am lost").finds_no_provider()
    assert failed.state.state == "error"


def test_a_choice_is_put_to_a_provider_with_the_names_on_offer_and_nothing_else() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("Ana", "as old as the hills")
    request = prompts.completion_request(conversation.definition, conversation.asked, ())
    assert request.json_schema is not None
    assert request.json_schema["properties"]["skill"]["anyOf"][0]["enum"] == ["small_talk", "handover"]
    assert "handover: connects the person with a human" in request.messages[0].text
    assert request.temperature == 0


def test_a_human_who_has_taken_over_is_not_interrupted_by_skills() -> None:
    conversation = Conversation(desk(TALKING, TO_A_PERSON)).hears("a human", "how are you")
    assert conversation.effects == ()


def test_skills_speak_the_language_of_the_definition() -> None:
    words = {"small_talk": {"wellbeing": "Very well, {name|friend}."}}
    assert Conversation(desk(TALKING, skill_words=words)).hears("how are you").said[0] == "Very well, friend."
    web = {"web": {"skill_words": {"small_talk": {"wellbeing": "Fine."}}}}
    on_the_web = Conversation(desk(TALKING, skill_words=words, wordings=web), channel="web")
    assert on_the_web.hears("how are you").said[0] == "Fine."
