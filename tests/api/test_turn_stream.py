import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from tertulia.domain.conversation import TurnStatus
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SessionId
from tertulia.domain.turns import Delta, TurnWaits
from tests.api.conftest import World
from tests.fakes import NOON

HELLO = {"text": "hello", "message_id": "m-1"}
STARTED = ("turn.started", {"session_id": "s-1", "message_id": "m-1"})
Event = tuple[str, dict[str, Any]]


@asynccontextmanager
async def followed(api: httpx.AsyncClient) -> AsyncIterator[AsyncIterator[Event]]:
    """Send HELLO and read its turn's events as they come."""

    async def events() -> AsyncIterator[Event]:
        async for event in source.aiter_sse():
            yield event.event, json.loads(event.data)

    async with aconnect_sse(api, "POST", "/v1/sessions/s-1/messages", json=HELLO) as source:
        assert source.response.status_code == 200
        yield events()


def delta(attempt: int, offset: int, text: str) -> Delta:
    return Delta(turn=1, attempt=attempt, offset=offset, text=text)


@pytest.fixture(autouse=True)
def _held(session: SessionId, world: World) -> None:
    world.sessions.ending.clear()


async def test_a_turn_that_waits_for_a_provider_says_until_when(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as events:
        assert await anext(events) == STARTED

        world.deltas.put(TurnWaits(turn=1, resumes_at=NOON))
        assert await anext(events) == ("turn.waiting", {"turn": 1, "resumes_at": "2026-03-14T12:00:00Z"})

        world.deltas.put(delta(1, 0, "You"))
        assert (await anext(events))[0] == "text.delta"


async def test_text_arrives_while_the_turn_runs(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as events:
        assert await anext(events) == STARTED

        world.deltas.put(delta(1, 0, "You"))
        assert await anext(events) == ("text.delta", {"turn": 1, "attempt": 1, "offset": 0, "text": "You"})

        world.deltas.put(delta(1, 3, " said:\n…"))
        assert await anext(events) == ("text.delta", {"turn": 1, "attempt": 1, "offset": 3, "text": " said:\n…"})

        world.sessions.ending.set()
        name, reply = await anext(events)
        assert (name, reply["reply"], reply["message_id"]) == ("turn.completed", "You said: hello", "m-1")
        assert [event async for event in events] == []


async def test_the_outcome_is_the_same_as_without_a_stream(api: httpx.AsyncClient, world: World) -> None:
    world.sessions.ending.set()

    async with followed(api) as events:
        streamed = [event async for event in events]

    assert streamed == [STARTED, ("turn.completed", (await api.post("/v1/sessions/s-1/messages", json=HELLO)).json())]
    assert len(world.sessions.taken) == 1


async def test_a_retried_attempt_supersedes_the_failed_ones_text(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as events:
        for piece in (delta(1, 0, "Yo"), delta(3, 0, "You"), delta(1, 2, "u stale"), delta(3, 3, " said")):
            world.deltas.put(piece)
        seen = [await anext(events) for _ in range(5)]

    assert [name for name, _ in seen] == [
        "turn.started",
        "text.delta",
        "turn.superseded",
        "text.delta",
        "text.delta",
    ]
    assert seen[2][1] == {"turn": 1, "attempt": 1}
    assert "".join(data["text"] for name, data in seen[3:]) == "You said"


async def test_pieces_that_the_reply_has_overtaken_are_shown_before_it(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.api.turn_stream._LAST_PIECES", timedelta(seconds=5))
    async with followed(api) as events:
        assert await anext(events) == STARTED
        world.sessions.ending.set()
        await world.sessions.settled()
        for piece in (delta(1, 0, "You"), delta(1, 3, " said")):
            world.deltas.put(piece)
        world.deltas.end()

        assert [name async for name, _ in events] == ["text.delta", "text.delta", "turn.completed"]


@pytest.mark.parametrize("outcome", [TurnStatus.FAILED, TurnStatus.CANCELLED, TurnStatus.INTERRUPTED])
async def test_a_turn_without_an_answer_ends_as_failed(
    api: httpx.AsyncClient, world: World, outcome: TurnStatus
) -> None:
    world.sessions.outcome = outcome
    world.sessions.ending.set()

    async with followed(api) as events:
        last = [event async for event in events][-1]

    assert (last[0], last[1]["status"]) == ("turn.failed", outcome)


async def test_text_that_can_no_longer_be_followed_does_not_keep_the_reply_away(
    api: httpx.AsyncClient, world: World
) -> None:
    async with followed(api) as events:
        world.deltas.put(delta(1, 0, "You"))
        world.deltas.put(Unavailable("Postgres", "gone"))
        assert [(await anext(events))[0] for _ in range(2)] == ["turn.started", "text.delta"]

        world.sessions.ending.set()
        assert [name async for name, _ in events] == ["turn.completed"]


async def test_a_stream_of_text_that_ends_before_the_turn_waits_for_the_reply(
    api: httpx.AsyncClient, world: World
) -> None:
    async with followed(api) as events:
        assert await anext(events) == STARTED
        world.deltas.end()
        world.sessions.ending.set()

        assert [name async for name, _ in events] == ["turn.completed"]


async def test_an_engine_lost_midway_ends_the_stream_with_a_problem(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as events:
        assert await anext(events) == STARTED
        world.sessions.refusal = Unavailable("Temporal", "no answer")
        world.sessions.ending.set()

        [(name, problem)] = [event async for event in events]

    assert name == "problem"
    assert (problem["code"], problem["status"]) == ("unavailable", 503)
    assert "errors" not in problem


async def test_a_reader_that_leaves_midway_loses_nothing(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as events:
        assert await anext(events) == STARTED

    world.sessions.ending.set()
    await world.sessions.settled()

    receipt = (await api.get("/v1/sessions/s-1/messages/m-1")).json()
    assert receipt["reply"]["reply"] == "You said: hello"


async def test_streams_of_one_message_tell_the_same(api: httpx.AsyncClient, world: World) -> None:
    async with followed(api) as one, followed(api) as other:
        assert await anext(one) == await anext(other) == STARTED
        world.sessions.ending.set()
        endings = await asyncio.gather(anext(one), anext(other))

    assert endings[0] == endings[1]
    assert len(world.sessions.taken) == 1
