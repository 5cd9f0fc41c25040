"""Processes as the tests see them: what runs where, and how one ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]


class Holder:
    """A running `tests.embedded.holder`; `held` is what it told."""

    def __init__(self, process: asyncio.subprocess.Process, held: dict[str, Any]) -> None:
        self._process = process
        self.held = held

    async def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def holder(directory: Path, *options: str, becoming: str | None = None) -> AsyncIterator[Holder]:
    """Start a holder; as another account, it may still read this interpreter's files, wherever these are."""
    may_read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    identity = ("setpriv", f"--reuid={becoming}", "--regid=65534", "--clear-groups", *may_read) if becoming else ()
    process = await asyncio.create_subprocess_exec(
        *identity,
        *(sys.executable, "-m", "tests.embedded.holder", str(directory), *options),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    held = json.loads(await process.stdout.readline())
    try:
        yield Holder(process, held)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        for pid in held.get("pids", ()):
            await ended(pid)


async def ended(pid: int) -> None:
    """Wait until a process has ended, whoever its parent is."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def working_in(directory: Path) -> list[int]:
    """Return the processes whose working directory is the directory or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(directory):
                found.append(int(entry.name))
    return found


@contextmanager
def bystander(*argv: str, directory: Path | None = None, uid: int | None = None) -> Iterator[int]:
    """A process that has nothing to do with any server; yields its id, and lets it be a zombie when it ends."""
    process = subprocess.Popen(argv, cwd=directory, user=uid)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def fill(disk: Path, *, leave_mb: int) -> Path:
    """Fill a disk; return the file to remove when there is to be room again."""
    space = os.statvfs(disk)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - leave_mb * 2**20)
    return ballast


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
