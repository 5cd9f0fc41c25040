"""One tenant's calls, with another tenant's ids, on every route: the answer is that of ids that nobody has."""

import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from tertulia.api.access import Declared
from tertulia.domain.access import HOUSE, Scope
from tertulia.domain.ids import TenantId
from tests.api.whole import ACME, OTHER, WholeApi, whole_api

# Stands in all that the tenant `acme` has.
CANARY = "canary"
BOSS = (ACME, Scope.ADMIN)

NOBODYS: Mapping[str, str] = {
    "session_id": "nobody-session",
    "message_id": "nobody-message",
    "turn": "1",
    "user_id": "nobody",
    "job_id": "nobody-job",
    "qid": "nobody_q",
    "slot": "nobody_slot",
    "application_id": "nobody-application",
    "key_id": "nobody-key",
    "tenant": "nobodys",
}
# These are of all tenants, and their calls tell nothing of one.
SHARED = {"name": "groq", "code": "refused", "secret": "guessed", "model": "tertulia"}


class Acme:
    """A tenant with one of everything.

    Attributes:
        ids: What its things are called, by the parameter of the path.
    """

    def __init__(self, api: WholeApi) -> None:
        self._api = api
        self.ids: dict[str, str] = {"tenant": ACME}

    async def settle(self) -> None:
        await self._do("POST", "/v1/jobs", title=f"{CANARY} job", job_id=f"{CANARY}-job")
        await self._do(
            "PUT", f"/v1/jobs/{CANARY}-job/questions/{CANARY}_q", text=f"{CANARY}?", type="text", required=False
        )
        await self._do(
            "POST", "/v1/sessions", definition="greeter", user_id=f"{CANARY}-ada", session_id=f"{CANARY}-session"
        )
        await self._do(
            "POST", f"/v1/sessions/{CANARY}-session/messages", text=f"I am {CANARY}", message_id=f"{CANARY}-message"
        )
        application = await self._do("POST", "/v1/applications", job_id=f"{CANARY}-job", user_id=f"{CANARY}-ada")
        address = f"/v1/applications/{application['application_id']}"
        await self._do("PATCH", f"{address}/answers", answers={f"{CANARY}_q": CANARY})
        await self._do("PATCH", f"/v1/candidates/{CANARY}-ada", name=f"{CANARY} Lovelace")
        await self._api.call(
            "PUT", f"/v1/candidates/{CANARY}-ada/resume", BOSS, content=f"Ada Lovelace, {CANARY}@example.org".encode()
        )
        key = await self._do("POST", "/v1/keys", name=CANARY, scope="chat")
        await self._api.call("PUT", f"/v1/tenants/{ACME}/budget", (HOUSE, Scope.ADMIN), {"daily_usd": "7.77"})
        self.ids |= {
            "session_id": f"{CANARY}-session",
            "message_id": f"{CANARY}-message",
            "turn": "1",
            "user_id": f"{CANARY}-ada",
            "job_id": f"{CANARY}-job",
            "qid": f"{CANARY}_q",
            "slot": f"{CANARY}_slot",
            "application_id": application["application_id"],
            "key_id": key["key_id"],
        }

    async def everything(self) -> dict[str, tuple[int, str]]:
        """What it sees when it reads all that it can; when a key was last used is written a moment later."""
        return {
            route.operation_id: (answer.status_code, _LAST_USED.sub("", answer.text))
            for route in self._api.routes
            if route.method == "GET" and route.path.startswith("/v1/") and not (route.guard.house or route.guard.signed)
            for answer in [await self._api.call("GET", path(route, self.ids), BOSS)]
        }

    async def _do(self, method: str, path: str, **body: object) -> dict[str, str]:
        answer = await self._api.call(method, path, BOSS, body)
        assert answer.is_success, answer.text
        found: dict[str, str] = answer.json()
        return found


_LAST_USED = re.compile(r'"last_used_at":("[^"]*"|null)')


def path(route: Declared, ids: Mapping[str, str]) -> str:
    """Fill in a path. A parameter that is not known here has to be added: whose things does it name?"""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda name: {**ids, **SHARED}[name[1]], route.path)


@pytest.fixture
async def api(database: str) -> AsyncIterator[WholeApi]:
    async with whole_api(database) as api:
        yield api


@pytest.fixture
async def acme(api: WholeApi) -> Acme:
    acme = Acme(api)
    await acme.settle()
    return acme


def without(answer: httpx.Response, ids: Mapping[str, str]) -> tuple[int, str]:
    """An answer, without the ids that were asked about, and without the time."""
    text = answer.text
    for name, value in ids.items():
        text = text.replace(value, f"<{name}>") if name != "turn" else text
    return answer.status_code, re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


async def test_the_tenant_itself_finds_all_of_it(api: WholeApi, acme: Acme) -> None:
    seen = await acme.everything()

    assert {name for name, (status, _) in seen.items() if status != 200} == set()
    silent = {
        "list_deliveries",
        "list_definitions",
        "read_provider_metrics",
        "read_budget",
        "follow_session",
        "list_models",
        "read_model",
    }
    # Figures count, and quote nobody; whose they are is tested where they are counted.
    silent |= {route.operation_id for route in api.routes if route.path.startswith("/v1/analytics/")}
    assert {name for name, (_, text) in seen.items() if CANARY not in text} - silent == set()


