from collections.abc import Iterable

import pytest

from tertulia.domain.events import Purpose
from tests import recruiting_script as script
from tests.domain.conversations import BUNDLED, NOW, Conversation

RECRUITING = BUNDLED.get("recruiting")  # type: ignore[arg-type]


def recruiting(answers: Iterable[str] = ()) -> Conversation:
    return Conversation(RECRUITING).hears(*answers)


def up_to(slot: str) -> Conversation:
    """Hold the scripted conversation until the question for a slot is open."""
    place = [exchange.slot for exchange in script.EXCHANGES].index(slot)
    return recruiting(script.ANSWERS[:place])


def test_a_whole_prescreen_needs_no_provider() -> None:
    conversation = recruiting()
    assert conversation.said[0].startswith(script.GREETING)
    for exchange in script.EXCHANGES:
        assert conversation.said[-1] == exchange.question
        assert (conversation.state.state, conversation.state.asking) == (exchange.state, exchange.slot)
        assert conversation.next_action.kind == "answer"
        assert conversation.still_to_ask[0] == exchange.slot
        conversation.hears(exchange.answer)
    assert conversation.said[-1].startswith(script.GOODBYE)
    assert conversation.state.state == script.FINAL_STATE
    assert conversation.state.slots == script.final_slots(NOW)
    assert conversation.still_to_ask == ()
    assert conversation.next_action.kind == "none"
    assert not conversation.has_ended


def test_after_the_end_every_message_is_answered_politely() -> None:
    conversation = recruiting([*script.ANSWERS, "thank you"])
    assert conversation.said[0].startswith(script.CLOSING)
    assert conversation.state.state == "completed"


def test_results_are_not_told_to_the_candidate() -> None:
    conversation = recruiting(script.ANSWERS)
    assert "90" not in " ".join(conversation.said)


def test_a_missing_must_have_fails_the_screening() -> None:
    answers = [*script.ANSWERS]
    answers[6] = "no"
    slots = recruiting(answers).state.slots
    assert slots["must_have_failed"] is True
    assert slots["score"] == pytest.approx(66.3)


def test_everything_optional_can_be_skipped() -> None:
    conversation = recruiting()
    while conversation.state.asking:
        slot = RECRUITING.slots[conversation.state.asking]
        answer = next(e.answer for e in script.EXCHANGES if e.slot == conversation.state.asking)
        conversation.hears(answer if slot.required else "skip")
    assert conversation.state.state == "completed"
    assert set(conversation.state.skipped) == {"phone", "resume", "salary_expectation", "motivation"}
    assert not conversation.state.slots.keys() & set(conversation.state.skipped)


def test_an_address_and_a_number_in_one_message_are_both_taken() -> None:
    conversation = up_to("name").hears("Ana López, ana.lopez@example.org, +34 612 345 678")
    assert conversation.state.slots == {
        "name": "Ana López",
        "email": "ana.lopez@example.org",
        "phone": "+34612345678",
    }
    assert conversation.state.asking == "role"


def test_an_address_given_instead_of_a_name_is_kept_and_the_name_asked_again() -> None:
    conversation = up_to("name").hears("ana.lopez@example.org")
    assert conversation.state.slots == {"email": "ana.lopez@example.org"}
    assert conversation.said == ["What is your name?"]
    assert conversation.state.misses == 0


def test_an_address_is_not_taken_for_a_position() -> None:
    conversation = up_to("phone").hears("skip", "+34 612 345 678")
    assert conversation.state.asking == "role"
    assert conversation.state.slots["phone"] == "+34612345678"


@pytest.mark.parametrize(
    ("text", "slot", "value"),
    [
        ("my email is actually ana@example.com", "email", "ana@example.com"),
        ("Sorry, typo: ana@example.com", "email", "ana@example.com"),
        ("please change my name to Anna López", "name", "Anna López"),
        ("oops, my experience is 9 years", "experience_years", 9),
        ("My name's Anna", "name", "Anna"),
    ],
)
def test_an_earlier_answer_can_be_corrected(text: str, slot: str, value: object) -> None:
    conversation = up_to("notice_period").hears(text)
    assert conversation.state.slots[slot] == value
    assert str(value) in conversation.said[0]
    assert conversation.said[1] == "How long is your notice period?"


