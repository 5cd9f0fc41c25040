"""What `tertulia worker` does: bring the database and the namespace up to date, then work."""

import asyncio
from datetime import timedelta

from starter.namespace import prepare_namespace
from tertulia.config import Settings
from tertulia.storage.migrations import migrate
from tertulia.temporal import connect
from worker import run_worker


async def work(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Prepare what a worker needs, and work until cancelled.

    Raises:
        Unavailable: Postgres or Temporal can't be reached at the start.
    """
    await prepare(settings)
    await run_worker(settings, ready=ready)


async def prepare(settings: Settings) -> None:
    """Migrate the database, and register what the namespace lacks; may be done at every start, by several at once."""
    await migrate(settings.require_database_url())
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    await prepare_namespace(client, check_every=timedelta(seconds=settings.provider_check_seconds))
