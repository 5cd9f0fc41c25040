"""The command line as people run it: processes of its own, against a real server with fakes behind it."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.api.conftest import World, api, http_client, served, session, world

__all__ = ["api", "http_client", "served", "session", "world"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """Runs `tertulia …` in a directory of its own."""

    url: str
    directory: Path

    async def __call__(self, *arguments: str, said: str = "", **environment: str) -> Outcome:
        process = await self.start(
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, **environment
        )
        out, err = await process.communicate(said.encode())
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str, stdin: int, stdout: int, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "starter",
            *arguments,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERTULIA_URL": self.url, **environment},
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture
def tertulia(served: tuple[FastAPI, str], world: World, tmp_path: Path) -> Cli:
    return Cli(served[1], tmp_path)
