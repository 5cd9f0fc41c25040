"""The recruiting part of the API over a real database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx
from starlette.requests import Request

from tertulia.api.app import create_app
from tertulia.api.doorkeeper import EVERYBODY, Doorkeeper
from tertulia.api.ports import ApiPorts
from tertulia.api.recruiting_ports import RecruitingPorts
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import Caller
from tertulia.domain.ids import TenantId
from tertulia.domain.recruiting.jobs import Job, Question
from tertulia.recruiting.resume_intake import StoringIntake
from tertulia.resumes.reader import IsolatedReader
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.tallies import PostgresTallies
from tests.api.providers import InMemoryProviders
from tests.fakes import (
    InMemoryApiKeys,
    InMemoryDefinitions,
    InMemoryRecords,
    InMemoryTranscripts,
    ScriptedCompletions,
    ScriptedEvents,
    ScriptedSessions,
)

NOTICE = {
    "text": "How long is your notice period?",
    "type": "number",
    "weight": 0.25,
    "validation_rule": {"unit": "days", "min": 0, "max": 365},
    "fit": {"best": 0, "worst": 90},
}
YEARS = {"text": "How many years?", "type": "number", "weight": 0.75, "fit": {"worst": 0, "best": 10}}
PERMIT = {"text": "May you work here?", "type": "boolean", "must_have": True}
WHY = {"text": "Why?", "type": "text", "required": False}


@dataclass
class ScriptedSuggester:
    """Suggests what it is told to, or raises it."""

    answer: Sequence[Question] | Exception
    asked: list[Job] = field(default_factory=list)

    async def suggest(self, tenant: TenantId, job: Job) -> Sequence[Question]:
        self.asked.append(job)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class HeaderReader(Doorkeeper):
    """Believes the header X-Tenant."""

    async def caller(self, request: Request, now: datetime) -> Caller:
        return replace(EVERYBODY, tenant=TenantId(request.headers.get("x-tenant", EVERYBODY.tenant)))


class Office:
    """The API and what is behind it. A request is of the tenant that the header X-Tenant names."""

    def __init__(self, pool: Pool) -> None:
        records, transcripts, events = InMemoryRecords(), InMemoryTranscripts(), ScriptedEvents()
        self.sessions = ScriptedSessions(records, transcripts, events)
        self.app = create_app(
            ApiPorts(
                sessions=self.sessions,
                records=records,
                transcripts=transcripts,
                events=events,
                definitions=InMemoryDefinitions(),
                providers=InMemoryProviders(),
                completions=ScriptedCompletions(),
                recruiting=RecruitingPorts(
                    jobs=PostgresJobs(pool),
                    applications=PostgresApplications(pool),
                    candidates=PostgresCandidates(pool),
                    resumes=StoringIntake(IsolatedReader(), PostgresCandidates(pool)),
                ),
                analytics=PostgresAnalytics(pool),
                tallies=PostgresTallies(pool),
                parts={},
                doorkeeper=HeaderReader(InMemoryApiKeys(), SessionTokens(None), required=True),
            )
        )

    def suggest_by(self, suggester: ScriptedSuggester) -> None:
        ports: ApiPorts = self.app.state.ports
        self.app.state.ports = replace(ports, recruiting=replace(ports.recruiting, suggester=suggester))


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
    """An office, and a client of it."""
    async with open_pool(database) as pool:
        office = Office(pool)
        transport = httpx.ASGITransport(app=office.app)
        async with httpx.AsyncClient(base_url="http://office", transport=transport) as client:
            yield office, client


async def offer(api: httpx.AsyncClient, job_id: str = "j-1", **questions: dict[str, Any]) -> str:
    """Create a job with questions; return its path."""
    assert (await api.post("/v1/jobs", json={"title": "Engineer", "job_id": job_id})).status_code == 201
    for qid, question in questions.items():
        put = await api.put(f"/v1/jobs/{job_id}/questions/{qid}", json=question)
        assert put.status_code == 200, put.text
    return f"/v1/jobs/{job_id}"


async def applied(api: httpx.AsyncClient, user_id: str = "ada", job_id: str = "j-1") -> str:
    """Apply; return the application's path."""
    answer = await api.post("/v1/applications", json={"job_id": job_id, "user_id": user_id})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def submitted(api: httpx.AsyncClient, user_id: str, **answers: Any) -> str:
    """Apply, answer and submit; return the application's path."""
    path = await applied(api, user_id)
    assert (await api.patch(f"{path}/answers", json={"answers": answers})).status_code == 200
    assert (await api.post(f"{path}/transition", json={"to": "submitted", "by": "candidate"})).status_code == 200
    return path
