"""Reads files in processes that are killed when their time is up: a thread could not be, and would hold up the rest."""

import asyncio
import json
import sys
from datetime import timedelta

from tertulia.domain.errors import InvalidInput
from tertulia.domain.recruiting.resumes import MAX_FILE_BYTES, ResumeText
from tertulia.resumes.unreadable import Problem

_TIME_LIMIT = timedelta(seconds=20)
# Each may take a core and up to a gigabyte.
_AT_ONCE = 2
_COMMAND = (sys.executable, "-m", "tertulia.resumes")


class IsolatedReader:
    """Implements `ports.ResumeReader`."""

    def __init__(self, *, time_limit: timedelta = _TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def read(self, content: bytes) -> ResumeText:
        """Find out what kind of file it is, and what it says.

        Raises:
            InvalidInput: It is too large, of no kind that is read here, locked, damaged, or without any text.
        """
        if not content:
            raise _refused(Problem.EMPTY)
        if len(content) > MAX_FILE_BYTES:
            raise _refused(Problem.TOO_LARGE)
        async with self._places:
            answer = await self._ask(content)
        try:
            said = json.loads(answer)
        except ValueError:
            # The process was ended by its memory, or by the system.
            raise _refused(Problem.DAMAGED) from None
        if "problem" in said:
            raise _refused(Problem(said["problem"]))
        return ResumeText.model_validate(said)

    async def _ask(self, content: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Nothing of ours is within reach of what the file may make the libraries do.
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        )
        try:
            async with asyncio.timeout(self._time_limit.total_seconds()):
                answer, _ = await process.communicate(content)
        except TimeoutError:
            raise _refused(Problem.TOO_SLOW) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return answer


def _refused(problem: Problem) -> InvalidInput:
    return InvalidInput(problem, field="body")
