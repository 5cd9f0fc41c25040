"""The whole API behind keys: an engine and providers that are fakes, recruiting over a real database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from tertulia.api.access import Declared, declared
from tertulia.api.app import create_app
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.ports import ApiPorts
from tertulia.api.recruiting_ports import RecruitingPorts
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import HOUSE, Scope
from tertulia.domain.ids import TenantId
from tertulia.recruiting.resume_intake import StoringIntake
from tertulia.resumes.reader import IsolatedReader
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.tallies import PostgresTallies
from tests.api.conftest import GREETER, HIRING, reached
from tests.api.providers import InMemoryProviders
from tests.fakes import (
    NOON,
    InMemoryApiKeys,
    InMemoryDefinitions,
    InMemoryRecords,
    InMemoryTranscripts,
    ScriptedCompletions,
    ScriptedEvents,
    ScriptedSessions,
)

ACME = TenantId("acme")
OTHER = TenantId("other")
TENANTS = (HOUSE, ACME, OTHER)


@dataclass
class WholeApi:
    """The app, and a key of each scope of each tenant.

    Attributes:
        bodies: An example of each operation's body, by the operation's id.
    """

    app: FastAPI
    ports: ApiPorts
    http: httpx.AsyncClient
    keys: Mapping[tuple[TenantId, Scope], str]

    @property
    def routes(self) -> Sequence[Declared]:
        return declared(self.app)

    def example(self, route: Declared) -> Any:
        """The example that the description gives for a call's body."""
        schema = self.app.openapi()
        operation = schema["paths"][route.path][route.method.lower()]
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type == "application/json" and "$ref" in content["schema"]:
                name = content["schema"]["$ref"].rpartition("/")[2]
                return schema["components"]["schemas"][name]["examples"][0]
        return None

    async def call(
        self, method: str, path: str, who: tuple[TenantId, Scope] | None, body: Any = None, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[who]}"} if who else {}
        given = {} if body is None else {"json": body}
        return await self.http.request(method, path, headers=headers, **given, **more)


@asynccontextmanager
async def whole_api(database: str) -> AsyncIterator[WholeApi]:
    """Put everything behind an app."""
    api_keys = InMemoryApiKeys()
    shown = {
        (tenant, scope): (await api_keys.create(tenant, "a key", scope, at=NOON))[1].get_secret_value()
        for tenant in TENANTS
        for scope in Scope
    }
    async with open_pool(database) as pool:
        ports = _ports(pool, api_keys)
        app = create_app(ports)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(base_url="http://tertulia", transport=transport) as http:
            yield WholeApi(app, ports, http, shown)


def _ports(pool: Pool, api_keys: InMemoryApiKeys) -> ApiPorts:
    records, transcripts = InMemoryRecords(), InMemoryTranscripts()
    events = ScriptedEvents()
    events.end()
    return ApiPorts(
        sessions=ScriptedSessions(records, transcripts, events),
        records=records,
        transcripts=transcripts,
        events=events,
        definitions=InMemoryDefinitions(GREETER, HIRING),
        providers=InMemoryProviders(),
        analytics=PostgresAnalytics(pool),
        tallies=PostgresTallies(pool),
        completions=ScriptedCompletions(),
        recruiting=RecruitingPorts(
            jobs=PostgresJobs(pool),
            applications=PostgresApplications(pool),
            candidates=PostgresCandidates(pool),
            resumes=StoringIntake(IsolatedReader(), PostgresCandidates(pool)),
        ),
        doorkeeper=Doorkeeper(api_keys, SessionTokens(None), required=True),
        parts={"postgres": reached, "temporal": reached},
        now=lambda: NOON,
    )
