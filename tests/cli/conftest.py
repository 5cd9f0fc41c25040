"""The command line as people run it: processes of its own, against a real server with fakes behind it."""

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests import loaded
from tests.api.conftest import World, api, http_client, served, session, world

__all__ = ["api", "http_client", "served", "session", "world"]

ROOT = Path(__file__).parents[2]
# Longer than a command takes to start on a busy machine.
_NOTHING_NEW_S = 60


@dataclass(frozen=True)
class Cli:
    """Runs `tertulia …` in a directory of its own."""

    url: str
    directory: Path

    async def __call__(self, *arguments: str, said: str = "", **environment: str) -> loaded.Outcome:
        return await loaded.run(
            *arguments, directory=self.directory, environment=self._environment(environment), said=said
        )

    async def start(self, *arguments: str, stdin: int, stdout: int, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "starter",
            *arguments,
            cwd=self.directory,
            env=self._environment(environment),
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            # Away from the terminal of whoever runs the tests: keys are asked for on the one that is at hand.
            start_new_session=True,
            # Where the tests run in the background, Ctrl-C is ignored, and whatever they start would ignore it too.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERTULIA_URL": self.url, **given}


@pytest.fixture
def tertulia(served: tuple[FastAPI, str], world: World, tmp_path: Path) -> Cli:
    return Cli(served[1], tmp_path)


@dataclass(frozen=True)
class Terminal:
    """The other end of a terminal."""

    process: asyncio.subprocess.Process
    file: int

    async def shows(self, text: str) -> str:
        """Wait until a text has been shown; return all that was shown since the last time, without colours."""
        shown = b""
        while text not in (plain := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="ignore"))):
            try:
                async with asyncio.timeout(_NOTHING_NEW_S):
                    shown += await asyncio.to_thread(os.read, self.file, 4096)
            except TimeoutError:
                pytest.fail(f"{text!r} is not shown, but {plain!r}")
        return plain

    def types(self, text: str) -> None:
        os.write(self.file, text.encode())


@asynccontextmanager
async def terminal(tertulia: Cli, *arguments: str) -> AsyncIterator[Terminal]:
    """Run a command in a terminal."""
    ours, theirs = pty.openpty()
    process = await tertulia.start(*arguments, stdin=theirs, stdout=theirs, TERM="xterm", COLUMNS="80")
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)
