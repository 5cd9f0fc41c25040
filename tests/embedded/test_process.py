import asyncio
import os
import pwd
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from tertulia.domain.errors import CannotStart
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.process import Program, _dying_with, bound_log, run, spawn
from tertulia.embedded.server import Server
from tertulia.embedded.temporal import EmbeddedTemporal
from tests.embedded.processes import fill, holder, uid_of, working_in


@pytest.mark.parametrize("options", [(), ("--without-death-signal",)], ids=["by the kernel", "by a watching shell"])
async def test_servers_die_with_a_killed_parent_and_the_next_start_finds_everything(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    async with holder(tmp_path, *options) as parent:
        connection = await asyncpg.connect(parent.held["dsn"])
        await connection.execute("create table kept as select 42 as n")
        client = await Client.connect(parent.held["address"])
        await client.start_workflow("Anything", id="kept", task_queue="nobody")

        await parent.kill()
        async with (
            EmbeddedPostgres(tmp_path / "postgres") as postgres,
            EmbeddedTemporal(tmp_path / "temporal") as temporal,
        ):
            # A server starts only when nothing of the one before is left.
            assert not {postgres.pid, temporal.pid} & set(parent.held["pids"])
            connection = await asyncpg.connect(postgres.dsn)
            client = await Client.connect(temporal.address)
            assert await connection.fetchval("select n from kept") == 42
            assert (await client.get_workflow_handle("kept").describe()).id == "kept"
            await connection.close()
    assert working_in(tmp_path) == []


def test_a_child_born_after_its_parents_death_ends_itself() -> None:
    never_the_parent = os.getpid() + 1
    child = subprocess.run(["sleep", "1000"], preexec_fn=_dying_with(never_the_parent, signal.SIGTERM))
    assert child.returncode == 1


def shell(script: str, directory: Path) -> Program:
    return Program(
        part="A shell",
        argv=("/bin/sh", "-c", script),
        directory=directory,
        log=directory / "server.log",
        stop=signal.SIGTERM,
    )


async def test_a_program_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    program = shell("trap '' TERM; echo ready; exec sleep 1000", tmp_path)
    child = await spawn(program)
    await written(program.log, "ready")

    await child.stop(timeout_s=0.3)

    assert child.process.returncode == -signal.SIGKILL


async def written(log: Path, text: str) -> None:
    while text not in log.read_text():  # noqa: ASYNC110 - a file has no event to wait for
        await asyncio.sleep(0.01)


async def test_a_server_sees_none_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "secret")
    program = shell("env", tmp_path)
    child = await spawn(program)
    await child.process.wait()
    assert "PATH=" in program.log.read_text()
    assert "secret" not in program.log.read_text()


def test_a_log_stays_under_its_limit_and_the_writer_keeps_its_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (9 * 1024 * 1024))
        assert bound_log(log) == 0
        writer.write(b"after")

    assert log.read_bytes() == b"after"
    assert (tmp_path / "server.log.1").stat().st_size == 9 * 1024 * 1024


async def test_a_program_whose_run_is_cancelled_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    program = shell("sleep 1000 & echo started; sleep 1000", tmp_path)
    program.log.touch()
    running = asyncio.create_task(run(program, prepare=lambda: None))
    await written(program.log, "started")

    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert working_in(tmp_path) == []


async def test_the_complaint_is_the_last_error_since_the_start(tmp_path: Path) -> None:
    program = shell("echo LOG: starting; echo FATAL: disk on fire; echo LOG: shut down", tmp_path)
    program.log.write_text("FATAL: of an earlier start\n")
    child = await spawn(program)
    await child.process.wait()

    assert child.complaint().startswith("FATAL: disk on fire")


async def test_of_a_long_complaint_the_cause_at_its_end_is_told(tmp_path: Path) -> None:
    program = shell(f"echo error: {'could not build this, ' * 40}port taken", tmp_path)
    child = await spawn(program)
    await child.process.wait()

    assert "this, port taken (see" in child.complaint()
    assert len(child.complaint()) < 600 + len(str(program.log))


async def never(_pid: int) -> bool:
    return False


async def test_a_server_that_lost_a_port_to_somebody_else_tries_again(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    fails = "{ echo error: address already in use; exit 1; }"
    program = shell(f"echo x >> {tries}; [ $(wc -l < {tries}) = 3 ] || {fails}; exec sleep 1000", tmp_path)

    async def third(_pid: int) -> bool:
        return tries.exists() and tries.read_text() == "x\n" * 3

    server = Server(program, ready=third)
    await server.start()
    await server.stop()


@pytest.mark.parametrize(("complaint", "tried"), [("address already in use", 3), ("no such file", 1)])
async def test_a_server_that_can_not_start_says_why(tmp_path: Path, complaint: str, tried: int) -> None:
    tries = tmp_path / "tries"
    program = shell(f"echo x >> {tries}; echo error: {complaint}; exit 1", tmp_path)

    with pytest.raises(CannotStart, match=complaint):
        await Server(program, ready=never).start()

    assert tries.read_text() == "x\n" * tried


async def test_a_program_that_could_not_even_write_why_it_ended_is_excused_by_the_disk(small_disk: Path) -> None:
    program = shell("echo FATAL: no room; exit 1", small_disk)
    program.log.touch()
    fill(small_disk, leave_mb=0)

    with pytest.raises(CannotStart, match="the disk is full"):
        await run(program, prepare=lambda: None)


async def test_a_program_starts_only_when_the_last_process_of_the_one_before_has_ended(tmp_path: Path) -> None:
    parent_dies_first = await spawn(shell("(sleep 0.3; echo grandchild ended) & exit 0", tmp_path))
    await parent_dies_first.process.wait()

    second = await spawn(shell("echo second", tmp_path))
    await second.process.wait()

    assert second.program.log.read_text().splitlines() == ["grandchild ended", "second"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
class TestAsAnOrdinaryUser:
    async def test_servers_start(self, open_directory: Path) -> None:
        os.chown(open_directory, pwd.getpwnam("nobody").pw_uid, -1)
        async with holder(open_directory, becoming="nobody") as parent:
            assert {uid_of(pid) for pid in parent.held["pids"]} == {pwd.getpwnam("nobody").pw_uid}

    async def test_a_directory_that_may_not_be_written_is_named(self, open_directory: Path) -> None:
        async with holder(open_directory, becoming="nobody") as parent:
            assert parent.held["error"] == f"Postgres can't start: Permission denied: {open_directory}/postgres"
