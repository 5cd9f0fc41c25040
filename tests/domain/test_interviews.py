"""Applications that ask a job's questions."""

from typing import Any

from tertulia.domain.definitions.definition import CheckedDefinition, Definition
from tertulia.domain.events import PersonSaid, Say, SessionStarted
from tertulia.domain.machine import advance, initial
from tertulia.domain.recruiting.interviews import about, known
from tertulia.domain.recruiting.profiles import corrected
from tertulia.domain.recruiting.resumes import Resume, StoredResume
from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tertulia.domain.slots import Slot, document_of_file
from tests.domain.applying import ADA, NOON, job, question
from tests.domain.slot_tables import slot

INTERVIEW = CheckedDefinition.model_validate(
    {
        "name": "interview",
        "version": "1",
        "title": "An interview",
        "context": {"job_title": "the position"},
        "initial": "talk",
        "states": {
            "talk": {"say": "About {job_title}:", "ask": ["name"], "next": "asking"},
            "asking": {"ask": ["work", "height"], "ask_job_questions": True, "next": "over"},
            "over": {"score": True, "say": "Bye!"},
        },
        "slots": {
            "name": {"type": "name", "ask": "Your name?", "score": {"weight": 1}},
            "work": {"type": "text", "ask": "What have you done so far?"},
            "height": {"type": "number", "ask": "How tall are you?", "score": {"weight": 1}},
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


def with_slots(**slots: Slot) -> Definition:
    """The interview with more slots, asked for or not."""
    return Definition.model_validate({**INTERVIEW.model_dump(), "slots": {**INTERVIEW.slots, **slots}})


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
    spoken, slots = held(about(INTERVIEW, BAKER), "Ada Lovelace", "five", "at night")

    told = "\n".join(spoken)
    for said in ("About Baker:", "Your name?", "How many years?", "Which shift? (day, night)", "Bye!"):
        assert said in told
    assert "so far" not in told
    assert (slots["years"], slots["shift"]) == (5, "night")
    assert slots[SCORE] == 50
    assert slots[MUST_HAVE_FAILED]


def test_without_a_job_the_definition_s_own_questions_are_asked() -> None:
    spoken, _ = held(INTERVIEW, "Ada Lovelace")

    assert "About the position:" in "\n".join(spoken)
    assert "What have you done so far?" in "\n".join(spoken)


def test_a_job_without_questions_leaves_nothing_to_ask() -> None:
    spoken, _ = held(about(INTERVIEW, job()), "Ada Lovelace")

    assert spoken[-1].endswith("Bye!")


def test_a_question_takes_the_place_of_the_slot_of_its_name_and_is_asked_once() -> None:
    named = about(INTERVIEW, job(question("name", "text", text="And you are?")))

    spoken, slots = held(named, "Ada Lovelace")

    assert named.slots["name"].ask == "And you are?"
    assert "\n".join(spoken).count("And you are?") == 1
    assert slots["name"] == "Ada Lovelace"


def test_an_application_that_does_not_ask_for_them_stays_as_it_is() -> None:
    plain = Definition.model_validate(
        {"name": "p", "version": "1", "title": "P", "initial": "a", "states": {"a": {"say": "Hello"}}}
    )

    assert about(plain, BAKER) is plain


def test_slots_that_nothing_asks_for_any_more_are_left_out_unless_a_condition_mentions_them() -> None:
    plain = INTERVIEW.model_dump()
    plain["states"]["over"]["next"] = [{"to": "tall", "when": "height > 2.0"}, "short"]
    plain["states"] |= {"tall": {"say": "My!", "ends": True}, "short": {"say": "Oh."}}
    choosing = CheckedDefinition.model_validate(plain | {"results": ["name", "work"]})

    asked = about(choosing, BAKER)

    assert asked.slots.keys() == {"name", "height", "years", "shift"}
    assert asked.results == ("name", "years", "shift")
    assert asked.slots["height"].score is None


def test_jobs_with_other_questions_make_other_applications() -> None:
    assert about(INTERVIEW, BAKER).content_hash() != INTERVIEW.content_hash()
    assert about(INTERVIEW, BAKER).content_hash() == about(INTERVIEW, BAKER).content_hash()


def test_what_is_known_of_a_person_is_told_by_the_names_of_slots() -> None:
    profile = corrected(ADA, {"name": "Ada Lovelace", "experience_years": 7, "answers": {"shift": "day"}}, NOON)
    resume = StoredResume(media_type="application/pdf", size_bytes=20_000, found=Resume(), uploaded_at=NOON)
    with_resume = with_slots(cv=slot("document"))

    assert known(INTERVIEW, profile, resume) == {"name": "Ada Lovelace", "experience_years": 7, "shift": "day"}
    assert known(with_resume, ADA, resume) == {"cv": document_of_file("application/pdf", 20_000)}
    assert known(with_resume, ADA, None) == {}


def test_what_is_known_is_not_asked_and_what_does_not_fit_is() -> None:
    definition = about(INTERVIEW, BAKER)
    told = {"name": "Ada Lovelace", "years": 5, "shift": "dusk"}

    _, effects = advance(definition, initial(definition), SessionStarted(context=told), NOON)

    assert [effect.text for effect in effects if isinstance(effect, Say)][-1] == "Which shift? (day, night)"
