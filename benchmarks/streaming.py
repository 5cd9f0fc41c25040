"""How much later than the provider's own first text a reader sees it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx

from benchmarks.engine import Engine
from tertulia.domain.conversation import IncomingMessage, OpenSession
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import Delta
from tertulia.storage.session_events import PostgresSessionEvents

FIRST_TOKEN_S = 0.2


@dataclass(frozen=True, slots=True)
class FirstText:
    """Times to the first text, milliseconds."""

    provider: Sequence[float]
    engine: Sequence[float]


async def first_text(engine: Engine, http: httpx.AsyncClient, provider_url: str, *, samples: int) -> FirstText:
    """Ask the same provider in turn by itself and through a session, and time what a reader sees first."""
    session_id = SessionId(uuid4().hex)
    await engine.sessions.open(session_id, OpenSession(definition="assistant", user_id="bench"))
    times = FirstText([], [])
    async with PostgresSessionEvents(engine.pool, engine.settings.require_database_url()) as events:
        for _ in range(samples):
            times.provider.append(await _alone(http, provider_url))  # type: ignore[attr-defined]
            times.engine.append(await _through(engine, events, session_id))  # type: ignore[attr-defined]
    return times


async def _alone(http: httpx.AsyncClient, url: str) -> float:
    body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    started = time.perf_counter()
    async with http.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if '"content"' in line:
                return (time.perf_counter() - started) * 1000
    raise AssertionError("the provider said nothing")


async def _through(engine: Engine, events: PostgresSessionEvents, session_id: SessionId) -> float:
    message_id = MessageId(uuid4().hex)
    started = time.perf_counter()
    sending = asyncio.create_task(
        engine.sessions.send(session_id, IncomingMessage(text="Hello", message_id=message_id))
    )
    async for told in events.follow_message(session_id, message_id):
        if isinstance(told.event, Delta):
            break
    seen = (time.perf_counter() - started) * 1000
    await sending
    return seen
