"""Runs `tertulia …` in processes that have loaded the product already.

Loading takes a second of CPU for a command and several for a server, more than most tests do with it. So one process
loads all of it once, and those here are forks of that: with an id, memory and files of their own, and killed like any
other. Where the product is started as people do it, the tests start it from nothing (tests/cli, tests/embedded).
"""

import asyncio
import multiprocessing
import os
import pkgutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import starter
from starter.cli import main

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [f"starter.{module.name}" for module in pkgutil.iter_modules(starter.__path__) if module.name != "__main__"]
)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


async def start(
    *arguments: str,
    directory: Path,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    stdin: Path = Path(os.devnull),
) -> BaseProcess:
    """Start a command; what it writes is appended to the files."""
    files = ((stdin, "rb"), (out, "ab"), (err, "ab"))
    process = _context.Process(target=_become, args=(arguments, directory, dict(environment), files), daemon=True)
    await asyncio.to_thread(process.start)
    return process


async def run(*arguments: str, directory: Path, environment: Mapping[str, str], said: str = "") -> Outcome:
    """Run a command to its end; what is said reaches it through a pipe."""
    with TemporaryDirectory() as place:
        stdin, out, err = (Path(place, name) for name in ("stdin", "out", "err"))
        os.mkfifo(stdin)
        process = await start(*arguments, directory=directory, environment=environment, out=out, err=err, stdin=stdin)
        with suppress(BrokenPipeError):
            await asyncio.to_thread(stdin.write_text, said)
        code = await ended(process)
        return Outcome(code, out.read_bytes().decode(), err.read_bytes().decode())


async def kill(process: BaseProcess) -> None:
    """Send SIGKILL, and wait until the process has ended."""
    process.kill()
    await ended(process)


async def ended(process: BaseProcess) -> int:
    """Wait until a process has ended, and return its code; that of a signal is negative."""
    await asyncio.to_thread(process.join)
    assert process.exitcode is not None
    return process.exitcode


def _become(
    arguments: tuple[str, ...], directory: Path, environment: dict[str, str], files: tuple[tuple[Path, str], ...]
) -> None:
    # Away from the terminal of whoever runs the tests.
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, (path, mode) in enumerate(files):
        with path.open(mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    main(arguments)
