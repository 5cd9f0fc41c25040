import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tertulia.domain.definitions.definition import Definition, DoubleText
from tertulia.domain.definitions.lifecycle import ERROR, LIFE_CYCLE
from tests.domain.conversations import BUNDLED, define

DEFINITIONS = {name: BUNDLED.get(name) for name in BUNDLED.names()}


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_definition_survives_its_way_through_json(definition: Definition) -> None:
    again = type(definition).model_validate_json(definition.model_dump_json())
    assert again == definition
    assert again.content_hash() == definition.content_hash()


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_definition_survives_a_store_that_sorts_its_keys(definition: Definition) -> None:
    again = type(definition).model_validate(json.loads(json.dumps(definition.model_dump(mode="json"), sort_keys=True)))
    assert again == definition
    assert again.content_hash() == definition.content_hash()


def test_a_definition_stays_small_on_its_way() -> None:
    assert len(DEFINITIONS["recruiting"].model_dump_json()) < 10_000  # type: ignore[index]
    assert set(json.loads(define().model_dump_json())) == {"name", "version", "title", "initial", "states", "slots"}


PRINT_HASH = """
import sys
from tests.domain.conversations import BUNDLED
sys.stdout.write(BUNDLED.get("recruiting").content_hash())
"""


def test_the_hash_is_the_same_in_every_process() -> None:
    other = subprocess.run(
        [sys.executable, "-c", PRINT_HASH],
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout == DEFINITIONS["recruiting"].content_hash()  # type: ignore[index]


def test_the_hash_changes_with_every_word() -> None:
    assert define().content_hash() != define(title="Another").content_hash()
    assert define().content_hash() == define(window=20).content_hash()


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(weeks=2)),
        ("P3DT4H", timedelta(days=3, hours=4)),
    ],
)
def test_times_are_written_briefly(written: str, duration: timedelta) -> None:
    assert define(timers={"reminder_after": written}).timers.reminder_after == duration


@pytest.mark.parametrize("written", ["0s", "-1h", "soon", "24", "1 fortnight"])
def test_what_is_not_a_length_of_time_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        define(timers={"reminder_after": written})


def test_what_is_left_out_has_a_standard_value() -> None:
    definition = define()
    assert definition.limits.message_chars == 16_000
    assert definition.limits.waiting_messages == 20
    assert definition.double_text is DoubleText.QUEUE
    assert definition.window == 20
    assert (definition.timers.reminder_after, definition.timers.expire_after) == (None, None)


def test_the_standard_states_follow_the_standard_life_cycle() -> None:
    recruiting = DEFINITIONS["recruiting"]  # type: ignore[index]
    assert {state: recruiting.may_follow(state) for state in LIFE_CYCLE} == LIFE_CYCLE


