"""Who may call what, on every route: they are taken from the app itself, so that a new one is among them."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse

from tertulia.api.access import Declared, allow, allow_house, anybody, declared
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import HOUSE, Scope
from tertulia.domain.ids import TenantId
from tests.api.whole import ACME, WholeApi, whole_api
from tests.fakes import InMemoryApiKeys

# What each route asks of its caller, as people are told (docs/api.md). A new route is missing here until it is added.
CHAT, OPERATE, ADMIN = Scope
EXPECTED: dict[str, str] = {
    "start_session": "chat",
    "list_sessions": "operate",
    "list_sessions_of_user": "chat",
    "read_session": "chat",
    "close_session": "chat",
    "change_state": "operate",
    "cancel_turn": "chat",
    "send_message": "chat",
    "send_resume": "chat",
    "list_messages": "chat",
    "read_receipt": "chat",
    "follow_session": "chat",
    "create_session_token": "chat",
    "read_turn": "operate",
    "export_session": "operate",
    "hand_over": "chat",
    "take_back": "operate",
    "say_as_operator": "operate",
    "undo": "chat",
    "regenerate": "chat",
    "edit_slot": "operate",
    "list_definitions": "chat",
    "create_job": "operate",
    "list_jobs": "operate",
    "read_job": "operate",
    "update_job": "operate",
    "close_job": "operate",
    "list_questions": "operate",
    "put_question": "operate",
    "delete_question": "operate",
    "suggest_questions": "operate",
    "list_candidates": "operate",
    "apply": "operate",
    "list_applications": "operate",
    "read_application": "operate",
    "give_answers": "operate",
    "move_application": "operate",
    "read_timeline": "operate",
    "read_profile": "operate",
    "update_profile": "operate",
    "erase_candidate": "operate",
    "upload_resume": "operate",
    "read_resume": "operate",
    "download_resume": "operate",
    "erase_resume": "operate",
    "verify_whatsapp": "signature",
    "receive_from_whatsapp": "signature",
    "receive_from_telegram": "signature",
    "list_deliveries": "operate",
    "list_providers": "operate of the house",
    "add_provider": "admin of the house",
    "update_provider": "admin of the house",
    "remove_provider": "admin of the house",
    "read_provider_status": "operate of the house",
    "read_provider_metrics": "operate",
    "decide_provider": "operate of the house",
    "read_provider_history": "operate of the house",
    "start_maintenance": "operate of the house",
    "end_maintenance": "operate of the house",
    "check_provider": "operate of the house",
    "read_budget": "operate",
    "set_budget": "admin of the house",
    "remove_budget": "admin of the house",
    "complete_chat": "chat",
    "list_models": "chat",
    "read_model": "chat",
    "create_key": "admin",
    "list_keys": "admin",
    "revoke_key": "admin",
    "read_metrics": "operate of the house",
    "check_alive": "anybody",
    "check_ready": "anybody",
    "explain_problem": "anybody",
    "read_funnel": "operate",
    "read_state_times": "operate",
    "read_slots": "operate",
    "read_knock_outs": "operate",
    "read_response_times": "operate",
    "read_volumes": "operate",
    "read_outcomes": "operate",
    "read_costs": "operate",
    "read_provider_success": "operate",
}


@pytest.fixture
async def api(database: str) -> AsyncIterator[WholeApi]:
    async with whole_api(database) as api:
        yield api


def at_nothing(route: Declared) -> str:
    """The path of a call about things that there are not."""
    return re.sub(r"\{turn\}", "1", route.path).replace("{", "no-").replace("}", "")


def told(route: Declared) -> str:
    if route.guard.signed:
        return "signature"
    if route.guard.scope is None:
        return "anybody"
    return f"{route.guard.scope}{' of the house' if route.guard.house else ''}"


def test_every_route_asks_what_people_are_told(api: WholeApi) -> None:
    assert {route.operation_id: told(route) for route in api.routes} == EXPECTED


async def test_without_a_key_nobody_gets_anywhere_that_asks_for_one(api: WholeApi) -> None:
    refused = {}
    for route in api.routes:
        answer = await api.call(route.method, at_nothing(route), None, api.example(route))
        refused[route.operation_id] = answer.status_code == 401
        if answer.status_code == 401:
            # OpenAI's protocol has its refusals one level deeper.
            assert answer.json().get("error", answer.json())["code"] == "unauthenticated"
            assert answer.headers["www-authenticate"] == "Bearer"

    assert refused == {route.operation_id: route.guard.scope is not None for route in api.routes}


@pytest.mark.parametrize("tenant", [HOUSE, ACME])
@pytest.mark.parametrize("scope", Scope)
async def test_a_key_opens_what_its_scope_and_its_tenant_include(api: WholeApi, scope: Scope, tenant: TenantId) -> None:
    opened = {}
    for route in api.routes:
        answer = await api.call(route.method, at_nothing(route), (tenant, scope), api.example(route))
        assert answer.status_code < 500, route
        opened[route.operation_id] = answer.status_code not in {401, 403}

    assert opened == {
        route.operation_id: route.guard.scope is None
        or (scope.includes(route.guard.scope) and (tenant == HOUSE or not route.guard.house))
        for route in api.routes
    }


@pytest.mark.parametrize(("scope", "status"), [(CHAT, 403), (OPERATE, 204)])
async def test_what_was_said_is_erased_by_operators_only(api: WholeApi, scope: Scope, status: int) -> None:
    body = {"definition": "greeter", "user_id": "ada", "session_id": "s-1"}
    await api.call("POST", "/v1/sessions", (ACME, CHAT), body)

    answer = await api.call("DELETE", "/v1/sessions/s-1?erase=true", (ACME, scope))

    assert answer.status_code == status


@pytest.mark.parametrize("body", [{"definition": "hiring"}, {"definition": "greeter", "role": "recruiter"}])
async def test_a_recruiters_session_is_opened_and_touched_by_operators_only(
    api: WholeApi, body: dict[str, str]
) -> None:
    body |= {"user_id": "eva", "session_id": "s-1"}
    refused = await api.call("POST", "/v1/sessions", (ACME, CHAT), body)
    opened = await api.call("POST", "/v1/sessions", (ACME, OPERATE), body)
    of_session = [route for route in api.routes if "{session_id}" in route.path and route.guard.scope is CHAT]
    touched = {
        (await api.call(route.method, at_nothing(route).replace("no-session_id", "s-1"), (ACME, CHAT))).status_code
        for route in of_session
    }
    by_name = {"model": "tertulia", "messages": [{"role": "user", "content": "Hi"}], "metadata": {"session_id": "s-1"}}
    completed = await api.call("POST", "/v1/chat/completions", (ACME, CHAT), by_name)
    listed = [
        (await api.call("GET", "/v1/users/eva/sessions", (ACME, scope))).json()["sessions"] for scope in (CHAT, OPERATE)
    ]
    token = (await api.call("POST", "/v1/sessions/s-1/token", (ACME, OPERATE))).json()["token"]
    with_token = await api.http.get("/v1/sessions/s-1", headers={"Authorization": f"Bearer {token}"})

    assert (refused.status_code, opened.status_code, touched, completed.status_code) == (403, 201, {403}, 403)
    assert [len(sessions) for sessions in listed] == [0, 1]
    assert (with_token.status_code, with_token.json()["role"]) == (200, "recruiter")


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer {key}0", "Bearer tertulia_", "Bearer \x00"]
)
async def test_what_is_no_key_opens_nothing(api: WholeApi, shown: str) -> None:
    header = shown.format(key=api.keys[ACME, ADMIN])

    answer = await api.http.get("/v1/keys", headers={"Authorization": header})

    assert answer.status_code == 401
    assert api.keys[ACME, ADMIN] not in answer.text


async def test_the_scheme_may_be_written_in_any_case(api: WholeApi) -> None:
    header = f"bearer {api.keys[ACME, ADMIN]}"

    assert (await api.http.get("/v1/keys", headers={"Authorization": header})).status_code == 200


async def test_where_no_keys_are_required_everybody_is_the_house(api: WholeApi) -> None:
    api.app.state.ports = replace(
        api.ports, doorkeeper=Doorkeeper(InMemoryApiKeys(), SessionTokens(None), required=False)
    )

    assert (await api.call("GET", "/v1/providers", None)).status_code == 200


@pytest.mark.parametrize("declaration", [None, "anybody", "allow"])
def test_an_app_with_a_route_that_does_not_say_who_may_call_it_is_not_made(declaration: str | None) -> None:
    router = APIRouter()
    dependencies = {None: [], "anybody": [anybody()], "allow": [allow(CHAT)]}[declaration]

    @router.get("/v1/new", dependencies=dependencies)
    async def new() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    if declaration:
        assert [route.path for route in declared(app)] == ["/v1/new"]
    else:
        with pytest.raises(TypeError, match="/v1/new does not say who may call it"):
            declared(app)


def test_a_page_that_is_no_call_of_the_api_has_to_be_known() -> None:
    app = FastAPI(openapi_url=None)
    app.add_route("/secret", lambda _: PlainTextResponse("secret"))

    with pytest.raises(TypeError, match="/secret does not say who may call it"):
        declared(app)


def test_of_a_routers_declaration_and_its_routes_the_stricter_counts() -> None:
    router = APIRouter(dependencies=[allow(OPERATE)])

    @router.get("/looser", dependencies=[allow(CHAT)])
    async def looser() -> None: ...

    @router.get("/stricter", dependencies=[allow_house(ADMIN)])
    async def stricter() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router)

    assert [told(route) for route in declared(app)] == ["operate", "admin of the house"]
