"""The bundled definitions hold the conversations that are written for them, and these go through all of them."""

from pathlib import Path

import pytest

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.rehearsal import Script, Scripts, Way, rehearse, ways
from tertulia.storage.script_files import ScriptFile, load_scripts
from tests.domain.conversations import BUNDLED, define

SCRIPTS = Path(__file__).parents[2] / "definitions" / "tests"
FILES = {name: load_scripts(SCRIPTS / f"{name}.yaml") for name in BUNDLED.names()}
CONVERSATIONS = [(name, number) for name, file in FILES.items() for number in range(len(file.conversations))]
THREE = {"asking": {"ask": ["name"], "next": "done"}, "done": {"say": "Bye."}, "gone": {"say": "Gone."}}


def script(*steps: dict[str, object]) -> Script:
    return Scripts.model_validate({"conversations": [{"it": "shows something", "steps": steps}]}).conversations[0]


def missed(definition: Definition, *steps: dict[str, object]) -> list[tuple[int, str]]:
    return [(miss.step, miss.expectation) for miss in rehearse(definition, script(*steps)).misses]


@pytest.mark.parametrize(
    ("name", "number"), CONVERSATIONS, ids=[f"{name}: {FILES[name].conversations[at].it}" for name, at in CONVERSATIONS]
)
def test_a_bundled_definition_holds_its_conversations(name: str, number: int) -> None:
    file: ScriptFile = FILES[name]  # type: ignore[index]
    outcome = rehearse(BUNDLED.get(name), file.conversations[number])  # type: ignore[arg-type]
    assert [file.told(number, miss) for miss in outcome.misses] == []


@pytest.mark.parametrize("name", FILES)
def test_the_conversations_go_through_every_state_and_every_transition(name: str) -> None:
    definition = BUNDLED.get(name)  # type: ignore[arg-type]
    outcomes = [rehearse(definition, each) for each in FILES[name].conversations]  # type: ignore[index]
    assert definition.states.keys() - frozenset[str]().union(*(each.states for each in outcomes)) == set()
    assert ways(definition) - frozenset[Way]().union(*(each.ways for each in outcomes)) == set()


@pytest.mark.parametrize(
    ("step", "expectation"),
    [
        ({"said": "Ana", "reply": "Hello."}, "reply"),
        ({"said": "Ana", "reply": "/^Hello/"}, "reply"),
        ({"said": "Ana", "reply": []}, "reply"),
        ({"said": "Ana", "reply": ["Bye.", "And again."]}, "reply"),
        ({"said": "Ana", "state": "asking"}, "state"),
        ({"said": "Ana", "asks": "name"}, "asks"),
        ({"said": "Ana", "slots": {"name": "Bob"}}, "slots"),
        ({"said": "Ana", "slots": {"name": None}}, "slots"),
        ({"said": "Ana", "ends": "finished"}, "ends"),
        ({"said": "Ana", "hands_over": "x"}, "hands_over"),
        ({"moved_to": "gone"}, "refused"),
        ({"moved_to": "gone", "refused": ["error"]}, "refused"),
    ],
)
def test_what_comes_otherwise_is_missed(step: dict[str, object], expectation: str) -> None:
    definition = define(states=THREE, interruptions={"cancel": {"to": "gone"}})
    assert missed(definition, step) == [(0, expectation)]


@pytest.mark.parametrize(
    "step",
    [
        {"said": "Ana", "reply": "Bye."},
        {"said": "Ana", "reply": "/B.e/", "state": "done", "slots": {"name": "Ana"}},
        {"moved_to": "gone", "refused": ["done", "error"], "state": "asking", "asks": "name"},
    ],
)
def test_what_comes_as_expected_is_not(step: dict[str, object]) -> None:
    assert missed(define(states=THREE, interruptions={"cancel": {"to": "gone"}}), step) == []


def test_a_provider_is_asked_only_where_the_script_says_what_it_answers() -> None:
    talking = define(initial="talking", states={"talking": {"reply": "Answer."}}, slots={})
    assert missed(talking, {"said": "hello"}) == [(0, "provider")]
    assert missed(talking, {"said": "hello", "provider": "Hi.", "reply": "Hi."}) == []
    assert missed(talking, {"said": "hello", "provider": [], "state": "error"}) == []


def test_all_that_is_missed_is_told() -> None:
    assert missed(define(), {"state": "done"}, {"said": "Ana", "state": "asking"}) == [(0, "state"), (1, "state")]


@pytest.mark.parametrize(
    "steps", [[], [{"said": "x", "waits": "reminder"}], [{}, {"state": "done"}], [{"waits": "dinner"}], [{"says": "x"}]]
)
def test_a_script_that_makes_no_sense_is_refused(steps: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="conversations"):
        script(*steps)
