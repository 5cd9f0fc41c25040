import asyncio
from datetime import timedelta

import httpx
import pytest

from tertulia.domain.errors import SessionClosed, Unavailable
from tertulia.domain.ids import SessionId, is_identifier
from tests.api.conftest import World

START = {"definition": "greeter", "user_id": "ada"}


async def test_a_session_starts_with_its_greeting(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/sessions", json=START)

    assert answer.status_code == 201
    session = answer.json()
    assert is_identifier(session["session_id"])
    assert answer.headers["location"] == f"/v1/sessions/{session['session_id']}"
    assert session["state"] == "onboarding"
    assert [message["text"] for message in session["messages"]] == ["Hello! What is your name?"]


async def test_everything_that_was_given_reaches_the_engine(api: httpx.AsyncClient, world: World) -> None:
    given = {
        **START,
        "channel": "whatsapp",
        "channel_user_id": "+44 20 7946 0000",
        "role": "recruiter",
        "job_id": "job-7",
        "context": {"company": "Analytical Engines", "skills": ["algebra", 1.5, None, True]},
    }

    answer = await api.post("/v1/sessions", json=given)

    record = await world.records.get(SessionId(answer.json()["session_id"]))
    assert record is not None
    assert {name: getattr(record, name) for name in given} == given


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"session_id": "mine"}, {}),
        ({}, {"Idempotency-Key": "mine"}),
        ({}, {"Idempotency-Key": '"mine"'}),
        ({"session_id": "mine"}, {"Idempotency-Key": "mine"}),
    ],
)
async def test_a_start_under_an_id_of_ones_own_can_be_repeated(
    api: httpx.AsyncClient, world: World, body: dict[str, str], headers: dict[str, str]
) -> None:
    answers = [await api.post("/v1/sessions", json=START | body, headers=headers) for _ in range(3)]

    assert [answer.json()["session_id"] for answer in answers] == ["mine"] * 3
    assert len((await api.get("/v1/sessions")).json()["sessions"]) == 1


async def test_an_id_that_is_somebody_elses_is_refused(api: httpx.AsyncClient, session: SessionId) -> None:
    answer = await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "eve", "session_id": session})

    assert answer.status_code == 409
    assert answer.json()["code"] == "refused"
    assert "messages" not in answer.json()


async def test_two_different_ids_for_one_session_are_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/sessions", json={**START, "session_id": "a"}, headers={"Idempotency-Key": "b"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.idempotency-key"


async def test_an_unknown_definition_is_refused_with_those_on_offer(api: httpx.AsyncClient, world: World) -> None:
    answer = await api.post("/v1/sessions", json={**START, "definition": "secret-name"})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "body.definition", "problem": "there is no such definition; on offer: greeter"}
    ]
    assert not world.sessions.asked.is_set()


async def test_a_start_under_the_id_of_a_session_that_has_ended_is_a_conflict(
    api: httpx.AsyncClient, world: World
) -> None:
    world.sessions.refusal = SessionClosed("the session is closed; start another one")

    answer = await api.post("/v1/sessions", json={**START, "session_id": "old"})

    assert (answer.status_code, answer.json()["code"]) == (409, "session_closed")


async def test_a_session_can_be_read_while_the_engine_is_down(
    api: httpx.AsyncClient, world: World, session: SessionId
) -> None:
    world.sessions.refusal = Unavailable("Temporal", "no answer")

    answer = await api.get(f"/v1/sessions/{session}")

    assert answer.status_code == 200
    read = answer.json()
    assert (read["session_id"], read["user_id"], read["slots"]) == (session, "ada", {"name": "Ada"})
    assert read["live"] is None


async def test_a_live_read_adds_the_workflows_own_view(api: httpx.AsyncClient, session: SessionId) -> None:
    read = (await api.get(f"/v1/sessions/{session}?live=true")).json()

    assert read["live"]["session_id"] == session
    assert read["live"]["waiting"] == 0


async def test_a_live_read_without_the_engine_says_so(api: httpx.AsyncClient, world: World, session: SessionId) -> None:
    world.sessions.refusal = Unavailable("Temporal", "no answer")

    answer = await api.get(f"/v1/sessions/{session}?live=true")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_a_live_read_of_a_closed_session_gives_what_is_stored(api: httpx.AsyncClient, session: SessionId) -> None:
    await api.delete(f"/v1/sessions/{session}")

    read = (await api.get(f"/v1/sessions/{session}?live=true")).json()

    assert read["status"] == "closed"
    assert read["live"] is None


async def test_a_session_moves_along_a_transition_of_its_definition(api: httpx.AsyncClient, session: SessionId) -> None:
    answer = await api.put(f"/v1/sessions/{session}/state", json={"state": "processing", "reason": "they called"})

    assert answer.status_code == 200
    assert answer.json()["state"] == "processing"


async def test_a_transition_that_is_not_in_the_definition_names_those_that_are(
    api: httpx.AsyncClient, session: SessionId
) -> None:
    answer = await api.put(f"/v1/sessions/{session}/state", json={"state": "completed"})

    assert answer.status_code == 409
    assert answer.json()["code"] == "transition_refused"
    assert answer.json()["allowed"] == ["processing"]


async def test_a_running_turn_is_cancelled(api: httpx.AsyncClient, world: World, session: SessionId) -> None:
    world.sessions.ending.clear()
    await api.post(f"/v1/sessions/{session}/messages", json={"text": "hm"}, headers={"Prefer": "respond-async"})

    while_running = await api.post(f"/v1/sessions/{session}/cancel-turn")
    world.sessions.ending.set()
    await world.sessions.settled()
    afterwards = await api.post(f"/v1/sessions/{session}/cancel-turn")

    assert while_running.json() == {"cancelled": True}
    assert afterwards.json() == {"cancelled": False}


