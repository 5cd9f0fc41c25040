"""The documents say what the code says."""

import importlib.util
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from dotenv import dotenv_values
from temporalio import workflow
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from starter.cli import app
from tertulia.api.app import create_app
from tertulia.api.ports import ApiPorts
from tertulia.config import Settings, load_settings
from tertulia.domain.conversation import ORDERS
from tertulia.domain.definitions.definition import DoubleText
from tertulia.domain.errors import FailureClass, InvalidInput, ProviderFailure, Refused
from tertulia.domain.ids import SEARCH_ATTRIBUTES
from tertulia.domain.providers import routing
from workflows import signals
from workflows.provider_health import ProviderHealthCheck
from workflows.session import Session
from workflows.session_upkeep import SessionUpkeep

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(document.read_text() for document in DOCS)
FIXED_BY_THE_USERS = [
    "ENABLE_PROVIDER_SYSTEM",
    "PRIMARY_PROVIDER",
    "SECONDARY_PROVIDER",
    "FALLBACK_PROVIDER",
    "OPENROUTER_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "PROVIDER_TIMEOUT",
    "PROVIDER_RETRY_ATTEMPTS",
    "PROVIDER_LOAD_BALANCE",
]


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def _table(path: str, first_heading: str) -> list[list[str]]:
    """Read the rows of a table, each as its cells; the table is known by its first heading."""
    rows = re.search(rf"^\| {re.escape(first_heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", _text(path), re.MULTILINE)
    assert rows, f"{path} has no table of each {first_heading}"
    return [[cell.strip() for cell in row.strip("|").split(" |")] for row in rows[1].splitlines()]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- settings ---------------------------------------------------------------------------------------------------------


def _documented_defaults() -> dict[str, str]:
    documented: dict[str, str] = {}
    for variables, defaults, _ in _table("docs/operations.md", "variable"):
        names, values = _names(variables), _names(defaults)
        documented |= dict(zip(names, values or [""] * len(names), strict=True))
    return documented


def test_every_setting_is_explained_with_its_default() -> None:
    defaults = {str(field.alias): field.default for field in Settings.model_fields.values() if field.alias}
    told = {name: "" if value is None else str(value) for name, value in defaults.items()}
    told |= {
        str(f.alias): str(f.default).lower() for f in Settings.model_fields.values() if isinstance(f.default, bool)
    }
    told |= {
        str(f.alias): ",".join(f.default)
        for f in Settings.model_fields.values()
        if isinstance(f.default, tuple) and f.alias
    }
    # Temporal's own default.
    told["TEMPORAL_NAMESPACE"] = "default"
    documented = _documented_defaults()
    assert {name: documented.get(name) for name in told} == told


def test_the_example_begins_with_the_settings_fixed_by_the_users_and_changes_nothing() -> None:
    example = ROOT / ".env.example"
    assert list(dotenv_values(example))[:10] == FIXED_BY_THE_USERS
    assert load_settings({name: value or "" for name, value in dotenv_values(example).items()}) == load_settings({})


