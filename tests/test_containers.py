"""What can be checked of the containers where no engine runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from starter.cli import app
from tertulia.config import Settings

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
COPIED = re.findall(r"^COPY (\S+) (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
OWN = {"worker", "api"}


def test_the_services_are_the_product_and_what_it_needs() -> None:
    assert set(SERVICES) == {"postgres", "temporal", *OWN}


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_service_runs_a_command_that_exists_with_settings_that_exist(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][0] in get_command(app).commands  # type: ignore[attr-defined]
    assert set(service["environment"]) <= {str(field.alias) for field in Settings.model_fields.values()} | {
        "OPENROUTER_API_KEY",
        "GEMINI_API_KEY",
        "GROQ_API_KEY",
    }


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_service_waits_for_the_health_of_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name]["depends_on"].items():
        assert how["condition"] == "service_healthy"
        assert "test" in SERVICES[needed]["healthcheck"]


def test_workers_can_be_scaled() -> None:
    assert not {"ports", "container_name"} & set(SERVICES["worker"])


def test_every_port_is_published_on_the_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_steps_of_the_image_make_a_product_that_starts(tmp_path: Path) -> None:
    for source, target in COPIED:
        place = tmp_path / (target if target != "./" else source).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, place)
    python = str(tmp_path / "venv" / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for command in (
        (sys.executable, "-m", "venv", str(tmp_path / "venv")),
        (python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "tmp/requirements.txt"),
        (python, "-m", "starter", "--help"),
        (python, "-c", "import worker, starter.serve, starter.work, starter.doctor"),
    ):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