def inconsistencies(**given: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        define(**given)
    return [(".".join(str(part) for part in error["loc"]), error["msg"]) for error in raised.value.errors()]


ASKING = {"ask": ["name"], "next": "done"}
DONE: dict[str, Any] = {}
NAME = {"type": "name", "ask": "Who?"}


@pytest.mark.parametrize(
    ("given", "place", "problem"),
    [
        ({"initial": "nowhere"}, "initial", "there is no state 'nowhere'; there are asking, done"),
        (
            {"states": {"asking": {"ask": ["name"], "next": "nowhere"}}},
            "states.asking.next.0.to",
            "there is no state 'nowhere'; there are asking",
        ),
        (
            {"states": {"asking": {"ask": ["name", "age"]}}},
            "states.asking.ask.1",
            "there is no slot 'age'; define it under `slots`",
        ),
        (
            {"states": {"asking": ASKING, "done": DONE, ERROR: DONE}},
            "states.error",
            "every definition has the state 'error' already; remove it or rename it",
        ),
        (
            {"initial": "onboarding", "states": {"onboarding": {"next": "completed"}, "completed": DONE}},
            "states.onboarding.next.0.to",
            "'completed' may not follow 'onboarding' (allowed: none); list it under `transitions`",
        ),
        (
            {"transitions": {"nowhere": []}},
            "transitions.nowhere",
            "there is no state 'nowhere'; there are asking, done",
        ),
        (
            {"transitions": {"asking": ["done", "nowhere"]}},
            "transitions.asking.1",
            "there is no state 'nowhere'; there are asking, done",
        ),
        (
            {"states": {"asking": ASKING, "done": {"say": "Bye {nmae}"}}},
            "states.done.say",
            "nothing is called {nmae}; there are name",
        ),
        ({"persona": "You are {who}."}, "persona", "nothing is called {who}; there are name"),
        ({"prompts": {"reminder": "{qestion}"}}, "prompts.reminder", "nothing is called {qestion}"),
        (
            {"slots": {"name": NAME | {"reprompts": ["{question}", "{x}"]}}},
            "slots.name.reprompts.1",
            "nothing is called {x}",
        ),
        (
            {"slots": {"name": {"type": "number", "ask": "?", "min": 5, "max": 3}}},
            "slots.name.min",
            "`min` is greater than `max`",
        ),
        (
            {"slots": {"name": {"type": "text", "ask": "?", "pattern": "("}}},
            "slots.name.pattern",
            "this is not a regular expression",
        ),
        (
            {"slots": {"name": {"type": "phone", "ask": "?", "region": "XX"}}},
            "slots.name.region",
            "there is no region 'XX'; use two letters such as GB",
        ),
        (
            {"slots": {"name": {"type": "number", "ask": "?", "score": {"weight": 1, "best": 3}}}},
            "slots.name.score",
            "`best` and `worst` belong together; give both",
        ),
        (
            {"slots": {"name": {"type": "number", "ask": "?", "score": {"best": 3, "worst": 3}}}},
            "slots.name.score.best",
            "`best` and `worst` are the same, so nothing could be between them",
        ),
        (
            {"slots": {"name": NAME | {"score": {"best": 3, "worst": 1}}}},
            "slots.name.score.best",
            "`best` and `worst` are for numbers, money and dates, not for name",
        ),
        (
            {"slots": {"name": {"type": "choice", "ask": "?", "choices": ["a", "b"], "score": {"worth": {"c": 1}}}}},
            "slots.name.score.worth.c",
            "'c' is not among the choices",
        ),
        (
            {"slots": {"name": NAME, "score": NAME}, "states": {"asking": {"ask": ["name"], "score": True}}},
            "slots.score",
            "'score' is where the result of scoring goes; rename the slot",
        ),
        (
            {"slots": {"name": NAME, "Äge": NAME}},
            "slots.Äge",
            "names are lower-case letters, digits and _, beginning with a letter",
        ),
    ],
)
def test_what_refers_to_nothing_is_refused_with_its_place(given: dict[str, Any], place: str, problem: str) -> None:
    ((found, told),) = inconsistencies(**given)
    assert found == place
    assert told.startswith(problem)


def test_all_inconsistencies_are_told_at_once() -> None:
    assert len(inconsistencies(initial="nowhere", persona="{who}", transitions={"gone": []})) == 3


@pytest.mark.parametrize(
    "given",
    [
        {"surprise": 1},
        {"name": "no spaces"},
        {"states": {}},
        {"language": "english"},
        {"limits": {"message_chars": 0}},
        {"double_text": "whatever"},
        {"window": 0},
        {"slots": {"name": {"type": "colour", "ask": "?"}}},
        {"slots": {"name": {"type": "choice", "ask": "?", "choices": ["only one"]}}},
        {"slots": {"name": NAME | {"score": {"weight": 2}}}},
        {"slots": {"name": NAME | {"reprompts": ["1", "2", "3", "4"]}}},
        {"states": {"asking": {"next": [{"to": "asking", "when": ""}]}}},
        {"states": {"asking": {"next": [{"to": "asking", "when": "x" * 501}]}}},
    ],
)
def test_what_the_format_does_not_know_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        define(**given)
