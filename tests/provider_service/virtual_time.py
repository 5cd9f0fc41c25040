"""An event loop whose time jumps to the next timer, so that a day takes as long as what happens in it."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

BEGINNING = datetime(2026, 3, 14, 12, tzinfo=UTC)

P = ParamSpec("P")
T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs what is ready; where nothing is, it is at once the time of the next timer. For code without I/O."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        self._seconds += seconds


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer will ever wake it")
        self._loop.jump(timeout)
        return []


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a story to its end, in an event loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def now() -> datetime:
    """Return the loop's time as a moment of a day in March."""
    return BEGINNING + timedelta(seconds=asyncio.get_running_loop().time())


def told(story: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a story a test that plays in virtual time."""

    @functools.wraps(story)
    def test(*args: P.args, **named: P.kwargs) -> None:
        run(story(*args, **named))

    return test
