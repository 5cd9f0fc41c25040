import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from tertulia.domain.errors import CannotStart
from tertulia.domain.ids import SEARCH_ATTRIBUTES
from tertulia.embedded.temporal import EmbeddedTemporal
from tests.embedded.processes import fill, names_in, working_in

EVERY_ATTRIBUTE = TypedSearchAttributes(
    [SearchAttributePair(SearchAttributeKey.for_keyword(name), "x") for name in SEARCH_ATTRIBUTES]
)


async def start_workflow(server: EmbeddedTemporal, name: str) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("Anything", id=name, task_queue="nobody", search_attributes=EVERY_ATTRIBUTE)


async def kept(server: EmbeddedTemporal, names: list[str]) -> list[str]:
    """Read the workflows back; a server that is being restarted is asked again."""
    while True:
        try:
            client = await Client.connect(server.address)
            return [(await client.get_workflow_handle(name).describe()).id for name in names]
        except (RPCError, RuntimeError):  # the latter is how a connection is refused
            await asyncio.sleep(0.02)


async def test_workflows_survive_a_restart_and_search_attributes_are_known_at_once(tmp_path: Path) -> None:
    tmp_path = tmp_path / "a path, 100%20 odd?#"
    async with EmbeddedTemporal(tmp_path) as server:
        await start_workflow(server, "first")
        client = await Client.connect(server.address)
        # As in a data directory that was made before there were such attributes.
        await client.operator_service.remove_search_attributes(
            RemoveSearchAttributesRequest(namespace="default", search_attributes=SEARCH_ATTRIBUTES)
        )

    async with EmbeddedTemporal(tmp_path) as server:
        await start_workflow(server, "second")
        assert await kept(server, ["first", "second"]) == ["first", "second"]
    assert working_in(tmp_path) == []
    assert names_in(tmp_path.parent) == [tmp_path.name]


async def test_a_killed_server_comes_back_at_its_address_with_every_acknowledged_workflow(tmp_path: Path) -> None:
    async with EmbeddedTemporal(tmp_path) as server:
        names = [f"workflow-{i}" for i in range(20)]
        await asyncio.gather(*(start_workflow(server, name) for name in names))
        before = server.pid
        os.kill(before, signal.SIGKILL)

        assert await kept(server, names) == names
        assert server.pid != before


async def test_a_second_server_on_one_data_directory_is_refused_by_name(tmp_path: Path) -> None:
    async with EmbeddedTemporal(tmp_path) as first:
        with pytest.raises(CannotStart, match=f"{tmp_path} is in use .*process {os.getpid()}"):
            async with EmbeddedTemporal(tmp_path):
                pass
        await start_workflow(first, "still-there")


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} of 127.0.0.1 .*in use"):
            async with EmbeddedTemporal(tmp_path, port=port):
                pass
        with pytest.raises(CannotStart, match=f"port {port} of 127.0.0.1 .*in use"):
            async with EmbeddedTemporal(tmp_path, ui_port=port):
                pass


async def test_data_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    older = tmp_path / "temporal-1.29.db"
    older.write_bytes(b"older")
    before = contents(tmp_path)

    with pytest.raises(CannotStart, match=r"temporal-1\.29\.db.*Nothing was changed"):
        async with EmbeddedTemporal(tmp_path):
            pass

    assert contents(tmp_path) == before


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.db")}


async def test_a_disk_that_fills_up_loses_nothing_and_work_goes_on_when_there_is_room(small_disk: Path) -> None:
    async with EmbeddedTemporal(small_disk / "temporal") as server:
        client = await Client.connect(server.address)
        ballast = fill(small_disk, leave_mb=1)
        acknowledged = await start_workflows_until_it_fails(client)

        ballast.unlink()

        assert await kept(server, acknowledged) == acknowledged
        await start_workflow(server, "there-is-room")


async def start_workflows_until_it_fails(client: Client) -> list[str]:
    names: list[str] = []
    try:
        while True:
            name = f"workflow-{len(names)}"
            async with asyncio.timeout(1):  # the client itself would try again for 10 s
                await client.start_workflow("Anything", "x" * 50_000, id=name, task_queue="nobody")
            names.append(name)
    except (RPCError, TimeoutError):
        return names


async def test_a_command_that_is_no_temporal_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impostor = tmp_path / "bin/temporal"
    impostor.parent.mkdir()
    shutil.copy("/bin/true", impostor)
    monkeypatch.setenv("PATH", str(impostor.parent))

    with pytest.raises(CannotStart, match=f"{impostor} does not tell"):
        async with EmbeddedTemporal(tmp_path / "data"):
            pass
