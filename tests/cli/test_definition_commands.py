import json
from pathlib import Path

import pytest

from tertulia.domain.definitions.schema import schema
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
GREETER = """\
name: greeter
version: "1"
title: A greeter
initial: asking
states:
  asking:
    ask: [name]
    next: done
  done:
    say: Hello, {name}!
slots:
  name:
    type: name
    ask: Who are you?
"""
CONVERSATIONS = """\
conversations:
  - it: greets
    steps:
      - {reply: Who are you?, asks: name, state: asking}
      - {said: Ana, reply: "Hello, Ana!"}
"""


@pytest.fixture(autouse=True)
def _greeter(tertulia: Cli) -> None:
    write(tertulia, "greeter.yaml", GREETER)


def write(cli: Cli, path: str, text: str) -> None:
    file = cli.directory / "definitions" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


async def test_definitions_without_problems_pass_the_check(tertulia: Cli) -> None:
    outcome = await tertulia("definitions", "check")

    assert (outcome.code, outcome.out) == (0, "greeter: 2 states, 1 slots, no problems\n")


async def test_each_problem_is_told_with_its_file_its_line_and_what_to_do(tertulia: Cli) -> None:
    write(tertulia, "broken.yaml", GREETER.replace("greeter", "broken").replace("{name}", "{nmae}"))
    write(tertulia, "lost.yaml", GREETER.replace("greeter", "lost").replace("next: done", ""))

    outcome = await tertulia("definitions", "check")

    assert outcome.code == 1
    unreached = "nothing leads to 'done'; name it under another state's `next`, or remove it"
    dead_end = "this is a dead end; add `next`, or something to `say`, a `reply`, or `ends: true`"
    assert outcome.out.splitlines() == [
        "definitions/broken.yaml:10: states.done.say: nothing is called {nmae}; there are name",
        "greeter: 2 states, 1 slots, no problems",
        f"definitions/lost.yaml:10: states.done: {unreached}",
        f"definitions/lost.yaml:7: states.asking: {dead_end}",
    ]


async def test_only_those_that_are_named_are_checked(tertulia: Cli) -> None:
    write(tertulia, "broken.yaml", "name: broken\n")

    assert (await tertulia("definitions", "check", "greeter")).code == 0
    assert (await tertulia("definitions", "check", "broken")).code == 1


@pytest.mark.parametrize("command", ["check", "diagram", "test"])
async def test_a_definition_that_is_not_there_is_told(tertulia: Cli, command: str) -> None:
    outcome = await tertulia("definitions", command, "nobody")

    assert outcome.code == 1
    assert "there is no definition 'nobody'" in outcome.err


async def test_where_there_are_no_definitions_one_is_told_how_to_say_where_they_are(tertulia: Cli) -> None:
    outcome = await tertulia("definitions", "check", "--dir", "elsewhere")

    assert outcome.code == 2
    assert "there are no definitions here; say where with --dir" in outcome.err


async def test_a_definition_is_drawn(tertulia: Cli) -> None:
    outcome = await tertulia("definitions", "diagram", "greeter")

    assert outcome.code == 0
    assert outcome.out.splitlines()[:4] == [
        "stateDiagram-v2",
        "    [*] --> asking",
        "    asking : asking",
        "    asking : asks name",
    ]


async def test_the_schema_is_printed_for_editors_and_for_readers(tertulia: Cli) -> None:
    assert json.loads((await tertulia("definitions", "schema")).out) == schema()
    assert (await tertulia("definitions", "schema", "--page")).out == (ROOT / "docs" / "definitions.md").read_text()


async def test_a_rehearsal_tells_what_it_has_gone_through(tertulia: Cli) -> None:
    write(tertulia, "tests/greeter.yaml", CONVERSATIONS)

    outcome = await tertulia("definitions", "test")

    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "greeter: 1 conversations",
        "  states: 2 of 2, 100 %",
        "  transitions: 1 of 1, 100 %",
    ]


async def test_what_a_rehearsal_misses_and_never_reaches_is_told_with_its_place(tertulia: Cli) -> None:
    write(tertulia, "tests/greeter.yaml", CONVERSATIONS.replace("said: Ana, reply", "said: '42', reply"))

    outcome = await tertulia("definitions", "test", "greeter")

    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        'definitions/tests/greeter.yaml:5: greets: said "Sorry, I didn\'t get that. Who are you?"',
        "greeter: 1 conversations",
        "  states: 1 of 2, 50 %; never: done",
        "  transitions: 0 of 1, 0 %; never: asking → done",
    ]


async def test_a_definition_without_conversations_is_told_where_to_write_some(tertulia: Cli) -> None:
    outcome = await tertulia("definitions", "test")

    assert (outcome.code, outcome.out) == (
        0,
        "greeter: no conversations; write some in definitions/tests/greeter.yaml\n",
    )


async def test_conversations_that_make_no_sense_are_told_with_their_place(tertulia: Cli) -> None:
    write(tertulia, "tests/greeter.yaml", CONVERSATIONS.replace("said: Ana", "says: Ana"))

    outcome = await tertulia("definitions", "test")

    assert outcome.code == 2
    assert "definitions/tests/greeter.yaml:5: conversations.0.steps.1.says: Extra inputs" in outcome.err


async def test_the_same_conversations_are_held_with_a_running_engine(tertulia: Cli) -> None:
    write(tertulia, "tests/greeter.yaml", SERVED)

    outcome = await tertulia("definitions", "test", "--engine", tertulia.url)

    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "definitions/tests/greeter.yaml:10: misses: said 'You said: hello'",
        "greeter: 2 conversations (1 left out: they need a script for providers, for time or for an operator)",
        "  states: 0 of 2, 0 %; never: asking, done",
        "  transitions: 0 of 1, 0 %; never: asking → done",
    ]


# What the served engine, a fake, does with a person's words.
SERVED = """\
conversations:
  - it: echoes
    steps:
      - {reply: "/Hello/", state: onboarding}
      - {said: hello, reply: "You said: hello"}
  - it: waits
    steps: [{waits: reminder}]
  - it: misses
    steps:
      - {said: hello, reply: "Hello, hello!"}
"""
