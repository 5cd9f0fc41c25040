"""Each skill: what it recognises, and what it does."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from tertulia.domain.definitions.templates import placeholders
from tertulia.domain.errands import (
    AnyRequest,
    ChangeProfile,
    CloseJob,
    CreateJob,
    FindCandidates,
    FindJobs,
    ReadProfile,
    WriteQuestions,
)
from tertulia.domain.skills import SKILLS, AskFor, Do, Move, Situation, Tell

RECRUITING = frozenset(
    {"job_list", "job_creation", "job_choice", "job_closing", "question_suggestion", "question_adoption"}
    | {"question_writing", "candidates"}
)
RECOGNISED = [
    ("onboarding", "I want to apply"),
    ("onboarding", "How do I apply for the position?"),
    ("onboarding", "sign me up, please"),
    ("resume_intake", "Can I send you a newer CV?"),
    ("resume_intake", "I'd like to upload my résumé"),
    ("resume_intake", "Here is my resume"),
    ("prescreening", "let's continue with the questions"),
    ("prescreening", "Ask me the screening questions"),
    ("matching", "Which jobs are open?"),
    ("matching", "Show me all open positions, please"),
    ("matching", "Do you have any other jobs in Madrid?"),
    ("matching", "What fits me best?"),
    ("application_status", "Where does my application stand?"),
    ("application_status", "what's the status of my application"),
    ("application_status", "Have I already applied?"),
    ("profile_update", "What do you know about me?"),
    ("profile_update", "I'd like to update my contact details"),
    ("profile_update", "Could you change my e-mail address to ana@example.org?"),
    ("profile_update", "change my phone"),
    ("handover", "I want to talk to a human"),
    ("handover", "can I speak with someone please?"),
    ("handover", "Is there anybody I can talk to?"),
    ("handover", "a real person"),
    ("small_talk", "How are you today?"),
    ("small_talk", "Hi, are you a robot?"),
    ("small_talk", "tell me a joke"),
    ("small_talk", "Nice to meet you!"),
]
RECRUITERS_SAY = [
    ("job_list", "Which jobs are open?"),
    ("job_list", "list our open positions please"),
    ("job_creation", "I'd like to create a job"),
    ("job_creation", "new position"),
    ("job_choice", "work on job 2"),
    ("job_choice", "switch to another job"),
    ("job_closing", "Please close the job"),
    ("question_suggestion", "suggest some questions"),
    ("question_suggestion", "What questions should I ask?"),
    ("question_adoption", "add questions 1, 3 and 5"),
    ("question_writing", "Let me write a question"),
    ("question_writing", "add a question for this job"),
    ("candidates", "Who has applied?"),
    ("candidates", "show me the best candidates"),
]
SAID_ALONG = [
    ("create a job called Data engineer, please", {"title": "Data engineer"}),
    ("Show me the candidates for the job Backend engineer", {"job": "Backend engineer"}),
    ("who applied for that?", None),
    ("suggest questions for me", {}),
    ("close job Data engineer", {"job": "Data engineer"}),
    ("work on the job 2", {"job": "2"}),
    ("another job", {"job": None}),
    ("take questions 1-3", {"adopted": "1-3"}),
]
# Whoever is asked something says things like these.
ANSWERS = [
    "Ana López", "recruiter", "an agent", "operator", "colleague", "5 years", "yes", "no", "4 weeks", "hybrid",
    "Madrid", "backend engineer", "I like to talk to people, and I apply what I learn.",
    "My résumé is attached to the mail",
    "I want to work with questions of law", "", "?", "skip", "\ud800", "a" * 5000, "please " * 200,
]  # fmt: skip


def recognisers(text: str, names: Collection[str] = SKILLS) -> list[str]:
    return [name for name in names if SKILLS[name].recognises(text) is not None]


@pytest.mark.parametrize(("skill", "text"), RECOGNISED)
def test_a_request_is_recognised_by_its_skill_alone(skill: str, text: str) -> None:
    assert recognisers(text, SKILLS.keys() - RECRUITING) == [skill]


@pytest.mark.parametrize(("skill", "text"), RECRUITERS_SAY)
def test_a_recruiter_s_request_is_recognised_by_its_skill_alone(skill: str, text: str) -> None:
    assert recognisers(text, RECRUITING) == [skill]


@pytest.mark.parametrize(("text", "heard"), SAID_ALONG)
def test_what_a_request_says_along_is_heard(text: str, heard: Mapping[str, str | None] | None) -> None:
    found = [said for name in RECRUITING if (said := SKILLS[name].recognises(text)) is not None]
    assert found == ([] if heard is None else [heard])


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_asks_for_no_skill(text: str) -> None:
    assert recognisers(text) == []


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_does_something_with_whatever_is_known(name: str) -> None:
    skill = SKILLS[name]
    assert skill.summary[0].islower()
    assert (skill.does is None) <= skill.is_led
    values: tuple[JsonValue, ...] = ("x", "\ud800", "x" * 5000, 3, True, ["x"], {"excerpt": "x"})
    for known in ({}, *(dict.fromkeys((*skill.needs, "role"), value) for value in values)):
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


def done(skill: str, text: str = "", **known: JsonValue) -> Move:
    does = SKILLS[skill].does
    assert does is not None
    return does(Situation(known, text))


def request(skill: str, text: str = "", **known: JsonValue) -> AnyRequest:
    move = done(skill, text, **known)
    assert isinstance(move, Do)
    return move.request


def test_jobs_are_matched_with_what_a_person_has_said_of_their_work() -> None:
    assert request("matching", role="data engineer", location="Madrid") == FindJobs(wanted=("data engineer", "Madrid"))
    assert request("matching") == FindJobs()


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("change my e-mail to ana@example.org", {"email": "ana@example.org"}),
        ("update my phone number to +34 612 345 678", {"phone": "+34612345678"}),
        ("set my town to Toledo", {"location": "Toledo"}),
        ("please change my name to Ana López", {"name": "Ana López"}),
        ("correct my experience to 8 years", {"experience_years": 8}),
    ],
)
def test_a_profile_is_changed_by_the_rules_of_its_fields(text: str, changes: dict[str, JsonValue]) -> None:
    assert request("profile_update", text) == ChangeProfile(changes=changes)


@pytest.mark.parametrize("text", ["change my phone", "change my phone to yesterday", "change my e-mail to nowhere"])
def test_a_change_that_says_nothing_of_use_is_explained(text: str) -> None:
    assert done("profile_update", text) == Tell("how")


def test_a_profile_is_read_for_whoever_asks_what_is_known_of_them() -> None:
    assert request("profile_update", "what do you know about me") == ReadProfile()
    assert request("profile_update") == ReadProfile()


def test_a_job_is_created_from_what_has_been_said_of_it() -> None:
    known = {"title": "Engineer", "location": "Madrid", "skills": "Python, SQL and Go", "currency": "USD"}
    assert request("job_creation", **known) == CreateJob(
        title="Engineer", location="Madrid", skills=("Python", "SQL", "Go"), currency="USD"
    )


def test_a_job_is_closed_only_by_somebody_who_is_sure() -> None:
    assert request("job_closing", job="j-1", sure=True) == CloseJob(job="j-1")
    assert done("job_closing", job="j-1", sure=False) == Tell("kept")
    assert done("job_closing", job="j-1") == Tell("kept")


def test_a_number_names_a_job_of_the_last_list() -> None:
    does = SKILLS["candidates"].does
    assert does is not None
    listed = ({"title": "One", "job_id": "j-1"}, {"title": "Two", "job_id": "j-2"})
    for said, named in (("2", "j-2"), ("3", "3"), ("0", "0"), ("Two", "Two"), ("²", "²")):
        assert does(Situation({"job": said}, "", listed)) == Do(FindCandidates(job=named))


QUESTIONS = [{"qid": "years", "text": "Years?"}, {"qid": "permit", "text": "Permit?"}, {"qid": "why", "text": "Why?"}]
SUGGESTED = [{"text": question["text"], "question": json.dumps(question)} for question in QUESTIONS]


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ("all", [0, 1, 2]), ("All of them", [0, 1, 2]), ("1 and 3", [0, 2]), ("3, 1", [2, 0]), ("1-3", [0, 1, 2]),
        ("questions 2 to 3", [1, 2]), ("#2", [1]), ("number 2, please", [1]), ("1, 1", [0]),
    ],
)  # fmt: skip
def test_the_suggested_questions_that_are_named_are_written(said: str, chosen: list[int]) -> None:
    does = SKILLS["question_adoption"].does
    assert does is not None
    move = does(Situation({"job": "j-1", "adopted": said}, "", SUGGESTED))
    assert move == Do(WriteQuestions(job="j-1", questions=tuple(QUESTIONS[place] for place in chosen)))


@pytest.mark.parametrize("said", ["the good ones", "0", "4", "1 and 4", "", "½", "all but 2", "1 or 2"])
def test_what_names_no_suggested_question_is_asked_again(said: str) -> None:
    does = SKILLS["question_adoption"].does
    assert does is not None
    assert does(Situation({"adopted": said}, "", SUGGESTED)) == AskFor(("adopted",), "unclear")


@pytest.mark.parametrize("listed", [[], [{"title": "a job"}], [{"question": "not JSON"}], [{"question": "[1]"}]])
def test_nothing_is_written_where_nothing_was_suggested(listed: list[dict[str, str]]) -> None:
    does = SKILLS["question_adoption"].does
    assert does is not None
    assert does(Situation({"adopted": "all"}, "", listed)) == Tell("nothing")
    assert does(Situation({"adopted": "none"}, "", SUGGESTED)) == Tell("none")


def test_a_question_is_written_with_choices_where_its_kind_has_some() -> None:
    counts: dict[str, JsonValue] = {"must_have": True, "weight": 0.5}
    known: dict[str, Any] = {"job": "j-1", "question": "Where?", "choices": "here, there"} | counts
    told: dict[str, JsonValue] = {"text": "Where?", "type": "text", **counts}
    chosen: dict[str, JsonValue] = {**told, "type": "choice", "choices": ["here", "there"]}
    assert request("question_writing", question_type="choice", **known) == WriteQuestions(
        job="j-1", questions=(chosen,)
    )
    assert request("question_writing", question_type="text", **known) == WriteQuestions(job="j-1", questions=(told,))
