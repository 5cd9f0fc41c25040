import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest

from starter.doctor import Finding, Verdict, migrations
from tertulia.embedded.tcp import free_port
from tertulia.storage.migrations import MIGRATIONS
from tests.api.conftest import World
from tests.cli.conftest import Cli
from tests.cli.test_definition_commands import GREETER


async def test_all_settings_that_can_not_be_used_are_told_at_once(tertulia: Cli) -> None:
    outcome = await tertulia("serve", TERTULIA_PORT="http", PROVIDER_TIMEOUT="-1", TERTULIA_LOG_LEVEL="loud")

    assert (outcome.code, outcome.out) == (2, "")
    assert [name in outcome.err for name in ("TERTULIA_PORT", "PROVIDER_TIMEOUT", "TERTULIA_LOG_LEVEL")] == [True] * 3
    assert "Traceback" not in outcome.err


async def test_settings_come_from_the_file_too_but_the_environment_wins(tertulia: Cli) -> None:
    (tertulia.directory / ".env").write_text(
        "# ours\nTERTULIA_DEFINITIONS_DIR=apps\nPROVIDER_TIMEOUT=-1\nTERTULIA_PORT=x\n"
    )
    (tertulia.directory / "apps").mkdir()
    (tertulia.directory / "apps" / "greeter.yaml").write_text(GREETER)

    checked = await tertulia("definitions", "check", "greeter")
    served = await tertulia("serve", TERTULIA_PORT="9000")

    assert checked.code == 0
    assert ["PROVIDER_TIMEOUT" in served.err, "TERTULIA_PORT" in served.err] == [True, False]


async def test_an_option_wins_over_the_environment(tertulia: Cli) -> None:
    outcome = await tertulia("serve", "--port", "0", TERTULIA_PORT="http")

    assert outcome.code == 2
    assert outcome.err.startswith("tertulia: DATABASE_URL: needed here")


async def test_the_api_alone_needs_a_database(tertulia: Cli) -> None:
    outcome = await tertulia("serve")

    assert outcome.code == 2
    assert "DATABASE_URL" in outcome.err


async def test_the_api_alone_serves_until_it_is_told_to_stop(
    tertulia: Cli, database: str, temporal_address: str
) -> None:
    port = free_port()
    given = {"DATABASE_URL": database, "TEMPORAL_ADDRESS": temporal_address}
    process = await tertulia.start(
        "serve", "--port", str(port), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, **given
    )
    patient = httpx.AsyncHTTPTransport(retries=10)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=patient, timeout=20) as api:
        ready = await api.get("/readyz")
        listed = await api.get("/v1/sessions")
        asked = await api.get("/v1/providers/status")
    process.terminate()
    _, errors = await process.communicate()

    assert ready.json() == {"status": "ready", "parts": {"postgres": "ok", "temporal": "ok"}}
    assert listed.json() == {"sessions": [], "next": None}
    assert [(each["provider"], each["passed_over"]) for each in asked.json()["providers"][-1:]] == [("offline", None)]
    assert process.returncode == 0
    assert [json.loads(line)["route"] for line in errors.splitlines()] == [
        "/readyz",
        "/v1/sessions",
        "/v1/providers/status",
    ]


async def test_a_port_that_is_taken_is_told(tertulia: Cli, database: str, temporal_address: str) -> None:
    port = tertulia.url.rpartition(":")[2]

    outcome = await tertulia("serve", "--port", port, DATABASE_URL=database, TEMPORAL_ADDRESS=temporal_address)

    assert outcome.code == 1
    assert "Address already in use; choose another with --port" in outcome.err


async def test_a_misspelt_command_is_told(tertulia: Cli) -> None:
    outcome = await tertulia("chatt")

    assert outcome.code == 2
    assert "No such command 'chatt'" in outcome.err


