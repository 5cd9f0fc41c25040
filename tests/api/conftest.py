"""One real server for all tests of the API; each test puts its own fakes behind it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from starter.http_server import listen, serve_app
from tertulia.api.app import create_app
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.ports import ApiPorts
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.conversation import RECRUITER
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.ids import SessionId
from tests.api.providers import InMemoryProviders
from tests.fakes import (
    NOON,
    InMemoryApiKeys,
    InMemoryDefinitions,
    InMemoryRecords,
    InMemoryTranscripts,
    ScriptedAnalytics,
    ScriptedCompletions,
    ScriptedEvents,
    ScriptedSessions,
    ScriptedTallies,
)

SESSION = SessionId("s-1")
GREETER = Definition.model_validate(
    {"name": "greeter", "version": "1", "title": "A greeter", "initial": "talk", "states": {"talk": {"say": "Hello!"}}}
)
HIRING = GREETER.model_copy(update={"name": "hiring", "role": RECRUITER})


async def reached() -> None:
    """A part that can be reached."""


@dataclass
class World:
    """Everything behind the API in one test."""

    app: FastAPI
    records: InMemoryRecords = field(default_factory=InMemoryRecords)
    transcripts: InMemoryTranscripts = field(default_factory=InMemoryTranscripts)
    events: ScriptedEvents = field(default_factory=ScriptedEvents)
    providers: InMemoryProviders = field(default_factory=InMemoryProviders)
    analytics: ScriptedAnalytics = field(default_factory=ScriptedAnalytics)
    tallies: ScriptedTallies = field(default_factory=ScriptedTallies)
    completions: ScriptedCompletions = field(default_factory=ScriptedCompletions)

    def __post_init__(self) -> None:
        self.sessions = ScriptedSessions(self.records, self.transcripts, self.events)
        self.app.state.ports = ApiPorts(
            sessions=self.sessions,
            records=self.records,
            transcripts=self.transcripts,
            events=self.events,
            definitions=InMemoryDefinitions(GREETER),
            providers=self.providers,
            completions=self.completions,
            doorkeeper=Doorkeeper(InMemoryApiKeys(), SessionTokens(None), required=False),
            recruiting=None,  # type: ignore[arg-type]  # its calls are tested over a real database
            analytics=self.analytics,
            tallies=self.tallies,
            parts={"postgres": reached, "temporal": reached},
            now=lambda: NOON,
        )

    def change(self, **fields: Any) -> None:
        """Put other ports or limits behind the API."""
        self.app.state.ports = replace(self.app.state.ports, **fields)

    def do_not_wait_for_replies(self) -> None:
        """Answer with a receipt where a reply is not there at once."""
        self.change(reply_wait=timedelta(milliseconds=20))

    def take_nothing(self) -> None:
        """Be an engine without a worker, and an API that notices soon."""
        self.do_not_wait_for_replies()
        self.change(engine_wait=timedelta(milliseconds=20))
        self.sessions.taking.clear()


@pytest.fixture(scope="session")
async def served() -> AsyncIterator[tuple[FastAPI, str]]:
    """The app, and the URL at which a real server serves it."""
    app = create_app(ApiPorts(**dict.fromkeys(_REQUIRED)))  # type: ignore[arg-type]
    listener = listen("127.0.0.1", 0)
    ready = asyncio.Event()
    server = asyncio.create_task(serve_app(app, listener, ready=ready))
    await ready.wait()
    yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


_REQUIRED = (
    "sessions",
    "records",
    "transcripts",
    "events",
    "definitions",
    "providers",
    "completions",
    "recruiting",
    "analytics",
    "tallies",
    "doorkeeper",
    "parts",
)


@pytest.fixture
def world(served: tuple[FastAPI, str]) -> World:
    return World(served[0])


@pytest.fixture(scope="session")
async def http_client(served: tuple[FastAPI, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served[1], timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def api(http_client: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """A client of the server, with the test's own world behind it."""
    return http_client


@pytest.fixture
async def session(api: httpx.AsyncClient) -> SessionId:
    """A session that has been started."""
    started = await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "ada", "session_id": SESSION})
    assert started.status_code == 201
    return SESSION
