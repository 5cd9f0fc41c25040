"""Each skill: what it recognises, and what it does."""

import pytest

from tertulia.domain.skills import SKILLS, AskFor, Situation, Tell
from tertulia.domain.templates import placeholders

RECOGNISED = [
    ("onboarding", "I want to apply"),
    ("onboarding", "How do I apply for the position?"),
    ("onboarding", "sign me up, please"),
    ("resume_intake", "Can I send you a newer CV?"),
    ("resume_intake", "I'd like to upload my résumé"),
    ("resume_intake", "Here is my resume"),
    ("prescreening", "let's continue with the questions"),
    ("prescreening", "Ask me the screening questions"),
    ("handover", "I want to talk to a human"),
    ("handover", "can I speak with someone please?"),
    ("handover", "Is there anybody I can talk to?"),
    ("handover", "a real person"),
    ("small_talk", "How are you today?"),
    ("small_talk", "Hi, are you a robot?"),
    ("small_talk", "tell me a joke"),
    ("small_talk", "Nice to meet you!"),
]
# Whoever is asked something says things like these.
ANSWERS = [
    "Ana López", "recruiter", "an agent", "operator", "colleague", "5 years", "yes", "no", "4 weeks", "hybrid",
    "Madrid", "backend engineer", "I like to talk to people, and I apply what I learn.",
    "My résumé is attached to the mail",
    "I want to work with questions of law", "", "?", "skip", "\ud800", "a" * 5000, "please " * 200,
]  # fmt: skip


@pytest.mark.parametrize(("skill", "text"), RECOGNISED)
def test_a_request_is_recognised_by_its_skill_alone(skill: str, text: str) -> None:
    assert [name for name, each in SKILLS.items() if each.recognises(text) is not None] == [skill]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_asks_for_no_skill(text: str) -> None:
    assert [name for name, each in SKILLS.items() if each.recognises(text) is not None] == []


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_does_something_with_whatever_is_known(name: str) -> None:
    skill = SKILLS[name]
    assert skill.summary[0].islower()
    assert (skill.does is None) <= skill.is_led
    for known in ({}, dict.fromkeys((*skill.needs, "email"), "x"), dict.fromkeys(skill.needs, 3)):
        move = skill.does(Situation(known)) if skill.does else None
        assert not isinstance(move, Tell) or skill.words[move.word]


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_s_words_are_texts_of_ours(name: str) -> None:
    assert all(text and text.count("{") == len(placeholders(text)) for text in SKILLS[name].words.values())


@pytest.mark.parametrize(
    ("text", "word"),
    [("how are you?", "wellbeing"), ("who are you", "identity"), ("know any jokes?", "joke"), ("", "pleasure")],
)
def test_small_talk_keeps_to_its_topic(text: str, word: str) -> None:
    small_talk = SKILLS["small_talk"]
    assert small_talk.does is not None
    assert small_talk.does(Situation({}, text)) == Tell(word)


def test_a_new_resume_is_asked_for_whatever_is_known() -> None:
    resume_intake = SKILLS["resume_intake"]
    assert resume_intake.does is not None
    assert resume_intake.does(Situation({"resume": "old"})) == AskFor(("resume",))