def test_a_correction_after_the_end_changes_the_score() -> None:
    conversation = recruiting([*script.ANSWERS, "sorry, my work authorisation is wrong, no"])
    assert conversation.state.slots["must_have_failed"] is False
    conversation.hears("actually my notice period is 3 months")
    assert conversation.state.slots["notice_period"] == 90
    assert conversation.state.slots["score"] == pytest.approx(80.2)


def test_an_answer_to_an_open_question_is_no_correction() -> None:
    conversation = up_to("motivation").hears("I want to change what I do; the experience is 3 years old by now, sorry.")
    assert conversation.state.slots["experience_years"] == 8
    assert conversation.state.state == "completed"


def test_a_candidate_s_question_is_answered_and_the_open_one_asked_again() -> None:
    conversation = up_to("notice_period").hears("What is the salary range?")
    conversation.is_answered('{"skill": null}')
    assert conversation.asked.purpose is Purpose.REPLY
    assert conversation.asked.variables["question"] == "How long is your notice period?"
    conversation.is_answered("A recruiter will tell you.")
    assert conversation.said == ["A recruiter will tell you.", "How long is your notice period?"]
    assert conversation.state.asking == "notice_period"
    assert conversation.state.misses == 0


def test_without_a_provider_a_candidate_s_question_does_not_stop_the_conversation() -> None:
    conversation = up_to("notice_period").hears("What is the salary range?").finds_no_provider()
    assert conversation.said[1] == "How long is your notice period?"
    assert conversation.hears("2 weeks").state.slots["notice_period"] == 14


def test_an_answer_with_a_question_behind_it_is_taken_and_the_question_answered() -> None:
    conversation = up_to("notice_period").hears("4 weeks. Is remote work possible?")
    assert conversation.state.slots["notice_period"] == 28
    assert conversation.asked.purpose is Purpose.REPLY
    assert conversation.said == []
    conversation.is_answered("Some days, yes.")
    assert conversation.said == ["Some days, yes.", "For how many years have you worked with Python?"]


def test_what_the_rules_can_not_understand_is_given_to_a_provider() -> None:
    conversation = up_to("notice_period").hears("until the end of the quarter after the next")
    assert conversation.asked.purpose is Purpose.UNDERSTAND
    assert conversation.asked.slot == "notice_period"
    conversation.is_answered('{"value": 112}')
    assert conversation.state.slots["notice_period"] == 112
    assert conversation.said == ["For how many years have you worked with Python?"]


@pytest.mark.parametrize(
    ("slot", "answer"),
    [
        ("work_authorisation", "yes, but I need a visa"),
        ("notice_period", "2-3 weeks"),
        ("notice_period", "2 years"),
        ("salary_expectation", "$80k"),
    ],
)
def test_what_the_rules_do_understand_not_to_fit_is_asked_again_and_no_provider_guesses(slot: str, answer: str) -> None:
    conversation = up_to(slot).hears(answer)
    assert len(conversation.said) == 1
    assert conversation.state.pending is None
    assert (conversation.state.asking, conversation.state.misses) == (slot, 1)


@pytest.mark.parametrize(
    "garbage",
    [
        "", "null", "I think it's three months", '{"value": null}', '{"value": "soon"}', '{"value": -4}', "[1, 2]",
        '{"value": 9e999}', '{"value": {"days": 3}}', "{" * 5000, '{"value": 3', "\x00", '{"other": 3}',
    ],
)  # fmt: skip
def test_a_provider_s_garbage_counts_as_not_understood(garbage: str) -> None:
    conversation = up_to("notice_period").hears("quite long").is_answered(garbage)
    if conversation.state.pending:  # It is asked whether something else is meant.
        conversation.is_answered(garbage)
    assert "notice_period" not in conversation.state.slots
    assert conversation.state.misses == 1
    assert conversation.said[0].endswith("How long is that, in days, weeks or months?")


