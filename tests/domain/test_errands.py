"""What skills have done outside: how it is asked for, and what a conversation makes of what comes back."""

from typing import Any

import pytest
from pydantic import ValidationError

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errands import (
    ITEM_CHARS,
    MOST_ITEMS,
    CreateJob,
    Errand,
    FindApplications,
    FindCandidates,
    FindJobs,
    Outcome,
)
from tertulia.domain.events import ErrandDone, ErrandFailed, RunErrand
from tests.domain.conversations import Conversation, define

JOB = {"type": "text", "ask": "Which job?"}
SLOTS = {
    "name": {"type": "name", "ask": "Who are you?"},
    "age": {"type": "number", "ask": "How old?"},
    "job": JOB,
    "job_title": {"type": "text", "ask": "What is it called?", "max_length": 20},
    "title": {"type": "text", "ask": "Title?"},
    "location": {"type": "location", "ask": "Where?", "required": False},
    "description": {"type": "text", "ask": "What?", "required": False},
    "skills": {"type": "text", "ask": "Skills?", "required": False},
    "currency": {"type": "text", "ask": "Currency?", "required": False},
}
STATES: dict[str, Any] = {
    "asking": {"ask": ["name", "age"], "next": "ready"},
    "ready": {"say": "Ready."},
    "seeing": {"ask": ["job"], "run": "candidates", "next": "ready"},
    "creating": {
        "ask": ["title", "location", "description", "skills", "currency"],
        "run": "job_creation",
        "next": "ready",
    },
}
USES = [
    "matching",
    "application_status",
    {"use": "candidates", "to": "seeing"},
    {"use": "job_creation", "to": "creating"},
]
ONE, TWO = {"title": "One", "job_id": "j-1"}, {"title": "Two", "job_id": "j-2"}


def office(**given: Any) -> Definition:
    return define(**{"states": STATES, "slots": SLOTS, "skills": USES, "results": list(SLOTS)} | given)


def errand(conversation: Conversation) -> Errand:
    last = conversation.effects[-1]
    assert isinstance(last, RunErrand)
    assert conversation.state.errand == last.errand
    return last.errand


def comes_back(conversation: Conversation, said: str = "done", **found: Any) -> Conversation:
    outcome = Outcome.model_validate({"said": said} | found)
    return conversation.happens(ErrandDone(errand=errand(conversation), outcome=outcome))


def fails(conversation: Conversation) -> Conversation:
    return conversation.happens(ErrandFailed(errand=errand(conversation)))


def test_what_was_found_is_told_line_by_line_and_the_open_question_put_again() -> None:
    conversation = Conversation(office()).hears("Ana", "Which jobs are open?")
    assert errand(conversation) == Errand(skill="matching", request=FindJobs())
    assert conversation.said == []
    comes_back(conversation, "found", items=[ONE | {"matched": "Python"}, TWO | {"location": "Madrid"}])
    assert conversation.said == [
        "\n".join(
            (
                "These open jobs fit you best:",
                "1. One (anywhere). What fits: Python.",
                "2. Two (Madrid). What fits: nothing that I know of.",
            )
        ),
        "How old?",
    ]
    assert conversation.state.errand is None
    assert conversation.state.listed == (ONE | {"matched": "Python"}, TWO | {"location": "Madrid"})


def test_a_text_that_stands_for_words_is_told_in_these_words() -> None:
    items = [{"title": "screened", "status": "screened", "day": "2026-03-01"}]
    conversation = Conversation(office()).hears("Ana", "where is my application?")
    assert errand(conversation).request == FindApplications()
    told = comes_back(conversation, "found", items=items).said[0]
    assert told.endswith("1. screened: received, and being read by our recruiters, since 2026-03-01.")
    own = office(skill_words={"application_status": {"status_screened": "being read", "line": "{title}, {status}"}})
    again = comes_back(Conversation(own).hears("Ana", "where is my application?"), "found", items=items)
    assert again.said[0] == "Your applications:\nscreened, being read"


def test_what_was_found_can_not_speak_for_us() -> None:
    conversation = Conversation(office()).hears("Ana", "Which jobs are open?")
    told = comes_back(conversation, "found", items=[{"title": "{name} {lines}"}]).said[0]
    assert "1. {name} {lines} (anywhere)" in told


def test_what_can_not_be_done_is_said_and_the_conversation_goes_on() -> None:
    conversation = fails(Conversation(office()).hears("Ana", "Which jobs are open?"))
    assert conversation.said == [conversation.definition.prompts.no_answer, "How old?"]
    assert comes_back(conversation.hears("Which jobs are open?"), "nonsense").said[0] == (
        conversation.definition.prompts.no_answer
    )


