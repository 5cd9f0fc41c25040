"""Waiting for a server to go and to come back."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from tertulia.domain.errors import Unavailable


async def until_available(attempt: Callable[[], Awaitable[object]]) -> int:
    """Try until Postgres is there, as Temporal would; return how many attempts found it away."""
    async with asyncio.timeout(30):
        for refused in count():
            try:
                await attempt()
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return refused
    raise AssertionError


async def until_away(attempt: Callable[[], Awaitable[object]]) -> None:
    """Try until Postgres is not there any more; a server that is killed may answer for a moment."""
    async with asyncio.timeout(30):
        while True:
            try:
                await attempt()
            except Unavailable:
                return


async def until_true(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until something holds."""
    async with asyncio.timeout(30):
        for _ in count():
            if await holds():
                return
            await asyncio.sleep(0.01)