def test_misunderstandings_are_met_with_more_and_more_help() -> None:
    conversation = up_to("email")
    said = ("it's the usual one", "ana.example.org", "you have it already", "ana")
    first, second, third, fourth = (conversation.hears(text).finds_no_provider().said for text in said)
    assert len({*first, *second, *third}) == 3
    assert "ana@example.org" in second[0]
    assert third == fourth
    assert conversation.state.asking == "email"


def test_a_question_that_can_be_left_out_is_after_three_misunderstandings() -> None:
    conversation = up_to("phone")
    for text in ("not my thing", "no number", "whatever"):
        conversation.hears(text).finds_no_provider()
    assert conversation.state.skipped == ("phone",)
    assert conversation.said == ["All right, we'll leave that out.", "Which position are you applying for?"]


@pytest.mark.parametrize("text", ["I'd rather not say", "skip", "no", "I would prefer not to tell you my name"])
def test_who_declines_a_required_answer_is_told_what_it_is_for(text: str) -> None:
    conversation = up_to("name").hears(text)
    assert conversation.said == [RECRUITING.slots["name"].help, "What is your name?"]
    assert "name" not in conversation.state.slots


def test_help_explains_the_question_without_counting() -> None:
    conversation = up_to("notice_period").hears("help", "what do you mean?", "why do you ask?")
    assert conversation.said == [RECRUITING.slots["notice_period"].help, "How long is your notice period?"]
    assert conversation.state.misses == 0


def test_a_greeting_is_met_with_the_question() -> None:
    conversation = up_to("name").hears("hello!")
    assert conversation.said == ["What is your name?"]
    assert conversation.state.misses == 0


def test_what_the_session_is_opened_with_is_not_asked_for() -> None:
    context = {
        "company": "Rueda",
        "job_title": "the data team",
        "email": "ana@example.org",
        "phone": "nonsense",
        "x": [1],
    }
    conversation = Conversation(RECRUITING, context)
    assert "Rueda" in conversation.said[0]
    assert "the data team" in conversation.said[0]
    conversation.hears("Ana")
    assert conversation.state.slots == {"email": "ana@example.org", "name": "Ana"}
    assert conversation.state.asking == "phone"


def test_a_reminder_repeats_the_open_question() -> None:
    conversation = up_to("start_date").waits_until_reminded()
    assert conversation.said == [
        "Are you still there, Ana López? We can go on whenever you like. When could you start at the earliest?"
    ]
    assert conversation.hears("tomorrow").state.slots["start_date"] == "2026-03-11"


def test_nobody_is_reminded_of_a_finished_conversation() -> None:
    assert recruiting(script.ANSWERS).waits_until_reminded().effects == ()


def test_an_expired_session_says_goodbye_and_keeps_what_was_collected() -> None:
    conversation = up_to("start_date")
    collected = conversation.state.slots
    conversation.waits_until_expired()
    assert conversation.has_ended
    assert conversation.said[0].startswith("I'm closing this conversation")
    assert conversation.state.slots == collected
    assert conversation.next_action.kind == "none"
    assert conversation.waits_until_expired().effects == ()


def test_a_finished_screening_can_be_reached_by_hand_and_scores_what_is_there() -> None:
    conversation = up_to("work_authorisation").is_moved_to("completed")
    assert conversation.state.state == "completed"
    assert conversation.state.slots["must_have_failed"] is True


def test_a_transition_that_the_life_cycle_lacks_is_rejected_with_the_allowed_ones() -> None:
    conversation = up_to("email")
    before = conversation.state
    rejected = conversation.is_moved_to("completed").rejected
    assert rejected.allowed == ("collecting_info", "error")
    assert rejected.reason == "'completed' may not follow 'onboarding'"
    assert conversation.state == before
