"""Tokens for a candidate's browser: one session, some minutes, and what the scope chat may do there."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr
from structlog.testing import capture_logs

from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.session_tokens import LIFETIME, Grant, SessionTokens
from tertulia.domain.access import HOUSE, KeyId, Scope
from tertulia.domain.ids import SessionId
from tests.api.test_access import at_nothing
from tests.api.whole import ACME, OTHER, WholeApi, whole_api
from tests.fakes import NOON, InMemoryApiKeys

GRANT = Grant(ACME, SessionId("s-1"), KeyId("key-1"))


def secret(letter: str) -> str:
    return base64.b64encode(letter.encode() * 32).decode()


def tokens(*letters: str) -> SessionTokens:
    return SessionTokens(SecretStr(",".join(secret(letter) for letter in letters)))


@pytest.fixture
async def api(database: str) -> AsyncIterator[WholeApi]:
    async with whole_api(database) as api:
        for session_id in ("s-1", "s-2"):
            body = {"definition": "greeter", "user_id": "ada", "session_id": session_id, "context": {"note": "canary"}}
            assert (await api.call("POST", "/v1/sessions", (ACME, Scope.CHAT), body)).status_code == 201
        yield api


async def token_for(api: WholeApi, session_id: str = "s-1", scope: Scope = Scope.ADMIN) -> str:
    answer = await api.call("POST", f"/v1/sessions/{session_id}/token", (ACME, scope))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- as such ----------------------------------------------------------------------------------------------------------


def test_a_token_says_what_it_was_issued_for_until_its_time_is_over() -> None:
    ours = tokens("a")
    token = ours.issue(GRANT, NOON)

    assert ours.read(token, NOON) == GRANT
    assert ours.read(token, NOON + LIFETIME - timedelta(seconds=1)) == GRANT
    assert ours.read(token, NOON + LIFETIME + timedelta(seconds=1)) is None


def test_a_new_key_is_put_in_front_while_tokens_of_the_old_one_still_count() -> None:
    of_old = tokens("a").issue(GRANT, NOON)

    assert tokens("b", "a").read(of_old, NOON) == GRANT
    assert tokens("b").read(of_old, NOON) is None
    assert tokens("b").read(tokens("b", "a").issue(GRANT, NOON), NOON) == GRANT


def test_without_a_key_each_process_has_one_of_its_own() -> None:
    one, other = SessionTokens(None), SessionTokens(None)

    assert one.read(one.issue(GRANT, NOON), NOON) == GRANT
    assert other.read(one.issue(GRANT, NOON), NOON) is None


def in_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


ODD_HEADERS = ['{"alg":"HS256","crit":5}', '"alg"', "[]", "null", '{"alg":["HS256"]}', '{"alg":"HS256","kid":{}}']


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "e30.e30.e30",
        "\x00.\x00.\x00",
        *(f"{in_base64(head)}.e30.x" for head in ODD_HEADERS),
    ],
)
def test_what_is_no_token_says_nothing(forged: str) -> None:
    assert tokens("a").read(forged, NOON) is None


def test_a_token_that_somebody_else_wrote_says_nothing() -> None:
    ours = tokens("a")
    header, claims, signature = ours.issue(GRANT, NOON).split(".")
    key = OctKey.import_key(base64.b64decode(secret("a")))
    good = {"aud": "tertulia/session", "sub": "s-1", "tenant": ACME, "key": None, "exp": int(NOON.timestamp()) + 60}

    assert ours.read(f"{header}.{claims}.{signature[:-2]}AA", NOON) is None
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert ours.read(f"{unsigned}.{claims}.", NOON) is None
    # The secret key itself does not sign.
    assert ours.read(jwt.encode({"alg": "HS256"}, good, key), NOON) is None


def test_a_token_of_the_same_key_for_another_purpose_says_nothing() -> None:
    ours = tokens("a")
    claims = {"aud": "another", "sub": "s-1", "tenant": ACME, "key": None, "exp": int(NOON.timestamp()) + 60}
    token = jwt.encode({"alg": "HS256", "kid": ours._signing.kid}, claims, ours._signing)

    assert ours.read(token, NOON) is None


# --- at the API -------------------------------------------------------------------------------------------------------


async def test_a_token_talks_and_reads_in_its_session(api: WholeApi) -> None:
    headers = shown(await token_for(api))

    sent = await api.http.post("/v1/sessions/s-1/messages", json={"text": "Ada"}, headers=headers)
    read = await api.http.get("/v1/sessions/s-1/messages", headers=headers)
    session = await api.http.get("/v1/sessions/s-1", headers=headers)

    assert (sent.status_code, read.status_code, session.status_code) == (200, 200, 200)
    assert "canary" not in session.text  # what the backend gave the session along is not the browser's


async def test_a_token_opens_the_calls_of_its_session_and_nothing_else(api: WholeApi) -> None:
    headers = shown(await token_for(api))
    opened = {}
    for route in api.routes:
        path = at_nothing(route).replace("no-session_id", "s-1")
        answer = await api.http.request(route.method, path, headers=headers, json=api.example(route))
        opened[route.operation_id] = answer.status_code not in {401, 403}

    assert opened == {
        route.operation_id: route.guard.scope is None
        or (route.guard.scope is Scope.CHAT and "{session_id}" in route.path)
        for route in api.routes
    }


async def test_another_session_of_the_same_person_is_not_there(api: WholeApi) -> None:
    headers = shown(await token_for(api))

    for path in ("/v1/sessions/s-2", "/v1/sessions/s-2/messages", "/v1/sessions/nobodys"):
        assert (await api.http.get(path, headers=headers)).status_code == 404


async def test_a_token_makes_its_successor_and_none_for_another_session(api: WholeApi) -> None:
    headers = shown(await token_for(api))

    renewed = await api.http.post("/v1/sessions/s-1/token", headers=headers)
    elsewhere = await api.http.post("/v1/sessions/s-2/token", headers=headers)

    assert (renewed.status_code, elsewhere.status_code) == (200, 404)
    again = await api.http.get("/v1/sessions/s-1", headers=shown(renewed.json()["token"]))
    assert again.status_code == 200


async def test_no_key_makes_a_token_for_another_tenants_session(api: WholeApi) -> None:
    for tenant in (OTHER, HOUSE):
        assert (await api.call("POST", "/v1/sessions/s-1/token", (tenant, Scope.ADMIN))).status_code == 404


async def test_a_token_ends_with_its_time(api: WholeApi) -> None:
    headers = shown(await token_for(api))
    api.app.state.ports = replace(api.ports, now=lambda: NOON + LIFETIME + timedelta(seconds=1))

    assert (await api.http.get("/v1/sessions/s-1", headers=headers)).status_code == 401


async def test_a_token_ends_with_the_key_that_it_comes_from(api: WholeApi) -> None:
    headers = shown(await token_for(api, scope=Scope.CHAT))
    assert (await api.http.get("/v1/sessions/s-1", headers=headers)).status_code == 200
    keys = (await api.call("GET", "/v1/keys", (ACME, Scope.ADMIN))).json()["keys"]
    chat = next(key["key_id"] for key in keys if key["scope"] == "chat")

    await api.call("DELETE", f"/v1/keys/{chat}", (ACME, Scope.ADMIN))

    assert (await api.http.get("/v1/sessions/s-1", headers=headers)).status_code == 401


async def test_an_event_source_shows_a_token_in_its_address_and_it_reaches_no_log(api: WholeApi) -> None:
    token = await token_for(api)

    with capture_logs() as logs:
        events = await api.http.get("/v1/sessions/s-1/events", params={"access_token": token, "from": "now"})
        messages = await api.http.get("/v1/sessions/s-1/messages", params={"limit": 5, "access_token": token})

    assert (events.status_code, messages.status_code) == (200, 200)
    assert token.split(".")[2] not in str(logs)


async def test_a_key_is_not_taken_from_an_address_nor_a_token_for_anything_but_reading(api: WholeApi) -> None:
    key, token = api.keys[ACME, Scope.CHAT], await token_for(api)
    message = {"text": "Ada"}

    assert (await api.http.get("/v1/sessions/s-1", params={"access_token": key})).status_code == 401
    written = await api.http.post("/v1/sessions/s-1/messages", json=message, params={"access_token": token})
    assert written.status_code == 401


async def test_where_no_keys_are_required_a_token_can_be_had_all_the_same(api: WholeApi) -> None:
    doorkeeper = Doorkeeper(InMemoryApiKeys(), SessionTokens(None), required=False)
    api.app.state.ports = replace(api.ports, doorkeeper=doorkeeper)
    body = {"definition": "greeter", "user_id": "ada", "session_id": "s-3"}
    await api.call("POST", "/v1/sessions", None, body)

    assert (await api.call("POST", "/v1/sessions/s-3/token", None)).status_code == 200
