"""What an idle session costs a worker in memory."""

import asyncio
import os
import sys
from contextlib import suppress
from uuid import uuid4

from benchmarks.engine import Engine
from benchmarks.measuring import resident_kilobytes
from starter.sessions import TemporalSessions
from tertulia.domain.conversation import OpenSession
from tertulia.domain.ids import SessionId


async def kilobytes_per_idle_session(engine: Engine, *, definition: str, sessions: int) -> float:
    """Open sessions on a worker process of its own, and return how much it has grown by each, KB."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "starter", "worker", env=_environment(engine), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        clients = TemporalSessions(engine.client)
        # What the first sessions load stays, whatever their number.
        await _open(clients, definition, 50)
        before = resident_kilobytes(worker.pid)
        await _open(clients, definition, sessions)
        return (resident_kilobytes(worker.pid) - before) / sessions
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def _open(sessions: TemporalSessions, definition: str, count: int) -> None:
    for _ in range(count):
        await sessions.open(SessionId(uuid4().hex), OpenSession(definition=definition, user_id="bench"))


def _environment(engine: Engine) -> dict[str, str]:
    assert engine.settings.temporal_address
    return os.environ | {
        "DATABASE_URL": engine.settings.require_database_url(),
        "TEMPORAL_ADDRESS": engine.settings.temporal_address,
    }
