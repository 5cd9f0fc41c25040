import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from temporalio.client import Client

from starter.namespace import HEALTH_SCHEDULE, UPKEEP_SCHEDULE
from tests.embedded.processes import CHECKOUT, ended, working_in


@dataclass
class Up:
    """A running `tertulia up`, and what it has shown."""

    process: asyncio.subprocess.Process
    shown: str

    def address(self, name: str) -> str:
        found = re.search(rf"^  {name}  +(\S+)", self.shown, re.MULTILINE)
        assert found, self.shown
        return found[1]

    @property
    def api(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.address("API").removesuffix("/docs"), timeout=30)

    async def stop(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return await self.process.wait()


@asynccontextmanager
async def up(data_dir: Path, *options: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Up]:
    process = await launch(data_dir, *options, env=env)
    try:
        yield Up(process, await shown_at_start(process))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def launch(data_dir: Path, *options: str, env: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter", "up", "--no-open", "--port", "0", "--data-dir", str(data_dir), *options),
        cwd=data_dir.parent,  # where there is no .env
        env={**clean, "TERTULIA_DEFINITIONS_DIR": str(CHECKOUT / "definitions"), **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def shown_at_start(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    shown = ""
    while line := (await process.stdout.readline()).decode():
        shown += line
        if line.startswith("  Data"):
            return shown
    raise AssertionError(f"it ended at once:\n{shown}")


async def ready(api: httpx.AsyncClient) -> None:
    while (await api.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - there is nothing but asking again
        await asyncio.sleep(0.05)


async def test_it_shows_its_addresses_answers_and_stops_in_order(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        async with running.api as api, httpx.AsyncClient() as browser:
            assert (await api.get("/healthz")).status_code == 200
            assert (await api.get("/docs")).status_code == 200
            assert (await browser.get(running.address("Temporal UI"))).status_code == 200
        assert await Client.connect(running.address("Temporal"))

        assert await running.stop(signal.SIGINT) == 0

    assert [step for step in ("Postgres", "Temporal", "Worker", "API") if f"{step}: ready" not in running.shown] == []
    assert working_in(tmp_path) == []


async def test_ctrl_c_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    process = await launch(tmp_path / "data")
    await line_with(process, "Postgres …")

    process.send_signal(signal.SIGINT)

    assert await process.wait() == 0
    assert working_in(tmp_path) == []


async def test_a_second_ctrl_c_ends_it_at_once_and_its_servers_follow(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        children = working_in(tmp_path / "data")
        running.process.send_signal(signal.SIGINT)
        await line_with(running.process, "Stopping")

        assert await running.stop(signal.SIGINT) == 130

        for pid in children:
            await ended(pid)
    assert working_in(tmp_path) == []


async def line_with(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if text in line.decode():
            return
    raise AssertionError(f"it never said {text}")


async def test_killed_it_leaves_nothing_running_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as first:
        async with first.api as api:
            opened = await api.post("/v1/sessions", json={"definition": "recruiting", "user_id": "u1"})
            session = f"/v1/sessions/{opened.json()['session_id']}"
            before = (await api.get(f"{session}/messages")).json()
        children = working_in(tmp_path / "data")

        await first.stop(signal.SIGKILL)

        for pid in children:
            await ended(pid)
        assert working_in(tmp_path / "data") == []

    async with up(tmp_path / "data") as second, second.api as api:
        assert (await api.get(f"{session}/messages")).json() == before
        reply = await api.post(f"{session}/messages", json={"text": "My name is Ada Lovelace"})
        assert reply.status_code == 200
        assert reply.json()["turn"] == 1


async def test_its_servers_come_back_when_they_are_killed(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running, running.api as api:
        for server in ("postgres", "temporal"):
            for pid in working_in(tmp_path / "data" / server):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await ended(pid)
            await ready(api)
        opened = await api.post("/v1/sessions", json={"definition": "recruiting", "user_id": "u1"})
        assert opened.status_code == 201


async def test_started_twice_the_second_one_says_where_the_first_is(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as first:
        second = await launch(tmp_path / "data")
        said, _ = await second.communicate()

        assert second.returncode == 1
        assert f"{tmp_path}/data is in use by another tertulia (process {first.process.pid})" in said.decode()
        async with first.api as api:
            assert (await api.get("/readyz")).status_code == 200


async def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await launch(tmp_path / "data", "--port", str(port))
        said, _ = await process.communicate()

    assert process.returncode == 1
    assert f"port {port} of 127.0.0.1 can't be used (Address already in use)" in said.decode()
    assert "Traceback" not in said.decode()
    assert not (tmp_path / "data").exists()


async def test_servers_that_are_given_are_used(tmp_path: Path, database: str, client: Client) -> None:
    given = {"DATABASE_URL": database, "TEMPORAL_ADDRESS": client.service_client.config.target_host}
    async with up(tmp_path / "data", env=given) as running:
        assert running.address("Temporal") == given["TEMPORAL_ADDRESS"]
        async with running.api as api:
            assert (await api.get("/readyz")).status_code == 200
        assert await running.stop(signal.SIGTERM) == 0
    for schedule in (HEALTH_SCHEDULE, UPKEEP_SCHEDULE):
        await client.get_schedule_handle(schedule).delete()
    assert not (tmp_path / "data").exists()
