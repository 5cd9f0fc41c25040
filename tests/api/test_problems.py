import asyncio
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tertulia.api import problems
from tertulia.api.views import Problem
from tertulia.domain import errors
from tertulia.domain.errors import (
    ActionRefused,
    CannotStart,
    ChannelFailure,
    ChannelProblem,
    DefinitionInvalid,
    FailureClass,
    Forbidden,
    InvalidInput,
    NotAdmitted,
    NotFound,
    ProviderFailure,
    RateLimited,
    Refused,
    SessionClosed,
    SessionMoved,
    TertuliaError,
    TooManyWaiting,
    TransitionRefused,
    TurnInProgress,
    Unauthenticated,
    Unavailable,
)
from tertulia.domain.ids import ProviderName, SessionId
from tests.api.conftest import World

TREE: dict[TertuliaError, int] = {
    InvalidInput("is odd", field="text"): 422,
    DefinitionInvalid(["a.yaml:3: no such state"]): 422,
    NotFound("session", "s-1"): 404,
    Unauthenticated(): 401,
    Forbidden("not with this key"): 403,
    RateLimited(timedelta(seconds=1)): 429,
    Refused("not so"): 409,
    SessionClosed("closed"): 409,
    SessionMoved("moved"): 503,
    TurnInProgress("wait"): 409,
    TooManyWaiting("wait"): 429,
    TransitionRefused("no", ["processing"]): 409,
    ActionRefused("no", ["take_back"]): 409,
    Unavailable("Postgres", "gone"): 503,
    CannotStart("Postgres", "no room"): 500,
    NotAdmitted(ProviderName("groq"), "no room"): 503,
    ProviderFailure(FailureClass.SERVER, "boom", retry_after=timedelta(seconds=3)): 502,
    ChannelFailure(ChannelProblem.SERVER, "boom"): 502,
    TertuliaError("?"): 500,
}


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def test_every_error_of_the_tree_has_its_status() -> None:
    assert {type(error) for error in TREE} == {
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TertuliaError)
    }


@pytest.mark.parametrize(("error", "status"), TREE.items(), ids=lambda value: type(value).__name__)
async def test_an_error_is_told_as_a_problem(
    api: httpx.AsyncClient, world: World, session: SessionId, error: TertuliaError, status: int
) -> None:
    world.sessions.refusal = error

    answer = await api.post(f"/v1/sessions/{session}/messages", json={"text": "hello"})

    problem = Problem.model_validate(answer.json())
    assert answer.status_code == problem.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    waits = answer.headers.get("retry-after")
    assert waits == (None if problem.retry_after is None else str(problem.retry_after))


async def test_a_problem_leads_to_what_can_be_done_about_it(api: httpx.AsyncClient) -> None:
    problem = (await api.get("/v1/sessions/nobody")).json()

    explained = await api.get(problem["type"])

    assert explained.json() == {
        "code": "not_found",
        "status": 404,
        "title": "There is no such thing",
        "advice": "Check the address and the ids in it.",
    }


@pytest.mark.parametrize("code", problems.KINDS)
async def test_every_kind_of_problem_is_explained(api: httpx.AsyncClient, code: str) -> None:
    assert (await api.get(f"/problems/{code}")).json()["advice"]


async def test_what_nobody_foresaw_is_answered_without_its_particulars(
    api: httpx.AsyncClient, world: World, session: SessionId, logs: list[EventDict]
) -> None:
    world.sessions.refusal = RuntimeError("canary")

    answer = await api.post(f"/v1/sessions/{session}/messages", json={"text": "canary"})

    assert answer.status_code == 500
    assert answer.json() == {
        "type": "/problems/unexpected",
        "title": "Something went wrong",
        "status": 500,
        "detail": "Tell the operator when it happened; the log says what.",
        "code": "unexpected",
    }
    [reported] = [entry for entry in logs if entry["event"] == "unexpected_error"]
    assert reported["error"] == "RuntimeError"
    assert reported["at"][-1].endswith("_reached")
    assert "canary" not in str(logs)


async def test_an_export_that_breaks_off_can_not_be_taken_for_a_whole_one(
    api: httpx.AsyncClient, world: World, session: SessionId
) -> None:
    class Breaking:
        async def messages(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> object:
            if after:
                raise Unavailable("Postgres", "gone")
            [greeting] = await world.transcripts.messages(session_id)
            return [greeting.model_copy(update={"seq": seq}) for seq in range(1, limit + 1)]

    world.change(transcripts=Breaking())

    with pytest.raises(httpx.RemoteProtocolError):
        await api.get(f"/v1/sessions/{session}/export")


async def test_the_log_tells_what_was_called_and_nothing_of_whom(
    api: httpx.AsyncClient, session: SessionId, logs: list[EventDict]
) -> None:
    await api.post(f"/v1/sessions/{session}/messages", json={"text": "canary-text", "message_id": "canary-id"})
    await api.get("/v1/users/canary@example.org/sessions?cursor=canary")

    assert [(entry["method"], entry["route"], entry["status"]) for entry in logs] == [
        ("POST", "/v1/sessions/{session_id}/messages", 200),
        ("GET", "/v1/users/{user_id}/sessions", 422),
    ]
    assert "canary" not in str(logs)


async def test_a_refused_upload_does_not_stop_the_next_request(api: httpx.AsyncClient, session: SessionId) -> None:
    large = {"text": "a" * 3 * 2**20}

    answers = await asyncio.gather(*(api.post(f"/v1/sessions/{session}/messages", json=large) for _ in range(4)))

    assert [answer.status_code for answer in answers] == [413] * 4
    assert (await api.get("/healthz")).status_code == 200
