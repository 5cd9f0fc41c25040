"""Child processes that never outlive this one, whose logs stay small, and of which one at a time uses a directory."""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tertulia.domain.errors import CannotStart
from tertulia.embedded.directory import claim, explained

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec a child must not wait for the locks of the import system.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
# The event loop itself holds its tasks only weakly.
_watches: set[asyncio.Task[None]] = set()

_LEFTOVER_TIMEOUT_S = 20.0  # what a killed parent left has got its death signal, and shuts down in order
_LOG_LIMIT_BYTES = 8 * 1024 * 1024
_COMPLAINT = re.compile(r"fatal|panic|error", re.IGNORECASE)
_LONGEST_COMPLAINT = 500
_FULL_BYTES = 1024 * 1024  # with less than that left, a log may well be empty


@dataclass(frozen=True, slots=True)
class User:
    """An account to run a program as, by its numbers."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    Attributes:
        part: Its name in messages.
        directory: Its working directory.
        log: Takes what it writes on stdout and stderr; one older file is kept beside it.
        stop: Makes it shut down in order; the kernel sends it too when this process dies.
        user: Whom to become; None stays who we are.
        env: Its whole environment: keys and passwords of ours stay with us.
    """

    part: str
    argv: Sequence[str]
    directory: Path
    log: Path
    stop: signal.Signals
    user: User | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def lock(self) -> Path:
        """Held by all of its processes: it is free when the last one has ended."""
        return self.log.with_suffix(".lock")


@dataclass(frozen=True, slots=True)
class Child:
    """A program that was started here.

    Attributes:
        log_begin: Where its part of the log begins, in bytes.
    """

    program: Program
    process: Process
    log_begin: int

    async def stop(self, timeout_s: float) -> None:
        """End it in order if that can be done within the timeout, else at once."""
        self.send(self.program.stop)
        try:
            async with asyncio.timeout(timeout_s):
                await self.process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs.

        Process.send_signal would first reap an ended process, under the hands of asyncio's own watcher.
        """
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def complaint(self) -> str:
        """Return the last line of its log that sounds like an error; else the last line."""
        with self.program.log.open("rb") as log:
            log.seek(self.log_begin)
            said = [text for line in log if (text := line.decode(errors="replace").strip())]
        errors = [line for line in said if _COMPLAINT.search(line)]
        last = (errors or said or [self._silence()])[-1]
        # Of nested errors the cause comes last.
        told = last if len(last) <= _LONGEST_COMPLAINT else f"… {last[-_LONGEST_COMPLAINT:]}"
        return f"{told} (see {self.program.log})"

    def _silence(self) -> str:
        full = shutil.disk_usage(self.program.log.parent).free < _FULL_BYTES
        return "the disk is full" if full else "it ended without a word"


async def spawn(program: Program, *, prepare: Callable[[], None] = lambda: None) -> Child:
    """Start a program that dies with this process, however this process dies.

    Call it on the main thread: the kernel takes the end of the calling thread for the end of the parent.

    Args:
        prepare: Called when no process of an earlier start is left.

    Raises:
        CannotStart: The system refuses, or an earlier one does not end.
    """
    lock = await claim(program.part, program.lock, _LEFTOVER_TIMEOUT_S)
    try:
        with explained(program.part):
            prepare()
            log_begin = bound_log(program.log)
            process = await _fork(program, lock)
    finally:
        os.close(lock)
    if not _prctl:
        watch = asyncio.create_task(_watch(process, program.stop))
        _watches.add(watch)
        watch.add_done_callback(_watches.discard)
    return Child(program, process, log_begin)


async def run(program: Program, *, prepare: Callable[[], None]) -> None:
    """Run a program to its end; see `spawn`.

    Raises:
        CannotStart: It failed; the message carries its complaint.
    """
    child = await spawn(program, prepare=prepare)
    try:
        code = await child.process.wait()
    except asyncio.CancelledError:
        await _kill_family(child)
        raise
    if code != 0:
        raise CannotStart(program.part, child.complaint())


async def _kill_family(child: Child) -> None:
    """End a program with all that it has started, and return when the last of them has ended."""
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
    await child.process.wait()
    os.close(await claim(child.program.part, child.program.lock, _LEFTOVER_TIMEOUT_S))


def bound_log(log: Path) -> int:
    """Keep a log under its limit: what has been written moves to one older file.

    The file stays the same one, so that a running server, which appends, goes on writing to it.

    Returns:
        The log's size, in bytes: where the next line begins.
    """
    size = log.stat().st_size if log.exists() else 0
    if size <= _LOG_LIMIT_BYTES:
        return size
    shutil.copyfile(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)
    return 0


async def _fork(program: Program, lock: int) -> Process:
    identity = {"user": program.user.uid, "group": program.user.gid, "extra_groups": []} if program.user else {}
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.argv,
            cwd=program.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", **program.env},
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C in the terminal is for us; servers are stopped in order
            preexec_fn=_dying_with(os.getpid(), program.stop) if _prctl else None,
            **identity,  # type: ignore[arg-type]
        )


def _dying_with(parent: int, death: signal.Signals) -> Callable[[], None]:
    """Ask the kernel, between fork and exec and after the change of user (which would undo it), for a death signal."""

    def ask() -> None:
        assert _prctl is not None
        _prctl(_PR_SET_PDEATHSIG, int(death))
        if os.getppid() != parent:  # it died before we asked, and nobody will send the signal
            os._exit(1)

    return ask


async def _watch(process: Process, death: signal.Signals) -> None:
    """Where the kernel knows no death signal (macOS): a shell that sends it when our end of its input closes."""
    script = f'read -r _; kill -s {death.name.removeprefix("SIG")} "$0"'
    watcher = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", script, str(process.pid), stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    await process.wait()
    watcher.kill()
    await watcher.wait()
