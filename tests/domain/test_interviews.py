"""Applications that ask a job's questions."""

from typing import Any

from tertulia.domain.definition import CheckedDefinition, Definition
from tertulia.domain.events import PersonSaid, Say, SessionStarted
from tertulia.domain.interviews import about
from tertulia.domain.machine import advance, initial
from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tests.domain.applying import NOON, job, question

INTERVIEW = CheckedDefinition.model_validate(
    {
        "name": "interview",
        "version": "1",
        "title": "An interview",
        "context": {"job_title": "the position"},
        "initial": "talk",
        "states": {
            "talk": {"say": "About {job_title}:", "ask": ["name", "job_questions"], "next": "over"},
            "over": {"score": True, "say": "Bye!"},
        },
        "slots": {
            "name": {"type": "name", "ask": "Your name?"},
            "job_questions": {"type": "text", "ask": "What have you done so far?"},
        },
    }
)
BAKER = job(
    question("years", text="How many years?", weight=1, fit={"worst": 0, "best": 10}),
    question(
        "shift", "choice", text="Which shift?", choices=["day", "night"], must_have=True, fit={"worth": {"day": 1}}
    ),
    title="Baker",
)


def held(definition: Definition, *said: str) -> tuple[list[str], dict[str, Any]]:
    """Hold an interview; return what the bot said, and what it knows in the end."""
    state = initial(definition)
    spoken: list[str] = []
    events: list[SessionStarted | PersonSaid] = [SessionStarted(), *(PersonSaid(text=text) for text in said)]
    for event in events:
        state, effects = advance(definition, state, event, NOON)
        spoken += [effect.text for effect in effects if isinstance(effect, Say)]
    return spoken, state.slots


def test_the_job_s_questions_are_asked_understood_and_scored() -> None:
    spoken, known = held(about(INTERVIEW, BAKER), "Ada Lovelace", "five", "at night")

    told = "\n".join(spoken)
    for said in ("About Baker:", "Your name?", "How many years?", "Which shift? (day, night)", "Bye!"):
        assert said in told
    assert "so far" not in told
    assert (known["years"], known["shift"]) == (5, "night")
    assert known[SCORE] == 50
    assert known[MUST_HAVE_FAILED]


def test_without_a_job_the_slot_itself_is_asked_for() -> None:
    spoken, _ = held(INTERVIEW, "Ada Lovelace")

    assert "About the position:" in "\n".join(spoken)
    assert "What have you done so far?" in "\n".join(spoken)


def test_a_job_without_questions_leaves_nothing_to_ask() -> None:
    spoken, _ = held(about(INTERVIEW, job()), "Ada Lovelace")

    assert spoken[-1].endswith("Bye!")


def test_a_question_takes_the_place_of_the_slot_of_its_name_and_is_asked_once() -> None:
    named = about(INTERVIEW, job(question("name", "text", text="And you are?")))

    assert named.states["talk"].ask == ("name",)
    assert named.slots["name"].ask == "And you are?"


def test_an_application_that_does_not_ask_for_them_stays_as_it_is() -> None:
    plain = Definition.model_validate(
        {"name": "p", "version": "1", "title": "P", "initial": "a", "states": {"a": {"say": "Hello"}}}
    )

    assert about(plain, BAKER) is plain


def test_jobs_with_other_questions_make_other_applications() -> None:
    assert about(INTERVIEW, BAKER).content_hash() != INTERVIEW.content_hash()
    assert about(INTERVIEW, BAKER).content_hash() == about(INTERVIEW, BAKER).content_hash()
