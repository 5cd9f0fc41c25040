"""The documents say what the code says."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from starter.cli import app
from tertulia.config import Settings
from tertulia.domain.errors import FailureClass

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIXED_BY_THE_USERS = (
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
)
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def _codemap() -> set[str]:
    """Read the paths from the first column of the table; a name without a folder lies where the one before it does."""
    found: set[str] = set()
    for row in re.findall(r"^\| (`.+?) \|", _text("docs/architecture.md"), re.MULTILINE):
        folder = ""
        for path in re.findall(r"`([^`]+)`", row):
            folder = path.rpartition("/")[0] if "/" in path else folder
            found.add((path if "/" in path else f"{folder}/{path}").strip("/"))
    return found


CODEMAP = _codemap()


@pytest.mark.parametrize("name", [str(field.alias) for field in Settings.model_fields.values() if field.alias])
def test_every_setting_is_explained(name: str) -> None:
    assert f"`{name}`" in _text("docs/operations.md")


@pytest.mark.parametrize("name", FIXED_BY_THE_USERS)
def test_the_settings_fixed_by_the_users_stand_in_the_example(name: str) -> None:
    assert re.search(rf"^{name}=", _text(".env.example"), re.MULTILINE)


@pytest.mark.parametrize("failure", FailureClass)
def test_what_follows_from_every_class_of_failure_is_explained(failure: FailureClass) -> None:
    assert f"`{failure}`" in _text("docs/providers.md")


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_make_target_and_command_that_is_named_exists() -> None:
    text = "\n".join(document.read_text() for document in DOCS)
    targets = re.findall(r"^([a-z-]+):", _text("Makefile"), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"(?:^\.venv/bin/|`)tertulia ([a-z]+)", text, re.MULTILINE)) <= set(COMMANDS)


def test_the_codemap_names_what_there_is() -> None:
    assert [name for name in CODEMAP if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("package", ["workflows", "tertulia"])
def test_the_codemap_leaves_nothing_out(package: str) -> None:
    children = {path for path in (ROOT / package).glob("[a-z]*") if path.suffix in {"", ".py"}}
    assert [path.name for path in children if path.relative_to(ROOT).as_posix() not in CODEMAP] == []