async def test_a_session_is_closed_once_and_for_all(api: httpx.AsyncClient, session: SessionId) -> None:
    answers = [await api.delete(f"/v1/sessions/{session}", params={"reason": "hired"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (await api.get(f"/v1/sessions/{session}")).json()["closed_reason"] == "hired"


@pytest.mark.parametrize(("method", "path", "body"), [("PUT", "/state", {"state": "processing"}), ("DELETE", "", None)])
async def test_a_transition_and_a_close_wait_for_the_running_turn(
    api: httpx.AsyncClient, world: World, session: SessionId, method: str, path: str, body: object
) -> None:
    world.change(engine_wait=timedelta(0))
    world.sessions.asked.clear()
    world.sessions.taking.clear()

    asking = asyncio.create_task(api.request(method, f"/v1/sessions/{session}{path}", json=body))
    await world.sessions.asked.wait()
    await api.get("/healthz")
    world.sessions.taking.set()

    assert (await asking).is_success


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/messages", None),
        ("GET", "/messages/m-1", None),
        ("GET", "/turns/1", None),
        ("GET", "/export", None),
        ("POST", "/messages", {"text": "hello"}),
        ("PUT", "/state", {"state": "processing"}),
        ("POST", "/cancel-turn", None),
        ("DELETE", "", None),
    ],
)
async def test_an_unknown_session_is_not_found(api: httpx.AsyncClient, method: str, path: str, body: object) -> None:
    answer = await api.request(method, f"/v1/sessions/nobody{path}", json=body)

    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no such session"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {**START, "session_id": "s-2"}),
        ("POST", "/s-1/messages", {"text": "hello"}),
        ("PUT", "/s-1/state", {"state": "processing"}),
        ("POST", "/s-1/cancel-turn", None),
        ("DELETE", "/s-1", None),
    ],
)
@pytest.mark.usefixtures("session")
async def test_calls_that_no_worker_takes_in_time_can_be_tried_again(
    api: httpx.AsyncClient, world: World, method: str, path: str, body: object
) -> None:
    world.take_nothing()

    answer = await api.request(method, f"/v1/sessions{path}", json=body)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["detail"] == "the engine is unavailable: no worker has answered in time"


class TestLists:
    @pytest.fixture(autouse=True)
    async def _sessions(self, api: httpx.AsyncClient) -> None:
        for number in range(7):
            given = {
                "definition": "greeter",
                "user_id": "ada" if number % 2 else "grace",
                "channel": "web" if number < 4 else "api",
                "session_id": f"s-{number}",
            }
            await api.post("/v1/sessions", json=given)

    async def test_a_list_is_paged_newest_first(self, api: httpx.AsyncClient) -> None:
        pages, query = [], {"limit": "3"}
        while True:
            page = (await api.get("/v1/sessions", params=query)).json()
            pages.append([each["session_id"] for each in page["sessions"]])
            if page["next"] is None:
                break
            query["cursor"] = page["next"]

        assert pages == [["s-6", "s-5", "s-4"], ["s-3", "s-2", "s-1"], ["s-0"]]

    async def test_a_list_shows_nothing_of_what_was_told(self, api: httpx.AsyncClient) -> None:
        page = (await api.get("/v1/sessions")).json()

        assert not {"slots", "context"} & page["sessions"][0].keys()

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"user_id": "ada"}, ["s-5", "s-3", "s-1"]),
            ({"user_id": "ada", "channel": "web"}, ["s-3", "s-1"]),
            ({"status": "closed"}, ["s-6"]),
            ({"status": "open", "channel": "api"}, ["s-5", "s-4"]),
            ({"state": "completed"}, []),
            ({"definition": "other"}, []),
        ],
    )
    async def test_a_list_is_filtered(self, api: httpx.AsyncClient, query: dict[str, str], found: list[str]) -> None:
        await api.delete("/v1/sessions/s-6")

        page = (await api.get("/v1/sessions", params=query)).json()

        assert [each["session_id"] for each in page["sessions"]] == found

    async def test_the_sessions_of_one_person_are_listed(self, api: httpx.AsyncClient) -> None:
        first = (await api.get("/v1/users/grace/sessions", params={"limit": 3})).json()
        rest = (await api.get("/v1/users/grace/sessions", params={"limit": 3, "cursor": first["next"]})).json()

        assert [each["session_id"] for each in first["sessions"]] == ["s-6", "s-4", "s-2"]
        assert [each["session_id"] for each in rest["sessions"]] == ["s-0"]

    async def test_a_person_never_seen_has_no_sessions(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/v1/users/nobody@example.org/sessions")).json() == {"sessions": [], "next": None}

    async def test_a_cursor_of_no_list_is_refused(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v1/sessions", params={"cursor": "made-up"})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "cursor"


async def test_an_erased_session_is_not_there_any_more(api: httpx.AsyncClient, session: SessionId) -> None:
    assert (await api.delete(f"/v1/sessions/{session}", params={"erase": True})).status_code == 204
    assert (await api.get(f"/v1/sessions/{session}")).status_code == 404
    assert (await api.delete(f"/v1/sessions/{session}", params={"erase": True})).status_code == 404


async def test_a_closed_session_can_be_erased(api: httpx.AsyncClient, session: SessionId) -> None:
    await api.delete(f"/v1/sessions/{session}")
    assert (await api.delete(f"/v1/sessions/{session}", params={"erase": True})).status_code == 204
    assert (await api.get(f"/v1/sessions/{session}")).status_code == 404
