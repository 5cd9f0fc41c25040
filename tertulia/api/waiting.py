"""Waiting for the engine with an end to it, and walking away without doing harm."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


async def within(patience: timedelta, call: Coroutine[Any, Any, T]) -> T:
    """Wait for a call, then walk away from it.

    `asyncio.timeout` would not do: clients of the engine turn its cancellation into errors of their own.

    Raises:
        TimeoutError: Patience has run out.
    """
    task = asyncio.create_task(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=patience.total_seconds())
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        walk_away(task)


def walk_away(task: asyncio.Task[Any]) -> None:
    """Cancel a task, if it still runs, whose outcome nobody will ask for."""
    task.cancel()
    # Unless somebody looks at it, asyncio reports the error of a task as lost.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
