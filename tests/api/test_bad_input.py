"""Whatever a client sends: a clear refusal as a problem, nothing of it said back, nothing half done."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tertulia.domain.ids import SessionId
from tests.api.conftest import World

JSON = {"Content-Type": "application/json"}
# Stands in every bad body, so that an echo of any part of it is found.
CANARY = "canary"

BODIES = {
    "not json": (b'{"text": canary', 400, "malformed_body"),
    "empty": (b"", 422, "invalid_input"),
    "not utf-8": (b'{"text": "canary \xff\xfe"}', 400, "malformed_body"),
    "nested too deep": (b'{"text": ' + b"[" * 100_000 + b'"canary"' + b"]" * 100_000 + b"}", 400, "malformed_body"),
    "a huge number": (b'{"canary": ' + b"9" * 10_000 + b"}", 400, "malformed_body"),
    "an array": (b'["canary"]', 422, "invalid_input"),
    "a string": (b'"canary"', 422, "invalid_input"),
    "null": (b"null", 422, "invalid_input"),
    "no text": (b'{"message_id": "canary"}', 422, "invalid_input"),
    "an unknown field": (b'{"text": "hello", "canary": 1}', 422, "invalid_input"),
    "an unknown field of half a surrogate pair": (b'{"text": "hello", "canary\\ud800": 1}', 422, "invalid_input"),
    "more than 1 MiB": (b'{"text": "canary' + b"a" * 2**20 + b'"}', 413, "body_too_large"),
}

TEXTS = {
    "empty": "",
    "blank": " \n\t \u2003 ",
    "a number": 7,
    "null": None,
    "an array": [CANARY],
    "an object": {CANARY: CANARY},
    "true": True,
    "too long": CANARY + "a" * 100_000,
    "NUL": f"{CANARY}\x00",
    "an escape sequence": f"{CANARY}\x1b[2J",
    "a bell": f"{CANARY}\x07",
    "a delete": f"{CANARY}\x7f",
    "half a surrogate pair": f"{CANARY}\ud800",
    "surrogates the wrong way round": f"{CANARY}\udc00\ud800",
}

IDS = {
    "empty": "",
    "huge": "a" * 100_000,
    "too long by one": "a" * 129,
    "a path": "../../canary",
    "a leading dot": ".canary",
    "a line break": "canary\n",
    "NUL": "canary\x00",
    "a space": "can ary",
    "not ASCII": "çanary",
    "a number": 7,
    "half a surrogate pair": "canary\ud800",
}

CONTEXTS = {
    "an array": [CANARY],
    "NUL in a value": {"a": {"b": [f"{CANARY}\x00"]}},
    "NUL in a key": {f"{CANARY}\x00": 1},
    "half a surrogate pair in a value": {"a": f"{CANARY}\ud800"},
    "half a surrogate pair in a key": {"a": {f"{CANARY}\ud800": 1}},
    "not a number": {CANARY: float("nan")},
    "infinity": {CANARY: [float("inf")]},
    "too long": {CANARY: "a" * 16_000},
}

NAMES = {
    "empty": "",
    "too long": CANARY * 30,
    "NUL": f"{CANARY}\x00",
    "a line break": f"{CANARY}\n",
    "a number": 7,
    "half a surrogate pair": f"{CANARY}\ud800",
}


async def post(api: httpx.AsyncClient, path: str, body: object) -> httpx.Response:
    """Post JSON that httpx would refuse to write."""
    return await api.post(path, content=json.dumps(body).encode(), headers=JSON)


def assert_refused(answer: httpx.Response, status: int = 422, code: str = "invalid_input") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{code}"
    assert CANARY not in answer.text


@pytest.fixture
def messages(session: SessionId) -> str:
    return f"/v1/sessions/{session}/messages"


@pytest.fixture(autouse=True)
def _nothing_gets_through(world: World) -> Iterator[None]:
    yield
    assert world.sessions.taken == []


@pytest.mark.parametrize(("content", "status", "code"), BODIES.values(), ids=BODIES)
async def test_a_body_that_is_no_message_is_refused(
    api: httpx.AsyncClient, messages: str, content: bytes, status: int, code: str
) -> None:
    assert_refused(await api.post(messages, content=content, headers=JSON), status, code)


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}]
)
async def test_a_body_that_does_not_say_it_is_json_is_refused(
    api: httpx.AsyncClient, messages: str, headers: dict[str, str]
) -> None:
    answer = await api.post(messages, content=b'{"text": "canary"}', headers=headers)

    assert_refused(answer, 415, "unsupported_media_type")


async def test_a_body_of_unknown_length_is_cut_off(api: httpx.AsyncClient, messages: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"text": "canary'
        for _ in range(64):
            yield b"a" * 65_536

    assert_refused(await api.post(messages, content=endless(), headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_a_text_that_can_not_be_used_is_refused(api: httpx.AsyncClient, messages: str, text: object) -> None:
    answer = await post(api, messages, {"text": text})

    assert_refused(answer)
    assert [error["field"] for error in answer.json()["errors"]] == ["body.text"]


async def test_control_characters_are_called_so(api: httpx.AsyncClient, messages: str) -> None:
    answer = await post(api, messages, {"text": "a\x00b"})

    assert answer.json()["errors"][0]["problem"] == "has control characters other than line breaks and tabs"


@pytest.mark.parametrize("odd", IDS.values(), ids=IDS)
async def test_an_id_that_can_not_be_one_is_refused(api: httpx.AsyncClient, messages: str, odd: object) -> None:
    assert_refused(await post(api, messages, {"text": "hello", "message_id": odd}))
    assert_refused(await post(api, "/v1/sessions", {"definition": "greeter", "user_id": "u", "session_id": odd}))
    assert_refused(await post(api, "/v1/sessions", {"definition": odd, "user_id": "u"}))


@pytest.mark.parametrize("key", ["", "can ary", "../canary", "canary" * 30, '"', "canary\udcff"])
async def test_an_idempotency_key_that_can_not_be_an_id_is_refused(
    api: httpx.AsyncClient, messages: str, key: str
) -> None:
    headers = {b"Idempotency-Key": key.encode("utf-8", "surrogateescape")}

    answer = await api.post(messages, json={"text": "hello"}, headers=headers)

    assert_refused(answer)


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
async def test_a_context_that_can_not_be_stored_is_refused(api: httpx.AsyncClient, context: object) -> None:
    answer = await post(api, "/v1/sessions", {"definition": "greeter", "user_id": "u", "context": context})

    assert_refused(answer)
    assert [error["field"] for error in answer.json()["errors"]] == ["body.context"]


@pytest.mark.parametrize("depth", [200, 900, 5_000])
async def test_a_context_of_any_depth_is_no_error_of_ours(api: httpx.AsyncClient, depth: int) -> None:
    context = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    body = b'{"definition": "greeter", "user_id": "u", "context": ' + context + b"}"

    answer = await api.post("/v1/sessions", content=body, headers=JSON)

    assert answer.status_code in {201, 400, 422}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("field", ["user_id", "channel", "role"])
async def test_a_name_that_can_not_be_used_is_refused(api: httpx.AsyncClient, field: str, name: object) -> None:
    answer = await post(api, "/v1/sessions", {"definition": "greeter", "user_id": "u", field: name})

    assert_refused(answer)
    assert answer.json()["errors"][0]["field"] == f"body.{field}"


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/sessions/{'canary' * 1000}",
        "/v1/sessions/can%20ary",
        "/v1/sessions/canary%00",
        "/v1/sessions/canary%0A",
        "/v1/sessions/%FF%FEcanary",
        "/v1/sessions/%F0%9F%92%A9canary/messages",
        "/v1/sessions/s-1/messages/can%20ary",
        "/v1/sessions/s-1/turns/canary",
        "/v1/sessions/s-1/turns/-1",
        "/v1/sessions/s-1/turns/1.5",
        "/v1/sessions/s-1/turns/99999999999999999999",
        "/v1/users/canary%00/sessions",
        f"/v1/users/{'canary' * 30}/sessions",
        "/v1/sessions/s-1/messages?after=-1",
        "/v1/sessions/s-1/messages?after=canary",
        "/v1/sessions/s-1/messages?after=99999999999",
        "/v1/sessions/s-1/messages?limit=0",
        "/v1/sessions/s-1/messages?limit=501",
        "/v1/sessions/s-1/messages?last=0",
        "/v1/sessions/s-1/messages?canary=1",
        "/v1/sessions?limit=0",
        "/v1/sessions?limit=201",
        "/v1/sessions?limit=canary",
        "/v1/sessions?status=canary",
        "/v1/sessions?state=can%20ary",
        "/v1/sessions?user_id=canary%00",
        "/v1/sessions?cursor=canary%00",
        "/v1/sessions?cursor=canary",
        f"/v1/sessions?cursor={'canary' * 1000}",
        "/v1/sessions?canary=1",
        "/v1/sessions/s-1?live=canary",
        "/v1/sessions/s-1/export?format=canary",
    ],
)
@pytest.mark.usefixtures("session")
async def test_an_address_that_can_not_be_used_is_refused(api: httpx.AsyncClient, path: str) -> None:
    assert_refused(await api.get(path))


@pytest.mark.parametrize(
    "body",
    [{}, {"state": ""}, {"state": "can ary"}, {"state": 7}, {"state": "processing", "reason": "canary" * 100}]
    + [{"state": "processing", "reason": f"canary{control}"} for control in ("\x00", "\n", "\ud800")]
    + [{"state": "processing", "canary": 1}],
)
async def test_a_transition_that_can_not_be_read_is_refused(
    api: httpx.AsyncClient, session: SessionId, body: object
) -> None:
    answer = await api.put(f"/v1/sessions/{session}/state", content=json.dumps(body).encode(), headers=JSON)

    assert_refused(answer)
    assert (await api.get(f"/v1/sessions/{session}")).json()["state"] == "onboarding"


@pytest.mark.parametrize("reason", ["", "canary" * 100, "canary\x00"])
async def test_a_close_with_a_bad_reason_is_refused(api: httpx.AsyncClient, session: SessionId, reason: str) -> None:
    assert_refused(await api.delete(f"/v1/sessions/{session}", params={"reason": reason}))
    assert (await api.get(f"/v1/sessions/{session}")).json()["status"] == "open"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/canary", "/v2/sessions", "/docs/static/canary.js", "/v1/users/a/b/sessions"]
)
async def test_an_unknown_address_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    assert_refused(await api.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/sessions", {"GET", "POST"}),
        ("DELETE", "/v1/sessions/s-1/messages", {"GET", "POST"}),
        ("POST", "/v1/sessions/s-1/state", {"PUT"}),
        ("GET", "/v1/sessions/s-1/cancel-turn", {"POST"}),
        ("POST", "/healthz", {"GET"}),
        ("CANARY", "/v1/definitions", {"GET"}),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    api: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await api.request(method, path)

    assert_refused(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