async def test_output_that_nobody_reads_to_the_end_is_no_error(tertulia: Cli, api: httpx.AsyncClient) -> None:
    for _ in range(300):
        await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "u" * 120})
    command = f"{sys.executable} -m starter sessions list --limit 300 | head -n 1"

    process = await asyncio.create_subprocess_shell(
        command,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "TERTULIA_URL": tertulia.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    assert (len(out.splitlines()), err) == (1, b"")


class TestDoctor:
    @pytest.fixture(autouse=True)
    def _definitions(self, tertulia: Cli) -> None:
        directory = tertulia.directory / "definitions"
        directory.mkdir()
        states = {"a": {"say": "Hello!"}}
        greeter = {"name": "greeter", "version": "1", "title": "A greeter", "initial": "a", "states": states}
        (directory / "greeter.yaml").write_text(json.dumps(greeter))

    async def test_a_machine_on_which_all_is_well_passes(self, tertulia: Cli) -> None:
        outcome = await tertulia("doctor")

        assert outcome.code == 0, outcome.out
        assert "✗" not in outcome.out
        for found in ("Python", "settings", "greeter: A greeter", "reaches postgres", "provider offline"):
            assert found in outcome.out

    async def test_what_the_api_can_not_reach_is_told(self, tertulia: Cli, world: World) -> None:
        async def unreached() -> None:
            raise OSError

        world.change(parts={"postgres": unreached})

        outcome = await tertulia("doctor")

        assert outcome.code == 1
        assert "✗ API                  can't reach postgres" in outcome.out

    async def test_servers_that_are_given_and_not_there_are_told(self, tertulia: Cli) -> None:
        outcome = await tertulia(
            "doctor", DATABASE_URL="postgresql://u:canary@127.0.0.1:9/d", TEMPORAL_ADDRESS="127.0.0.1:9"
        )

        assert outcome.code == 1
        assert "✗ Postgres" in outcome.out
        assert "✗ Temporal             Temporal is unavailable: no answer at 127.0.0.1:9" in outcome.out
        assert "check TEMPORAL_ADDRESS" in outcome.out
        assert "canary" not in outcome.out + outcome.err

    async def test_servers_that_are_given_are_looked_into(
        self, tertulia: Cli, database: str, temporal_address: str
    ) -> None:
        outcome = await tertulia("doctor", DATABASE_URL=database, TEMPORAL_ADDRESS=temporal_address)

        for found in (
            "✓ Postgres             version",
            "✓ schema",
            f"✓ Temporal             answers at {temporal_address}, namespace default",
            "search attributes",
            "the task queue tertulia",
        ):
            assert found in outcome.out

    async def test_a_broken_definition_is_told_with_its_line(self, tertulia: Cli) -> None:
        (tertulia.directory / "definitions" / "broken.yaml").write_text("name: broken\nversion: '1'\ntitle: B\n")

        outcome = await tertulia("doctor")

        assert outcome.code == 1
        assert "definitions/broken.yaml:1: initial: Field required" in outcome.out

    async def test_settings_that_can_not_be_used_are_told_each_on_a_line(self, tertulia: Cli) -> None:
        outcome = await tertulia("doctor", TERTULIA_PORT="http", PROVIDER_TIMEOUT="-1")

        assert outcome.code == 1
        assert [line.split()[2] for line in outcome.out.splitlines() if line.startswith("✗")] == [
            "PROVIDER_TIMEOUT:",
            "TERTULIA_PORT:",
        ]

    async def test_a_key_that_a_provider_does_not_take_is_told(self, tertulia: Cli) -> None:
        outcome = await tertulia(
            "doctor", GROQ_API_KEY="canary", GROQ_BASE_URL="http://127.0.0.1:9/v1", PRIMARY_PROVIDER="groq"
        )

        assert outcome.code == 1
        assert "✗ provider groq" in outcome.out
        assert "canary" not in outcome.out + outcome.err

    async def test_a_schema_that_does_not_fit_this_version_is_told(self) -> None:
        names = {file.stem for file in MIGRATIONS.glob("*.sql")}

        assert migrations(names).verdict is Verdict.OK
        assert migrations(names - {min(names)}) == Finding(
            "schema", Verdict.PROBLEM, f"without {min(names)}", "start the API, which migrates"
        )
        assert not migrations(names | {"9999_future"}).ok
