"""Signals as any client may send them: plain JSON, or anything at all."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from tertulia.domain.conversation import SessionView
from tests.engine import Chat, Engine


async def _view(chat: Chat) -> SessionView:
    return await chat.engine.sessions.view(chat.id)


async def test_a_signal_in_plain_json_gets_its_turn(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.workflow.signal("message", {"text": "hello"})
    await chat.workflow.signal("close")
    await chat.workflow.result()
    assert [message.text for message in await chat.transcript()][1:] == ["hello", "You said: hello"]


async def test_signals_and_updates_share_one_inbox_and_its_ids(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.workflow.signal("message", {"text": "hello", "message_id": "m1"})
    reply = await chat.say("hello", "m1")
    await chat.workflow.signal("message", {"text": "hello", "message_id": "m1"})
    after = await chat.say("next")
    assert (reply.turn, after.turn) == (1, 2)


MALFORMED: list[tuple[str, list[Any]]] = [
    ("message", []),
    ("message", [{"text": "one"}, {"text": "too many"}]),
    ("message", ["a bare text"]),
    ("message", [None]),
    ("message", [{"text": 7}]),
    ("message", [{"txt": "secret words"}]),
    ("message", [{"text": ""}]),
    ("message", [{"text": "x" * 20_000}]),
    ("message", [{"text": "hello", "message_id": "not an id!"}]),
    ("message", [RawValue(Payload(data=b"{broken", metadata={"encoding": b"json/plain"}))]),
    ("message", [RawValue(Payload(data=b"\xff\xfe", metadata={"encoding": b"binary/unheard-of"}))]),
    ("message", [RawValue(Payload())]),
    ("close", [{"reason": ["no text"]}]),
    ("transition", []),
    ("no such signal", [{"text": "hello"}]),
]


@pytest.mark.parametrize(("name", "payloads"), MALFORMED, ids=range(len(MALFORMED)))
async def test_a_malformed_signal_is_recorded_and_harms_nothing(engine: Engine, name: str, payloads: list[Any]) -> None:
    chat = await engine.chat()
    await chat.workflow.signal(name, args=payloads)
    assert (await chat.say("still here?")).text == "You said: still here?"
    (refused,) = (await _view(chat)).refused_signals
    assert refused.name == name
    assert refused.reason
    assert "secret" not in refused.reason


async def test_a_session_can_be_closed_by_signal(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.workflow.signal("close", {"reason": "enough"})
    await chat.workflow.result()
    (row,) = await engine.rows("select status, closed_reason from sessions where session_id = $1", chat.id)
    assert tuple(row) == ("closed", "enough")
