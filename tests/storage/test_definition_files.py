import os
from pathlib import Path
from textwrap import dedent

import pytest

from tertulia.domain.errors import DefinitionInvalid, NotFound
from tertulia.domain.ids import DefinitionName
from tertulia.storage.definition_files import DefinitionFiles

BUNDLED = Path(__file__).parents[2] / "definitions"
GREETER = DefinitionName("greeter")
GOOD = """\
    name: greeter
    version: "1"
    title: Greeter
    initial: asking
    states:
      asking:
        say: Hello!
        ask: [name]
        next: done
      done:
        say: Goodbye, {name}.
    slots:
      name:
        type: name
        ask: Who are you?
"""


def write(directory: Path, text: str, name: str = "greeter") -> DefinitionFiles:
    (directory / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
    return DefinitionFiles(directory)


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(DefinitionInvalid) as raised:
        write(directory, text).get(GREETER)
    return [place.removeprefix(f"{directory}{os.sep}") for place in raised.value.places]


def test_the_bundled_definitions_are_valid() -> None:
    files = DefinitionFiles(BUNDLED)
    assert files.names() == ["assistant", "hiring", "recruiting", "support"]
    assert [files.get(name).name for name in files.names()] == ["assistant", "hiring", "recruiting", "support"]


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    files = write(tmp_path, GOOD)
    first = files.get(GREETER)
    assert files.get(GREETER) is first
    write(tmp_path, GOOD.replace("Hello!", "Hello there!"))
    assert files.get(GREETER).states["asking"].say == "Hello there!"


@pytest.mark.parametrize("name", ["nobody", "", "../greeter", "/etc/passwd", "greeter.yaml", "a" * 5000, "gr\x00eter"])
def test_a_definition_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        write(tmp_path, GOOD).get(DefinitionName(name))


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "initial: asking",
            "initial: begin",
            "greeter.yaml:4: initial: there is no state 'begin'; there are asking, done",
        ),
        (
            "[name]",
            "[name, age]",
            "greeter.yaml:8: states.asking.ask.1: there is no slot 'age'; define it under `slots`",
        ),
        ("next: done", "next: gone", "greeter.yaml:9: states.asking.next.0.to: there is no state 'gone'"),
        ("{name}.", "{nmae}.", "greeter.yaml:11: states.done.say: nothing is called {nmae}; there are name"),
        ("type: name", "type: nme", "greeter.yaml:14: slots.name: Input tag 'nme' found"),
        ("ask: Who", "asks: Who", "greeter.yaml:14: slots.name.name.ask: Field required"),
        ("say: Hello!", "says: Hello!", "greeter.yaml:7: states.asking.says: Extra inputs are not permitted"),
        ('version: "1"', "version: 1", "greeter.yaml:2: version: Input should be a valid string"),
        ("title: Greeter", "", "greeter.yaml:1: title: Field required"),
        ("name: greeter", "name: other", "greeter.yaml:1: name: has to be 'greeter', as the file is called"),
        ("title: Greeter", "name: twice", "greeter.yaml:3: 'name' is given twice; remove one"),
        ("title: Greeter", "title: [", "greeter.yaml:5: this is not YAML"),
        ("title: Greeter", "title: !secret x", "greeter.yaml:3: this is not YAML"),
    ],
)
def test_a_problem_is_told_with_its_line(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    found = problems(tmp_path, GOOD.replace(right, wrong, 1))
    assert any(problem.startswith(told) for problem in found), found


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, GOOD.replace("asking\n", "x\n", 1).replace("[name]", "[y]"))) == 2


@pytest.mark.parametrize(
    "text", ["", "just a text", "- a\n- list\n", "a: &a [*a]\n", "? [1, 2]\n: x\n", "a: 1\n---\nb: 2\n"]
)
def test_what_is_not_a_definition_at_all_is_refused(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)[0].startswith("greeter.yaml:")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "greeter.yaml").write_bytes(b"name: gr\xfc\xdfer")
    with pytest.raises(DefinitionInvalid, match=r"greeter\.yaml:1: this is not YAML in UTF-8"):
        DefinitionFiles(tmp_path).get(GREETER)


def test_what_somebody_wrote_into_a_file_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("title: Greeter", "title: {secret: s3cr3t}"))
    assert "s3cr3t" not in "".join(found)
