"""`tertulia definitions …`: check applications, draw them, and rehearse conversations with them."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from starter.api_client import open_api
from starter.options import FAILED
from starter.session_client import SessionClient
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.diagram import diagram as drawn
from tertulia.domain.definitions.reference import reference
from tertulia.domain.definitions.rehearsal import Miss, Outcome, Rehearsed, Script, Way, rehearse, seen, ways
from tertulia.domain.definitions.schema import schema as described
from tertulia.domain.errors import DefinitionInvalid, InvalidInput
from tertulia.domain.ids import DefinitionName, MessageId, SessionId
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.script_files import ScriptFile, load_scripts

commands = typer.Typer(no_args_is_help=True, help="Check applications, draw them, and rehearse conversations.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Which ones; all where none is named.")]
Directory = Annotated[
    Path,
    typer.Option("--dir", envvar="TERTULIA_DEFINITIONS_DIR", file_okay=False, help="Where the definitions are."),
]
DIRECTORY = Path("definitions")


@commands.command()
def check(names: Names = None, *, directory: Directory = DIRECTORY) -> None:
    """Check definitions: every problem with its file, its line, and what to do."""
    files = DefinitionFiles(directory)
    is_wrong = False
    for name in _named(files, names):
        try:
            definition = files.get(name)
        except DefinitionInvalid as error:
            is_wrong = True
            for place in error.places:
                typer.echo(place)
        else:
            typer.echo(f"{name}: {len(definition.states)} states, {len(definition.slots)} slots, no problems")
    raise typer.Exit(FAILED if is_wrong else 0)


@commands.command()
def diagram(
    name: Annotated[str, typer.Argument(help="Which definition.")], *, directory: Directory = DIRECTORY
) -> None:
    """Draw a definition as a state diagram in Mermaid."""
    typer.echo(drawn(DefinitionFiles(directory).get(DefinitionName(name))), nl=False)


@commands.command()
def schema(
    *,
    as_page: Annotated[bool, typer.Option("--page", help="As a page to read, in Markdown.")] = False,
) -> None:
    """Print the JSON Schema of definitions, with which editors complete and check them."""
    typer.echo(reference() if as_page else json.dumps(described(), indent=2, ensure_ascii=False))


@commands.command("test")
def hold_rehearsals(
    names: Names = None,
    *,
    directory: Directory = DIRECTORY,
    engine: Annotated[str | None, typer.Option(metavar="URL", help="Hold them with a running engine.")] = None,
) -> None:
    """Rehearse the conversations of `tests/NAME.yaml` beside the definitions; tell what they have gone through."""
    files = DefinitionFiles(directory)
    has_failed = False
    for name in _named(files, names):
        definition, path = files.get(name), directory / "tests" / f"{name}.yaml"
        if not path.exists():
            typer.echo(f"{name}: no conversations; write some in {path}")
            continue
        lines = list(_rehearsed(definition, load_scripts(path), engine))
        has_failed |= any(is_miss for is_miss, _ in lines)
        for _, line in lines:
            typer.echo(line)
    raise typer.Exit(FAILED if has_failed else 0)


def _named(files: DefinitionFiles, names: Sequence[str] | None) -> Sequence[DefinitionName]:
    found = [DefinitionName(name) for name in names] if names else files.names()
    if not found:
        raise InvalidInput("there are no definitions here; say where with --dir")
    return found


def _rehearsed(definition: Definition, scripts: ScriptFile, engine: str | None) -> Iterator[tuple[bool, str]]:
    """Hold the conversations; yield a line for each miss, and then for what they have gone through."""
    played = {
        number: script for number, script in enumerate(scripts.conversations) if engine is None or _can_be_held(script)
    }
    states, passed = set[str](), set[Way]()
    for number, script in played.items():
        outcome = rehearse(definition, script) if engine is None else _held(definition, script, engine)
        states |= outcome.states
        passed |= outcome.ways
        yield from ((True, scripts.told(number, miss)) for miss in outcome.misses)
    skipped = len(scripts.conversations) - len(played)
    left_out = (
        f" ({skipped} left out: they need a script for providers, for time or for an operator)" if skipped else ""
    )
    yield False, f"{definition.name}: {len(played)} conversations{left_out}"
    yield False, _covered("states", set(definition.states), states)
    yield False, _covered("transitions", {_arrow(way) for way in ways(definition)}, {_arrow(way) for way in passed})


def _covered(what: str, there: set[str], visited: set[str]) -> str:
    missing = sorted(there - visited)
    share = 100 * (len(there) - len(missing)) / len(there) if there else 100
    never = f"; never: {', '.join(missing)}" if missing else ""
    return f"  {what}: {len(there) - len(missing)} of {len(there)}, {share:.0f} %{never}"


def _arrow(way: Way) -> str:
    return f"{way.source} → {way.target}"


def _can_be_held(script: Script) -> bool:
    """Tell whether a conversation depends on nothing but what the person says."""
    return all(
        step.provider is None and step.waits is None and step.moved_to is None and step.hands_over is None
        for step in script.steps
    )


def _held(definition: Definition, script: Script, url: str) -> Rehearsed:
    """Hold a conversation with a running engine, as its client."""
    states, passed = list[str](), set[Way]()
    misses: list[Miss] = []
    with open_api(url, SessionClient) as api:
        opening = {"definition": definition.name, "user_id": "rehearsal", "context": script.context}
        opened = api.start(opening | ({"channel": script.channel} if script.channel else {}))
        reply = "\n\n".join(message.text for message in opened.messages)
        for number, step in enumerate(script.steps):
            if step.said is not None:
                reply = api.send(opened.session_id, step.said, MessageId(uuid4().hex)).reply
            outcome = _outcome(api, opened.session_id, reply)
            states.append(outcome.state)
            misses += seen(step, number, outcome)
    passed |= {Way(source, target) for source, target in pairwise(states)}
    return Rehearsed(tuple(misses), frozenset(states), frozenset(passed & ways(definition)))


def _outcome(api: SessionClient, session: SessionId, reply: str) -> Outcome:
    detail = api.session(session)
    asks = detail.next_action.slot if detail.next_action else None
    return Outcome(reply, detail.state, asks, detail.slots)