def test_whatever_the_example_offers_is_a_setting() -> None:
    offered = re.findall(r"^#([A-Z_]+)=", _text(".env.example"), re.MULTILINE)
    patterns = [name.replace("<PROVIDER>", "[A-Z]+").replace("…", ".+") for name in _documented_defaults()]
    assert offered
    assert [name for name in offered if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []


# --- what is where ----------------------------------------------------------------------------------------------------


def _codemap() -> set[Path]:
    """Read the paths from the first column; a name without a folder lies where the one before it does."""
    found: set[Path] = set()
    for places, _ in _table("docs/architecture.md", "place"):
        folder = ROOT
        for name in _names(places):
            folder = (ROOT / name).parent if "/" in name.rstrip("/") else folder
            found.add(folder / Path(name).name if "/" not in name else ROOT / name)
    return found


def test_the_codemap_names_what_there_is() -> None:
    assert sorted(place for place in _codemap() if not place.exists()) == []


def test_the_codemap_leaves_no_module_out() -> None:
    places = _codemap()
    modules = [ROOT / "worker.py"] + [
        module
        for package in ("workflows", "activities", "starter", "tertulia")
        for module in (ROOT / package).rglob("*.py")
        if module.name != "__init__.py"
    ]
    assert [module for module in modules if places.isdisjoint((module, *module.parents))] == []


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


# --- what can be typed ------------------------------------------------------------------------------------------------


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", _text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|\b[A-Z]\S* )make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"run", "test"} <= named
    assert named <= targets


def test_every_command_that_is_named_exists() -> None:
    program = get_command(app)
    assert isinstance(program, TyperGroup)
    named = re.findall(r"(?:^\.venv/bin/|`)tertulia ([a-z]+)(?: ([a-z]+))?", TEXT, re.MULTILINE)
    assert ("sessions", "show") in named
    context = Context(program)
    for command, subcommand in named:
        group = program.get_command(context, command)
        assert group is not None, command
        assert not isinstance(group, TyperGroup) or not subcommand or subcommand in group.commands


def test_every_module_that_is_run_by_name_exists() -> None:
    named = set(re.findall(r"python -m ([\w.]+)", TEXT))
    assert [module for module in named if importlib.util.find_spec(f"{module}.__main__") is None] == []


# --- what clients are told --------------------------------------------------------------------------------------------


def test_every_http_call_that_is_shown_exists() -> None:
    ports = ApiPorts(**dict.fromkeys(field.name for field in fields(ApiPorts)))  # type: ignore[arg-type]
    templates = [
        (method.upper(), re.sub(r"\{\w+\}", "[^/]+", path))
        for path, methods in create_app(ports).openapi()["paths"].items()
        for method in methods
    ]
    shown = re.findall(r"`(GET|POST|PUT|DELETE) (/(?:v1/|healthz|readyz)[^`?]*)", TEXT)
    for command in re.findall(r"^curl .*?(?<!\\)$", TEXT, re.MULTILINE | re.DOTALL):
        said = re.search(r" -X (\w+)", command)
        method = said[1] if said else "POST" if " -d " in command else "GET"
        shown += [(method, path) for path in re.findall(r"localhost:8080(/[^\s?'\"]*)", command)]
    assert ("POST", "/v1/sessions/tour/messages") in shown
    assert [
        (method, path)
        for method, path in shown
        if not any(method == known and re.fullmatch(template, path) for known, template in templates)
    ] == []


def _contract(kind: str) -> set[str]:
    rows = _table("docs/temporal.md", "what")
    return {name for what, cell, *_ in rows if kind in what.split(", ") for name in _names(cell)}


def test_the_temporal_contract_names_exactly_what_the_workflow_has() -> None:
    definition = workflow._Definition.must_from_class(Session)
    assert _contract("update") == {name for name in definition.updates if name} | ORDERS.keys()
    assert _contract("query") == {str(name) for name in definition.queries}
    decoded = re.findall(r'case "(\w+)"', inspect.getsource(signals.decode_signal))
    assert _contract("signal") == {*decoded, *ORDERS}
    assert _contract("start") == {definition.name}
    for scheduled in (ProviderHealthCheck, SessionUpkeep):
        assert f"`{workflow._Definition.must_from_class(scheduled).name}`" in _text("docs/temporal.md")


def test_the_temporal_contract_names_every_refusal() -> None:
    told = re.search(r"fails with one of the types\s+(.+?)\.", _text("docs/temporal.md"), re.DOTALL)
    assert told
    assert set(_names(told[1])) == {InvalidInput.code, *(refusal.code for refusal in Refused.__subclasses__())}


def test_every_double_text_policy_is_explained() -> None:
    assert [_names(row[0]) for row in _table("docs/temporal.md", "policy")] == [[policy] for policy in DoubleText]


@pytest.mark.parametrize("document", ["docs/temporal.md", "docs/operations.md"])
def test_every_search_attribute_is_named(document: str) -> None:
    assert set(re.findall(r"`(Tertulia\w+)`", _text(document))) == set(SEARCH_ATTRIBUTES)


def test_what_follows_from_every_class_of_failure_is_told_as_it_is() -> None:
    rows = _table("docs/providers.md", "class")
    told = {name: (again.startswith("yes"), on == "yes") for classes, _, again, on in rows for name in _names(classes)}
    assert told == {
        failure: (routing.try_again_here(ProviderFailure(failure, "")), routing.try_elsewhere(failure))
        for failure in FailureClass
    }
