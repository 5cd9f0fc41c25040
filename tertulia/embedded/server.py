"""A server process: waited for until it answers, restarted when it dies by itself, stopped in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from tertulia.domain.errors import CannotStart
from tertulia.embedded.directory import explained
from tertulia.embedded.process import Child, Program, bound_log, spawn

_log = structlog.get_logger(__name__)

_POLL_S = 0.02
_START_TIMEOUT_S = 120.0  # recovery after a kill first reads the write-ahead log
_STOP_TIMEOUT_S = 20.0
_STABLE_S = 60.0  # who has lived this long is restarted at once
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_LOG_CHECK_S = 30.0
# A server picks some of its ports itself, and somebody else can be quicker.
_PORT_TRIES = 3
_PORT_TAKEN = "address already in use"


class Server:
    """Keeps one server running between `start` and `stop`.

    Args:
        prepare: Called before each start, when nothing of an earlier one is alive: clears away what it left behind.
        ready: Asked with the process id, again and again, whether the server answers.
    """

    def __init__(
        self, program: Program, *, prepare: Callable[[], None] = lambda: None, ready: Callable[[int], Awaitable[bool]]
    ) -> None:
        self._program = program
        self._prepare = prepare
        self._ready = ready
        self._child: Child | None = None
        self._guard: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server as it runs at this moment."""
        assert self._child is not None, "the server has not been started"
        return self._child.process.pid

    async def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            CannotStart: It ended, or did not answer in time; the message says what it complained of.
        """
        self._child = await self._first_launch()
        self._guard = asyncio.create_task(self._keep_running(self._child))

    async def stop(self) -> None:
        """Stop the server in order."""
        if self._guard is not None:
            self._guard.cancel()
            with suppress(asyncio.CancelledError):
                await self._guard
        if self._child is not None:
            await self._child.stop(_STOP_TIMEOUT_S)

    async def _first_launch(self) -> Child:
        for _ in range(_PORT_TRIES - 1):
            try:
                return await self._launch()
            except CannotStart as error:
                if _PORT_TAKEN not in error.problem:
                    raise
        return await self._launch()

    async def _launch(self) -> Child:
        child = await spawn(self._program, prepare=self._prepare)
        try:
            with explained(self._program.part):
                await self._answers(child)
        except BaseException:
            await child.stop(_STOP_TIMEOUT_S)
            raise
        return child

    async def _answers(self, child: Child) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await self._ready(child.process.pid):
            if child.process.returncode is not None:
                raise CannotStart(self._program.part, child.complaint())
            if time.monotonic() > deadline:
                raise CannotStart(self._program.part, f"no answer in {_START_TIMEOUT_S:.0f} s: {child.complaint()}")
            await asyncio.sleep(_POLL_S)

    async def _keep_running(self, child: Child) -> None:
        delay = 0.0
        while True:
            lived = await self._ended(child)
            _log.warning("server_ended", part=self._program.part, code=child.process.returncode, lived_s=round(lived))
            delay = 0.0 if lived > _STABLE_S else delay
            child, delay = await self._restarted(delay)
            self._child = child
            _log.info("server_restarted", part=self._program.part)

    async def _ended(self, child: Child) -> float:
        """Wait until the process has ended, keeping its log small; return how long that took, in seconds."""
        began = time.monotonic()
        while child.process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOG_CHECK_S):
                    await child.process.wait()
            with suppress(OSError):  # on a full disk the log waits for room
                bound_log(self._program.log)
        return time.monotonic() - began

    async def _restarted(self, delay: float) -> tuple[Child, float]:
        """Try until it runs again; return it with the delay for the next time, because tries in a row wait longer."""
        while True:
            await asyncio.sleep(delay)
            delay = min(max(2 * delay, _FIRST_DELAY_S), _LONGEST_DELAY_S)
            try:
                return await self._launch(), delay
            except CannotStart as error:
                _log.warning("server_restart_failed", part=self._program.part, problem=error.problem, next_try_s=delay)
