"""What people in the loop ask for by HTTP."""

from typing import Any

import httpx
import pytest

from tertulia.domain.conversation import EditSlot, HandOverToHuman, OperatorMessage, Order, Regenerate, TakeBack, Undo
from tertulia.domain.errors import ActionRefused
from tertulia.domain.ids import SessionId

from .conftest import World

ORDERS: list[tuple[str, str, dict[str, Any], Order]] = [
    ("POST", "undo", {"operator": "eva", "request_id": "k"}, Undo(operator="eva", request_id="k")),
    ("POST", "regenerate", {"request_id": "k"}, Regenerate(request_id="k")),
    (
        "PUT",
        "slots/email",
        {"value": "ada@example.org", "operator": "eva", "request_id": "k"},
        EditSlot(slot="email", value="ada@example.org", operator="eva", request_id="k"),
    ),
    (
        "PUT",
        "slots/tags",
        {"value": ["a", 1, None], "request_id": "k"},
        EditSlot(slot="tags", value=["a", 1, None], request_id="k"),
    ),
    (
        "POST",
        "hand-over",
        {"reason": "they are upset", "operator": "eva", "request_id": "k"},
        HandOverToHuman(reason="they are upset", operator="eva", request_id="k"),
    ),
    ("POST", "take-back", {"state": "filed", "request_id": "k"}, TakeBack(state="filed", request_id="k")),
    (
        "POST",
        "operator-messages",
        {"text": "Hello!\nIt's Eva.", "message_id": "k", "operator": "eva"},
        OperatorMessage(text="Hello!\nIt's Eva.", request_id="k", operator="eva"),
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "order"), ORDERS, ids=[path for _, path, *_ in ORDERS])
async def test_an_order_reaches_the_session_and_is_answered_with_the_outcome_of_its_turn(
    api: httpx.AsyncClient, world: World, session: SessionId, method: str, path: str, body: dict[str, Any], order: Order
) -> None:
    answer = await api.request(method, f"/v1/sessions/{session}/{path}", json=body)
    assert answer.status_code == 200
    assert answer.json() == {
        "session_id": session,
        "request_id": "k",
        "turn": 1,
        "status": "answered",
        "reply": f"{order.action} done",
        "state": "onboarding",
        "next_action": {"kind": "answer", "slot": "name", "type": "text", "choices": []},
        "provider": None,
        "owner": "human",
    }
    assert world.sessions.orders == [order]


@pytest.mark.parametrize(("method", "path", "body", "order"), ORDERS, ids=[path for _, path, *_ in ORDERS])
async def test_the_id_of_an_order_may_stand_in_the_header(
    api: httpx.AsyncClient, world: World, session: SessionId, method: str, path: str, body: dict[str, Any], order: Order
) -> None:
    without = {name: value for name, value in body.items() if value != "k"}
    for key in ("k", '"k"'):
        await api.request(method, f"/v1/sessions/{session}/{path}", json=without, headers={"Idempotency-Key": key})
    assert world.sessions.orders == [order, order]


async def test_an_order_without_an_id_gets_one(api: httpx.AsyncClient, world: World, session: SessionId) -> None:
    answer = await api.post(f"/v1/sessions/{session}/hand-over", json={})
    assert answer.json()["request_id"] == world.sessions.orders[0].request_id


async def test_an_order_that_does_not_fit_says_what_does(
    api: httpx.AsyncClient, world: World, session: SessionId
) -> None:
    world.sessions.order_refusal = ActionRefused("the bot has the session", ["hand_over"])
    answer = await api.post(f"/v1/sessions/{session}/operator-messages", json={"text": "Hello"})
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["allowed"]) == ("action_refused", ["hand_over"])
    assert problem["detail"] == "the bot has the session"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("hand-over", {"reason": ""}),
        ("hand-over", {"reason": "a\nb"}),
        ("hand-over", {"why": "no such field"}),
        ("take-back", {"state": "no state!"}),
        ("operator-messages", {}),
        ("operator-messages", {"text": " "}),
        ("operator-messages", {"text": "Hello", "operator": "x" * 129}),
    ],
)
async def test_what_can_not_be_used_is_refused_before_the_engine(
    api: httpx.AsyncClient, world: World, session: SessionId, path: str, body: dict[str, Any]
) -> None:
    answer = await api.post(f"/v1/sessions/{session}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert world.sessions.orders == []


async def test_nobody_takes_over_what_is_not_there(api: httpx.AsyncClient) -> None:
    assert (await api.post("/v1/sessions/none/hand-over", json={})).status_code == 404


@pytest.mark.parametrize("path", ["undo", "regenerate"])
async def test_what_needs_no_words_needs_no_body(
    api: httpx.AsyncClient, world: World, session: SessionId, path: str
) -> None:
    answer = await api.post(f"/v1/sessions/{session}/{path}")
    assert answer.status_code == 200
    assert [order.action for order in world.sessions.orders] == [path]


@pytest.mark.parametrize(
    "body",
    [b'{"value": NaN}', b'{"value": "\\u0000"}', b'{"value": "\\ud800"}', b'{"value": "%s"}' % (b"x" * 100_001), b"{}"],
)
async def test_a_value_that_can_not_be_stored_is_refused(
    api: httpx.AsyncClient, world: World, session: SessionId, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.put(f"/v1/sessions/{session}/slots/name", content=body, headers=headers)
    assert (answer.status_code, world.sessions.orders) == (422, [])