def test_an_errand_is_not_waited_for_when_the_person_goes_on() -> None:
    conversation = Conversation(office()).hears("Ana", "Which jobs are open?")
    late = errand(conversation)
    conversation.hears("31")
    assert (conversation.state.errand, conversation.state.slots["age"]) == (None, 31)
    assert conversation.happens(ErrandDone(errand=late, outcome=Outcome(said="nothing"))).effects == ()
    assert conversation.happens(ErrandFailed(errand=late)).effects == ()


def test_a_state_asks_for_what_its_skill_needs_and_then_has_it_work() -> None:
    conversation = Conversation(office()).hears("Ana", "31", "show candidates")
    assert conversation.said == ["Which job?"]
    conversation.hears("One")
    assert errand(conversation) == Errand(skill="candidates", request=FindCandidates(job="One"))
    told = comes_back(conversation, "nothing", values={"title": "One"}, slots={"job": "j-1", "job_title": "One"})
    assert told.said == ["Nobody has applied for One yet.", "Ready."]
    assert (told.state.state, told.state.slots["job"], told.state.slots["job_title"]) == ("ready", "j-1", "One")
    assert errand(told.hears("who has applied?")).request == FindCandidates(job="j-1")


def test_what_a_request_says_along_is_not_asked_again() -> None:
    conversation = Conversation(office()).hears("Ana", "31", "show candidates for One")
    assert errand(conversation).request == FindCandidates(job="One")


def test_what_was_of_no_use_is_asked_anew_and_the_work_done_again() -> None:
    conversation = Conversation(office()).hears("Ana", "31", "show candidates for the job Three")
    comes_back(conversation, "no_job", items=[ONE, TWO], again=["job"])
    assert conversation.said == [
        "I don't find that job. These are open:\n1. One (anywhere)\n2. Two (anywhere)",
        "Which job?",
    ]
    assert errand(conversation.hears("2")).request == FindCandidates(job="j-2")
    assert comes_back(conversation, "nothing", values={"title": "Two"}).said[-1] == "Ready."


def test_what_is_used_up_is_asked_anew_the_next_time_and_stays_on_record() -> None:
    conversation = Conversation(office()).hears("Ana", "31", "create a job called One", *["skip"] * 4)
    assert errand(conversation).request == CreateJob(title="One")
    assert comes_back(conversation, values={"title": "One"}).said[-1] == "Ready."
    assert conversation.state.slots["title"] == "One"
    assert "title" not in conversation.state.known
    assert conversation.hears("new job").said == ["Title?"]
    assert conversation.hears("Two").said == ["Where?"]


def test_what_could_not_be_done_can_be_tried_again_without_saying_it_all_again() -> None:
    conversation = fails(Conversation(office()).hears("Ana", "31", "create a job called One", *["skip"] * 4))
    assert conversation.said == [conversation.definition.prompts.no_answer, "Ready."]
    assert errand(conversation.hears("create a job")).request == CreateJob(title="One")


@pytest.mark.parametrize("slots", [{"job_title": "x" * 21}, {"job_title": 3}, {"age": 40}, {"nothing": "x"}])
def test_a_skill_fills_only_what_it_gives_and_what_the_slot_lets_pass(slots: dict[str, Any]) -> None:
    conversation = Conversation(office()).hears("Ana", "31", "show candidates for One")
    before = dict(conversation.state.slots)
    assert comes_back(conversation, "nothing", slots=slots).state.slots == before


def test_a_conversation_that_is_left_leaves_what_was_to_be_asked_at_once() -> None:
    definition = office(interruptions={"cancel": {"to": "ready"}})
    conversation = Conversation(definition).hears("Ana", "31", "show candidates for the job Three")
    comes_back(conversation, "no_jobs", again=["job"])
    assert conversation.hears("cancel").said == ["Ready."]
    assert conversation.hears("create a job").said == ["Title?"]


@pytest.mark.parametrize(
    "outcome",
    [
        {"said": "found", "items": [{}] * (MOST_ITEMS + 1)},
        {"said": "found", "items": [{"title": "x" * (ITEM_CHARS + 1)}]},
        {"said": "found", "found": 3},
    ],
)
def test_an_outcome_is_never_large(outcome: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Outcome.model_validate(outcome)


def test_a_script_says_what_comes_of_errands() -> None:
    from tests.domain.test_definition_scripts import missed

    heard: list[dict[str, object]] = [{"said": "Ana"}, {"said": "Which jobs are open?"}]
    assert missed(office(), *heard) == [(1, "data")]
    assert (
        missed(office(), heard[0], heard[1] | {"data": [{"said": "nothing"}], "reply": ["/no open jobs/", "How old?"]})
        == []
    )
    assert missed(office(), heard[0], heard[1] | {"data": [], "reply": ["/can't answer/", "How old?"]}) == []