@pytest.mark.parametrize("intruder", [OTHER, HOUSE])
async def test_another_tenants_things_are_as_if_they_were_not(api: WholeApi, acme: Acme, intruder: TenantId) -> None:
    before = await acme.everything()
    who = (intruder, Scope.ADMIN)

    for route in api.routes:
        if intruder == HOUSE and (route.guard.house or route.operation_id == "read_budget"):
            continue  # The house runs what is shared, and keeps all tenants' budgets.
        body = api.example(route)
        at_theirs = await api.call(route.method, path(route, acme.ids), who, body)
        at_nothing = await api.call(route.method, path(route, NOBODYS), who, body)

        assert CANARY not in at_theirs.text.replace(acme.ids["user_id"], "<user_id>"), route
        if "{" in route.path:
            assert without(at_theirs, acme.ids) == without(at_nothing, NOBODYS), route
        if "{session_id}" in route.path:
            assert at_theirs.status_code == 404, route

    assert await acme.everything() == before


@pytest.mark.parametrize("intruder", [OTHER, HOUSE])
async def test_an_id_that_another_tenants_session_has_can_not_be_taken(
    api: WholeApi, acme: Acme, intruder: TenantId
) -> None:
    before = await acme.everything()
    body = {"definition": "greeter", "user_id": acme.ids["user_id"], "session_id": acme.ids["session_id"]}

    answer = await api.call("POST", "/v1/sessions", (intruder, Scope.CHAT), body)

    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert CANARY not in answer.text
    assert ACME not in answer.text
    assert await acme.everything() == before


async def test_who_comes_second_to_an_id_learns_nothing_of_the_first(
    api: WholeApi, acme: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the other tenant's session had opened between the look and the start.
    looks = iter([None])
    stored = api.ports.records.get

    async def not_yet(session_id: str) -> object:
        return next(looks, await stored(session_id))  # type: ignore[arg-type]

    monkeypatch.setattr(api.ports.records, "get", not_yet)
    body = {"definition": "greeter", "user_id": acme.ids["user_id"], "session_id": acme.ids["session_id"]}

    answer = await api.call("POST", "/v1/sessions", (OTHER, Scope.CHAT), body)

    assert (answer.status_code, CANARY in answer.text) == (409, False)


async def test_an_application_can_not_be_filled_in_by_another_tenants_session(api: WholeApi, acme: Acme) -> None:
    who = (OTHER, Scope.ADMIN)
    await api.call("POST", "/v1/jobs", who, {"title": "Engineer", "job_id": "j-1"})
    body = {"job_id": "j-1", "user_id": "eve"}

    theirs = await api.call("POST", "/v1/applications", who, {**body, "session_id": acme.ids["session_id"]})
    nobodys = await api.call("POST", "/v1/applications", who, {**body, "session_id": "nobody-session"})

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()


async def test_each_tenant_lists_its_own(api: WholeApi, acme: Acme) -> None:
    for tenant in (OTHER, HOUSE):
        body = {"definition": "greeter", "user_id": acme.ids["user_id"], "session_id": f"of-{tenant}"}
        assert (await api.call("POST", "/v1/sessions", (tenant, Scope.CHAT), body)).status_code == 201

    for address in ("/v1/sessions", f"/v1/users/{acme.ids['user_id']}/sessions"):
        for tenant, expected in {ACME: acme.ids["session_id"], OTHER: "of-other", HOUSE: "of-default"}.items():
            listed = (await api.call("GET", address, (tenant, Scope.OPERATE))).json()["sessions"]
            assert [session["session_id"] for session in listed] == [expected]


async def test_metrics_are_of_the_callers_tenant_and_the_houses_of_all(api: WholeApi) -> None:
    for tenant in (ACME, HOUSE):
        assert (await api.call("GET", "/v1/providers/metrics", (tenant, Scope.OPERATE))).status_code == 200

    assert api.ports.providers.tenants == [ACME, None]  # type: ignore[attr-defined]


async def test_a_tenant_reads_its_own_budget_and_can_not_change_it(api: WholeApi, acme: Acme) -> None:
    address = f"/v1/tenants/{ACME}/budget"

    assert (await api.call("GET", address, (ACME, Scope.OPERATE))).status_code == 200
    assert (await api.call("GET", address, (OTHER, Scope.OPERATE))).status_code == 404
    assert (await api.call("GET", address, (HOUSE, Scope.OPERATE))).status_code == 200
    assert (await api.call("PUT", address, BOSS, {"daily_usd": "1000"})).status_code == 403
    assert (await api.call("DELETE", address, BOSS)).status_code == 403


async def test_anothers_session_cannot_be_talked_in_by_openais_protocol(api: WholeApi, acme: Acme) -> None:
    def asked(session_id: str) -> dict[str, object]:
        return {
            "model": "tertulia",
            "messages": [{"role": "user", "content": "Hello"}],
            "metadata": {"session_id": session_id},
        }

    answers = [
        await api.call("POST", "/v1/chat/completions", (OTHER, Scope.ADMIN), asked(session_id))
        for session_id in (acme.ids["session_id"], NOBODYS["session_id"])
    ]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(404, "not_found")] * 2
