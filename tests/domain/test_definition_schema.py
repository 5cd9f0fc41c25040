"""The published descriptions of the format say what the code says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tertulia.domain.definitions.diagram import diagram
from tertulia.domain.definitions.reference import reference
from tertulia.domain.definitions.rehearsal import Scripts, rehearse
from tertulia.domain.definitions.schema import meanings, models, schema
from tests.domain.conversations import BUNDLED, define

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "definitions" / "schema.json"


def test_the_published_schema_is_the_code_s() -> None:
    assert json.loads(SCHEMA.read_text()) == schema(), "run `tertulia definitions schema > definitions/schema.json`"


def test_the_page_about_definitions_is_the_code_s() -> None:
    page = (ROOT / "docs" / "definitions.md").read_text()
    assert page == reference() + "\n", "run `tertulia definitions schema --page > docs/definitions.md`"


def test_the_page_s_first_application_is_one() -> None:
    application, conversations = re.findall(r"```yaml\n(.*?)```", reference(), re.DOTALL)
    definition = define(**yaml.safe_load(application))
    for script in Scripts.model_validate(yaml.safe_load(conversations)).conversations:
        assert rehearse(definition, script).misses == ()


@pytest.mark.parametrize("name", models())
def test_every_field_is_explained(name: str) -> None:
    model = models()[name]
    constant = {"type"}
    assert model.model_fields.keys() - constant == meanings(model).keys() - constant


@pytest.mark.parametrize("name", BUNDLED.names())
def test_the_bundled_definitions_fit_the_schema(name: str) -> None:
    data = yaml.safe_load((ROOT / "definitions" / f"{name}.yaml").read_text())
    assert [error.message for error in Draft202012Validator(schema()).iter_errors(data)] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"initial": 3},
        {"stats": {}},
        {"timers": {"reminder_after": 24}},
        {"states": {"asking": {"next": 3}}},
        {"slots": {"name": {"type": "colour", "ask": "?"}}},
        {"slots": {"name": {"type": "name"}}},
        {"slots": {"name": {"type": "number", "ask": "?", "max": "many"}}},
    ],
)
def test_the_schema_refuses_what_is_of_the_wrong_shape(changed: dict[str, Any]) -> None:
    good = json.loads(define().model_dump_json())
    validator = Draft202012Validator(schema())
    assert validator.is_valid(good)
    assert not validator.is_valid(good | changed)


def test_a_definition_is_drawn_with_its_conditions_and_ends() -> None:
    states = {
        "asking": {
            "ask": ["name"],
            "next": [{"to": "done", "when": 'name == "Ana"'}, "waiting"],
        },
        "waiting": {"hand_over": "because"},
        "done": {"ends": True},
    }
    drawn = diagram(
        define(
            states=states,
            transitions={"waiting": ["done"]},
            interruptions={"cancel": {"to": "done"}},
            slots={"name": {"type": "name", "ask": "?", "give_up_to": "waiting"}},
        )
    )
    assert drawn.splitlines() == [
        "stateDiagram-v2",
        "    [*] --> asking",
        "    asking : asking",
        "    asking : asks name",
        '    asking --> done : name == "Ana"',
        "    asking --> waiting",
        "    waiting : waiting",
        "    waiting : a human takes over",
        "    done --> [*]",
        "    waiting --> done : by hand",
        "    anywhere --> done : cancel",
        "    anywhere --> waiting : no answer to name",
    ]


def test_the_state_that_a_session_is_in_is_marked() -> None:
    states = {"asking": {"ask": ["name"], "next": ["done"]}, "done": {"say": "Bye."}}
    assert diagram(define(states=states), "done").splitlines()[-1] == "    class done current"
    assert "current" not in diagram(define(states=states), "error")


def test_a_long_condition_is_cut_and_kept_from_ending_its_label() -> None:
    condition = 'name == "a;b:c#d" || name == "' + "x" * 80 + '"'
    states = {"asking": {"ask": ["name"], "next": [{"to": "done", "when": condition}, "done"]}, "done": {"say": "Bye."}}
    label = diagram(define(states=states)).splitlines()[4].partition(" : ")[2]
    assert len(label) <= 60
    assert not {";", ":", "#"} & set(label)
