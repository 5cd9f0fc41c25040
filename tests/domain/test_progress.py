from pathlib import Path

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.ids import DefinitionName
from tertulia.domain.progress import Progress, progress
from tertulia.storage.definition_files import DefinitionFiles

RECRUITING = DefinitionFiles(Path(__file__).parents[2] / "definitions").get(DefinitionName("recruiting"))
QUESTION = {"type": "text", "ask": "?"}
FORK = Definition.model_validate(
    {
        "name": "fork",
        "version": "1",
        "title": "A fork",
        "initial": "first",
        "slots": dict.fromkeys(("kind", "left_one", "left_two", "right", "last"), QUESTION),
        "states": {
            "first": {"ask": ["kind"], "next": [{"to": "left", "when": 'kind == "l"'}, "right"]},
            "left": {"ask": ["left_one", "left_two"], "next": "end"},
            "right": {"ask": ["right"], "next": "end"},
            "end": {"ask": ["last"]},
        },
    }
)


def test_each_answer_brings_a_person_one_question_further() -> None:
    known: dict[str, object] = {}
    asked = ("name", "email", "phone", "role", "experience_years")
    for number, slot in enumerate(asked, 1):
        assert progress(RECRUITING, "onboarding", known, slot) == Progress(number=number, total=13)
        known[slot] = "told"


def test_a_question_that_was_left_out_counts_as_done_in_its_state_and_behind_it() -> None:
    known = {"name": "Ada", "email": "ada@example.org"}
    assert progress(RECRUITING, "onboarding", known, "role") == Progress(number=4, total=13)
    known |= {"role": "engineer", "experience_years": "5"}
    assert progress(RECRUITING, "waiting_for_input", known, "work_authorisation") == Progress(number=7, total=13)


def test_the_way_that_was_not_taken_does_not_count() -> None:
    assert progress(FORK, "first", {}, "kind") == Progress(number=1, total=5)
    assert progress(FORK, "left", {"kind": "l"}, "left_one") == Progress(number=2, total=4)
    assert progress(FORK, "end", {"kind": "r", "right": "x"}, "last") == Progress(number=3, total=3)


def test_behind_the_last_question_all_are_done() -> None:
    known = dict.fromkeys(RECRUITING.asked, "told")
    assert progress(RECRUITING, "completed", known, None) == Progress(number=13, total=13)


def test_where_nothing_is_asked_or_the_state_is_no_step_of_the_way_there_is_no_progress() -> None:
    talk = Definition.model_validate(
        {"name": "t", "version": "1", "title": "T", "initial": "talk", "states": {"talk": {"say": "Hello!"}}}
    )
    assert progress(talk, "talk", {}, None) is None
    assert progress(RECRUITING, "error", {}, None) is None
