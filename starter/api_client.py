"""A client of the HTTP API for the command line."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import TypeAdapter

from tertulia.api.provider_views import (
    DecisionView,
    ProbeView,
    ProviderHistory,
    ProviderList,
    ProviderMetricsList,
    ProviderStatusList,
    ProviderView,
)
from tertulia.api.recruiting_views import ApplicationDetail, SuggestedQuestions, Timeline
from tertulia.api.views import (
    Messages,
    OrderOutcome,
    Problem,
    Receipt,
    SessionDetail,
    SessionList,
    SessionSummary,
    TurnReply,
)
from tertulia.domain.conversation import Message, Opened
from tertulia.domain.errors import InvalidInput, SessionClosed, TertuliaError, Unavailable
from tertulia.domain.ids import ApplicationId, JobId, MessageId, ProviderName, SessionId
from tertulia.domain.providers.configs import PROVIDER_NAME_PATTERN
from tertulia.domain.recruiting.applications import Application, ApplicationPage, Candidate, CandidatePage
from tertulia.domain.recruiting.jobs import Job, JobPage, Question
from tertulia.domain.turns import TurnRecord

# Longer than the API lets a request wait for its reply, and than its pings are apart.
_TIMEOUT = httpx.Timeout(90, connect=5)
_LOOK_AGAIN_SECONDS = 1.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_turn_reply = TypeAdapter(TurnReply)


class ApiRefusal(TertuliaError):
    """Raised when the API answers with a problem; `problem` is what it said."""

    code = "api_refusal"

    def __init__(self, problem: Problem) -> None:
        instead = f" (possible: {', '.join(problem.allowed)})" if problem.allowed else ""
        super().__init__(f"{problem.title}: {problem.detail}{instead}")
        self.problem = problem


class ApiClient:
    """Calls the API. Every method raises ApiRefusal where it refuses, and Unavailable where nothing answers.

    Those that name a provider raise InvalidInput where that can't be a name.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def start(self, opening: Mapping[str, Any]) -> Opened:
        """Start a session; `opening` is the call's body."""
        return Opened.model_validate_json(self._call("POST", "/v1/sessions", json=opening).content)

    def session(self, session_id: SessionId, *, live: bool = False) -> SessionDetail:
        """Read a session."""
        answer = self._call("GET", f"/v1/sessions/{session_id}", params={"live": live})
        return SessionDetail.model_validate_json(answer.content)

    def sessions(self, *, limit: int, **where: str | None) -> Iterator[SessionSummary]:
        """Read up to `limit` sessions, newest first, page by page."""
        for page in self._pages("/v1/sessions", limit, where):
            yield from SessionList.model_validate_json(page).sessions

    def last_messages(self, session_id: SessionId, count: int) -> tuple[Message, ...]:
        """Read the newest messages of a transcript, oldest first."""
        answer = self._call("GET", f"/v1/sessions/{session_id}/messages", params={"last": count})
        return Messages.model_validate_json(answer.content).messages

    def turn(self, session_id: SessionId, turn: int) -> TurnRecord:
        """Read a turn's evidence."""
        answer = self._call("GET", f"/v1/sessions/{session_id}/turns/{turn}")
        return TurnRecord.model_validate_json(answer.content)

    def send(self, session_id: SessionId, text: str, message_id: MessageId) -> TurnReply:
        """Send a message and wait for its outcome, however long that takes."""
        body = {"text": text, "message_id": message_id}
        answer = self._call("POST", f"/v1/sessions/{session_id}/messages", json=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            return _turn_reply.validate_json(answer.content)
        return self._look_until_done(session_id, message_id)

    def stream(self, session_id: SessionId, text: str, message_id: MessageId) -> Iterator[ServerSentEvent]:
        """Send a message and yield the events of its turn, up to and with the one that ends it."""
        with self._opened(
            "POST",
            f"/v1/sessions/{session_id}/messages",
            json={"text": text, "message_id": message_id},
            headers={"Accept": "text/event-stream"},
        ) as answer:
            for event in EventSource(answer).iter_sse():
                if event.event == "problem":
                    raise _error_of(Problem.model_validate_json(event.data))
                yield event

    def order(self, session_id: SessionId, what: str, fields: Mapping[str, Any]) -> OrderOutcome:
        """Have a session do what somebody in the loop asks for: `what` ends the path, `fields` are the call's body."""
        method = "PUT" if what.startswith("slots/") else "POST"
        answer = self._call(method, f"/v1/sessions/{session_id}/{what}", json=_given(fields))
        return OrderOutcome.model_validate_json(answer.content)

    def close(self, session_id: SessionId, reason: str, *, erase: bool = False) -> None:
        """Close a session, or erase it."""
        self._call("DELETE", f"/v1/sessions/{session_id}", params={"reason": reason, "erase": erase})

    def export(self, session_id: SessionId, file_format: str) -> Iterator[bytes]:
        """Yield a transcript's file piece by piece."""
        path = f"/v1/sessions/{session_id}/export"
        with self._opened("GET", path, params={"format": file_format}) as answer:
            yield from answer.iter_bytes()

    def jobs(self, *, limit: int, **where: str | None) -> Iterator[Job]:
        """Read up to `limit` jobs, newest first."""
        for page in self._pages("/v1/jobs", limit, where):
            yield from JobPage.model_validate_json(page).jobs

    def job(self, job_id: JobId) -> Job:
        """Read a job with its questions."""
        return Job.model_validate_json(self._call("GET", f"/v1/jobs/{job_id}").content)

    def create_job(self, fields: Mapping[str, Any]) -> Job:
        """Create a job; `fields` are the call's body."""
        return Job.model_validate_json(self._call("POST", "/v1/jobs", json=fields).content)

    def close_job(self, job_id: JobId) -> Job:
        """Close a job."""
        return Job.model_validate_json(self._call("POST", f"/v1/jobs/{job_id}/close").content)

    def put_question(self, job_id: JobId, question: Question) -> None:
        """Put a question in the place of the one of its name, or behind the others."""
        body = question.model_dump(mode="json", exclude={"qid"}, exclude_none=True)
        self._call("PUT", f"/v1/jobs/{job_id}/questions/{question.qid}", json=body)

    def suggest_questions(self, job_id: JobId) -> SuggestedQuestions:
        """Have questions for a job suggested; none is stored."""
        answer = self._call("POST", f"/v1/jobs/{job_id}/questions/suggest")
        return SuggestedQuestions.model_validate_json(answer.content)

    def candidates(self, job_id: JobId, *, limit: int) -> Iterator[Candidate]:
        """Read up to `limit` candidates of a job, best score first."""
        for page in self._pages(f"/v1/jobs/{job_id}/candidates", limit, {}):
            yield from CandidatePage.model_validate_json(page).candidates

    def candidates_csv(self, job_id: JobId) -> Iterator[bytes]:
        """Yield the file of all candidates of a job piece by piece."""
        with self._opened("GET", f"/v1/jobs/{job_id}/candidates", params={"format": "csv"}) as answer:
            yield from answer.iter_bytes()

    def applications(self, *, limit: int, **where: str | None) -> Iterator[Application]:
        """Read up to `limit` applications, newest first."""
        for page in self._pages("/v1/applications", limit, where):
            yield from ApplicationPage.model_validate_json(page).applications

    def application(self, application_id: ApplicationId) -> ApplicationDetail:
        """Read an application."""
        return ApplicationDetail.model_validate_json(self._call("GET", f"/v1/applications/{application_id}").content)

    def timeline(self, application_id: ApplicationId) -> Timeline:
        """Read the beginning of what happened to an application."""
        answer = self._call("GET", f"/v1/applications/{application_id}/timeline", params={"limit": 500})
        return Timeline.model_validate_json(answer.content)

    def move_application(self, application_id: ApplicationId, to: str, reason: str) -> ApplicationDetail:
        """Move an application along its life cycle."""
        body = {"to": to, "reason": reason, "by": "recruiter"}
        answer = self._call("POST", f"/v1/applications/{application_id}/transition", json=body)
        return ApplicationDetail.model_validate_json(answer.content)

    def _pages(self, path: str, limit: int, where: Mapping[str, str | None]) -> Iterator[bytes]:
        """Yield the pages of a list until they have `limit` items together."""
        query: dict[str, Any] = _given(where)
        while limit > 0:
            page_size = min(limit, 200)
            answer = self._call("GET", path, params={**query, "limit": page_size})
            yield answer.content
            limit -= page_size
            query["cursor"] = answer.json()["next"]
            if query["cursor"] is None:
                return

    def providers(self) -> Sequence[ProviderView]:
        """Read the configurations of all providers, in the order of preference."""
        return ProviderList.model_validate_json(self._call("GET", "/v1/providers").content).providers

    def add_provider(self, fields: Mapping[str, Any]) -> ProviderView:
        """Add a provider; `fields` are the call's body."""
        return ProviderView.model_validate_json(self._call("POST", "/v1/providers", json=fields).content)

    def update_provider(self, name: ProviderName, patch: Mapping[str, Any]) -> ProviderView:
        """Change a provider; None puts a field back to its default."""
        answer = self._call("PATCH", _provider(name), json=patch)
        return ProviderView.model_validate_json(answer.content)

    def remove_provider(self, name: ProviderName) -> None:
        """Remove a provider."""
        self._call("DELETE", _provider(name))

    def provider_status(self) -> ProviderStatusList:
        """Read how all providers are."""
        return ProviderStatusList.model_validate_json(self._call("GET", "/v1/providers/status").content)

    def provider_metrics(self, **window: str | None) -> ProviderMetricsList:
        """Read what came of the attempts of a window."""
        answer = self._call("GET", "/v1/providers/metrics", params=_given(window))
        return ProviderMetricsList.model_validate_json(answer.content)

    def provider_history(self, name: ProviderName, limit: int) -> ProviderHistory:
        """Read what was decided about a provider, newest first."""
        answer = self._call("GET", f"{_provider(name)}/history", params={"limit": limit})
        return ProviderHistory.model_validate_json(answer.content)

    def start_maintenance(self, name: ProviderName, note: str | None) -> None:
        """Take a provider out of service."""
        self._call("PUT", f"{_provider(name)}/maintenance", json=_given({"note": note}))

    def end_maintenance(self, name: ProviderName) -> None:
        """Put a provider back in service."""
        self._call("DELETE", f"{_provider(name)}/maintenance")

    def check_provider(self, name: ProviderName) -> ProbeView:
        """Probe a provider now."""
        return ProbeView.model_validate_json(self._call("POST", f"{_provider(name)}/check").content)

    def provider_decision(self, question: Mapping[str, Any]) -> DecisionView:
        """Read who would be asked now."""
        return DecisionView.model_validate_json(self._call("GET", "/v1/providers/decision", params=question).content)

    def figures(self, figure: str, **of: str | None) -> bytes:
        """Read a figure about many conversations, as it comes."""
        return self._call("GET", f"/v1/analytics/{figure}", params=_given(of)).content

    def figure_rows(self, figure: str, **of: str | None) -> Sequence[Mapping[str, Any]]:
        """Read the rows of a figure about many conversations."""
        rows: Sequence[Mapping[str, Any]] = json.loads(self.figures(figure, **of))["rows"]
        return rows

    def readiness(self) -> Mapping[str, str]:
        """Read which parts the API can reach."""
        try:
            parts: Mapping[str, str] = self._call("GET", "/readyz").json()["parts"]
        except ApiRefusal as refusal:
            return refusal.problem.parts or {}
        return parts

    def _look_until_done(self, session_id: SessionId, message_id: MessageId) -> TurnReply:
        while True:
            answer = self._call("GET", f"/v1/sessions/{session_id}/messages/{message_id}")
            receipt = Receipt.model_validate_json(answer.content)
            if receipt.reply is not None:
                return receipt.reply
            if receipt.status == "refused":
                raise SessionClosed("the session closed before this message had its turn")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._opened(method, path, **request) as answer:
            answer.read()
        return answer

    @contextmanager
    def _opened(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **request) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error_in(answer)
                yield answer
        except httpx.ConnectError as error:
            raise Unavailable(
                f"the API at {self._http.base_url}", "nothing listens there; start it with `make run`"
            ) from error
        except httpx.TransportError as error:
            raise Unavailable(f"the API at {self._http.base_url}", "the connection was lost") from error


@contextmanager
def open_api(url: str) -> Iterator[ApiClient]:
    """Connect to the API at a URL, with the key of the environment, if there is one."""
    # A proxy of the environment knows nothing of this machine.
    local = httpx.URL(url).host in _LOOPBACK
    key = os.environ.get("TERTULIA_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=not local) as http:
        yield ApiClient(http)


def _provider(name: ProviderName) -> str:
    # Whatever else was typed could lead to another call.
    if not re.fullmatch(PROVIDER_NAME_PATTERN, name):
        raise InvalidInput("begins with a-z and has up to 32 characters of a-z 0-9 _ -", field="a provider's name")
    return f"/v1/providers/{name}"


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _error_in(answer: httpx.Response) -> TertuliaError:
    if "problem+json" not in answer.headers.get("content-type", ""):
        return Unavailable(f"the API at {answer.url}", f"something else answers there (status {answer.status_code})")
    return _error_of(Problem.model_validate_json(answer.content))


def _error_of(problem: Problem) -> TertuliaError:
    # `/readyz` tells by parts; that is an answer to the question, not a failure to answer it.
    if problem.code == Unavailable.code and problem.parts is None:
        return Unavailable("the engine", problem.detail)
    return ApiRefusal(problem)
