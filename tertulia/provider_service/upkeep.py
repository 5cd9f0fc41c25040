"""What a worker does by itself: it follows what the others do, and keeps the places of its calls."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

import structlog

from tertulia.domain.errors import Unavailable
from tertulia.ports import ProviderConfigs, ProviderStates
from tertulia.provider_service.calls import RENEW_EVERY, Calls
from tertulia.provider_service.live import Live
from tertulia.provider_service.registry import Registry

log = structlog.get_logger(__name__)

# What no news tells of (calls elsewhere, the passing of time) is known this late at most.
_READ_EVERY = timedelta(seconds=1)

# News rarely comes alone; one reading serves all that comes within this time.
_MORE_NEWS = timedelta(milliseconds=50)


class Upkeep:
    """Runs inside `async with`. A fault of ours in it ends the block, rather than leave a worker that knows nothing."""

    def __init__(
        self, configs: ProviderConfigs, states: ProviderStates, registry: Registry, live: Live, calls: Calls
    ) -> None:
        self._configs = configs
        self._states = states
        self._registry = registry
        self._live = live
        self._calls = calls
        self._group = asyncio.TaskGroup()
        self._loops: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.refresh()
        await self._group.__aenter__()
        self._loops = [self._group.create_task(loop()) for loop in (self._follow, self._keep)]
        return self

    async def __aexit__(self, *error: Any) -> None:
        for loop in self._loops:
            loop.cancel()
        await self._group.__aexit__(*error)

    async def refresh(self) -> None:
        """Read what is stored.

        Raises:
            Unavailable: Storage can't be reached; what is known stays, and is stale.
        """
        try:
            if self._registry.adopt(await self._configs.read()):
                self._live.outdated()
            await self._live.refresh()
        except Unavailable:
            self._live.stale = True
            raise

    async def _follow(self) -> None:
        async with self._states.news() as news:
            while True:
                with suppress(TimeoutError):
                    # Not `wait_for`, which on Python 3.11 forgets that it was cancelled where news come at that moment.
                    async with asyncio.timeout(_READ_EVERY.total_seconds()):
                        await news.wait()
                    await asyncio.sleep(_MORE_NEWS.total_seconds())
                news.clear()
                with suppress(Unavailable):
                    await self.refresh()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY.total_seconds())
            try:
                await self._calls.keep()
            except Unavailable as error:
                log.warning("the places of calls under way could not be renewed", problem=error.problem)
