"""A turn as it happens, and a whole session for readers who come and go."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from tertulia.api import event_stream
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import HOUSE, Scope
from tertulia.domain.conversation import Close, Message, Role, TurnStatus
from tertulia.domain.errors import NotFound, Unavailable
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.session_events import EventId, TurnStarted
from tertulia.domain.turns import Delta, TurnWaits
from tests.api.conftest import World
from tests.fakes import NOON, InMemoryApiKeys

HELLO = {"text": "hello", "message_id": "m-1"}
STARTED = ("1", "turn.started", {"turn": 1, "message_ids": ["m-1"]})
Event = tuple[str, str, dict[str, Any]]


@asynccontextmanager
async def events_of(
    api: httpx.AsyncClient, method: str, path: str, **request: Any
) -> AsyncIterator[AsyncIterator[Event]]:
    """Read events as they come: their ids, names and data."""

    async def events() -> AsyncIterator[Event]:
        async for event in source.aiter_sse():
            yield event.id, event.event, json.loads(event.data)

    async with aconnect_sse(api, method, path, **request) as source:
        assert source.response.status_code == 200
        yield events()


@asynccontextmanager
async def sent(api: httpx.AsyncClient) -> AsyncIterator[AsyncIterator[Event]]:
    """Send HELLO and read its turn's events as they come."""
    async with events_of(api, "POST", "/v1/sessions/s-1/messages", json=HELLO) as events:
        yield events


@asynccontextmanager
async def followed(
    api: httpx.AsyncClient, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Read a session's events as they come."""
    async with events_of(api, "GET", "/v1/sessions/s-1/events", params=query, headers=dict(headers or {})) as events:
        yield events


def delta(attempt: int, offset: int, text: str) -> Delta:
    return Delta(turn=1, attempt=attempt, offset=offset, text=text)


@pytest.fixture(autouse=True)
def _held(session: SessionId, world: World) -> None:
    world.sessions.ending.clear()


# --- the turn of a message ----------------------------------------------------------------------------------------


async def test_a_turn_that_waits_for_a_provider_says_until_when(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        assert await anext(events) == STARTED

        world.events.put(TurnWaits(turn=1, resumes_at=NOON))
        assert await anext(events) == ("2", "turn.waiting", {"turn": 1, "resumes_at": "2026-03-14T12:00:00Z"})

        world.events.put(delta(1, 0, "You"))
        assert (await anext(events))[:2] == ("2:1.3", "text.delta")


async def test_text_arrives_while_the_turn_runs(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        assert await anext(events) == STARTED

        world.events.put(delta(1, 0, "You"))
        assert await anext(events) == ("1:1.3", "text.delta", {"turn": 1, "attempt": 1, "offset": 0, "text": "You"})

        world.events.put(delta(1, 3, " said:\n…"))
        assert (await anext(events))[2] == {"turn": 1, "attempt": 1, "offset": 3, "text": " said:\n…"}

        world.sessions.ending.set()
        number, name, ended = await anext(events)
        assert (number, name, ended["reply"], ended["message_ids"]) == (
            "2",
            "turn.completed",
            "You said: hello",
            ["m-1"],
        )
        assert [event async for event in events] == []


async def test_the_outcome_is_the_same_as_without_a_stream(api: httpx.AsyncClient, world: World) -> None:
    world.sessions.ending.set()

    async with sent(api) as events:
        streamed = [event async for event in events]

    reply = (await api.post("/v1/sessions/s-1/messages", json=HELLO)).json()
    (_, _, ended) = streamed[-1]
    assert streamed[:-1] == [STARTED]
    assert {name: ended[name] for name in reply if name in ended} == {
        name: reply[name] for name in ("turn", "status", "reply", "state", "next_action", "provider", "owner")
    }
    assert len(world.sessions.taken) == 1


async def test_a_retried_attempt_supersedes_the_failed_ones_text(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        for piece in (delta(1, 0, "Yo"), delta(3, 0, "You"), delta(3, 3, " said")):
            world.events.put(piece)
        seen = [await anext(events) for _ in range(5)]

    assert [(number, name) for number, name, _ in seen] == [
        ("1", "turn.started"),
        ("1:1.2", "text.delta"),
        ("1:3.0", "turn.superseded"),
        ("1:3.3", "text.delta"),
        ("1:3.8", "text.delta"),
    ]
    assert seen[2][2] == {"turn": 1, "attempt": 1}
    assert "".join(data["text"] for _, _, data in seen[3:]) == "You said"


@pytest.mark.parametrize("outcome", [TurnStatus.FAILED, TurnStatus.CANCELLED, TurnStatus.INTERRUPTED])
async def test_a_turn_without_an_answer_ends_as_failed(
    api: httpx.AsyncClient, world: World, outcome: TurnStatus
) -> None:
    world.sessions.outcome = outcome
    world.sessions.ending.set()

    async with sent(api) as events:
        (_, name, ended) = [event async for event in events][-1]

    assert (name, ended["status"]) == ("turn.failed", outcome)


async def test_an_engine_lost_midway_ends_the_stream_with_a_problem(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        assert await anext(events) == STARTED
        world.sessions.refusal = Unavailable("Temporal", "no answer")
        world.sessions.ending.set()

        [(_, name, problem)] = [event async for event in events]

    assert name == "problem"
    assert (problem["code"], problem["status"]) == ("unavailable", 503)
    assert "errors" not in problem


async def test_a_reader_that_leaves_midway_loses_nothing(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        assert await anext(events) == STARTED

    world.sessions.ending.set()
    await world.sessions.settled()

    receipt = (await api.get("/v1/sessions/s-1/messages/m-1")).json()
    assert receipt["reply"]["reply"] == "You said: hello"


async def test_streams_of_one_message_tell_the_same(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as one, sent(api) as other:
        assert await anext(one) == await anext(other) == STARTED
        world.sessions.ending.set()
        endings = await asyncio.gather(anext(one), anext(other))

    assert endings[0] == endings[1]
    assert len(world.sessions.taken) == 1


async def test_a_turns_stream_that_was_cut_goes_on_as_the_sessions(api: httpx.AsyncClient, world: World) -> None:
    async with sent(api) as events:
        await anext(events)
        world.events.put(delta(1, 0, "You"))
        last, _, _ = await anext(events)

    world.events.put(delta(1, 3, " said"))
    world.sessions.ending.set()
    await world.sessions.settled()
    async with followed(api, {"Last-Event-ID": last}) as events:
        assert [(await anext(events))[1] for _ in range(2)] == ["text.delta", "turn.completed"]


# --- a whole session ----------------------------------------------------------------------------------------------


async def test_a_session_is_told_from_its_beginning_to_its_end(api: httpx.AsyncClient, world: World) -> None:
    greeting = Message(seq=1, turn=0, role=Role.ASSISTANT, text="Hello!", created_at=NOON)
    world.events.put(greeting)
    world.sessions.ending.set()
    await api.post("/v1/sessions/s-1/messages", json=HELLO)
    await world.sessions.close(SessionId("s-1"), Close(reason="all is said"))

    async with followed(api) as events:
        told = [event async for event in events]

    assert [(number, name) for number, name, _ in told] == [
        ("1", "message"),
        ("2", "turn.started"),
        ("3", "turn.completed"),
        ("4", "session.closed"),
    ]
    assert told[0][2] == greeting.model_dump(mode="json")
    assert told[-1][2] == {"state": "onboarding", "reason": "all is said"}


@pytest.mark.parametrize(
    "place", [{"headers": {"Last-Event-ID": "2"}}, {"query": {"after": "2"}}], ids=["header", "query"]
)
async def test_a_reader_goes_on_behind_the_last_event_it_has_had(
    api: httpx.AsyncClient, world: World, place: Any
) -> None:
    for number in range(1, 5):
        world.events.put(TurnStarted(turn=number, message_ids=(MessageId(f"m-{number}"),)))
    world.events.end()

    async with followed(api, **place) as events:
        assert [number async for number, _, _ in events] == ["3", "4"]


async def test_what_a_browser_says_in_the_header_goes_before_its_address(api: httpx.AsyncClient, world: World) -> None:
    for number in range(1, 5):
        world.events.put(TurnStarted(turn=number, message_ids=()))
    world.events.end()

    async with followed(api, {"Last-Event-ID": "3"}, {"after": "1"}) as events:
        assert [number async for number, _, _ in events] == ["4"]


async def test_a_reader_that_wants_what_is_going_on_gets_the_running_turn_whole(
    api: httpx.AsyncClient, world: World
) -> None:
    world.events.put(Message(seq=1, turn=0, role=Role.ASSISTANT, text="Hello!", created_at=NOON))
    world.events.put(TurnStarted(turn=1, message_ids=()))
    world.events.end()

    async with followed(api, query={"from": "now"}) as events:
        assert [name async for _, name, _ in events] == ["turn.started"]


async def test_a_session_that_was_told_to_its_end_has_nothing_more(api: httpx.AsyncClient, world: World) -> None:
    await world.sessions.close(SessionId("s-1"), Close())

    answer = await api.get("/v1/sessions/s-1/events", headers={"Last-Event-ID": "1"})

    # A browser does not connect again after this.
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("last", ["7", "seven", "1:2", "1:2.3.4", "-1", "1" * 30])
async def test_an_id_that_is_none_of_the_sessions_is_refused(api: httpx.AsyncClient, last: str) -> None:
    answer = await api.get("/v1/sessions/s-1/events", headers={"Last-Event-ID": last})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in {"header.last-event-id", "last-event-id"}


async def test_a_reader_of_a_session_that_is_not_there_is_told_so(api: httpx.AsyncClient, world: World) -> None:
    world.change(events=NoSuchSession())

    assert (await api.get("/v1/sessions/s-9/events")).status_code == 404


class NoSuchSession:
    async def resume(self, session_id: SessionId, after: EventId) -> EventId | None:
        raise NotFound("session", session_id)


async def test_a_stream_in_which_nothing_is_said_ends_with_its_callers_key(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_PING_SECONDS", 3600)
    keys = InMemoryApiKeys()
    key, secret = await keys.create(HOUSE, "site", Scope.CHAT, at=NOON)
    world.change(doorkeeper=Doorkeeper(keys, SessionTokens(None), required=True))

    shown = {"Authorization": f"Bearer {secret.get_secret_value()}"}
    async with api.stream("GET", "/v1/sessions/s-1/events", headers=shown, timeout=None) as stream:
        await keys.revoke(HOUSE, key.key_id, at=NOON)
        said = await stream.aread()

    assert (stream.status_code, said) == (200, b"")
