"""The life of a turn, on the real server."""

import asyncio
import gc
from datetime import UTC, datetime

import pytest

from tertulia.domain.conversation import Close, IncomingMessage, OpenSession, TransitionTo, TurnStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import FailureClass, InvalidInput, NotFound, SessionClosed, TransitionRefused
from tertulia.embedded.simulator import Answer, BlackHole, ProviderSimulator, Status
from tests.engine import Engine
from tests.recruiting_script import EXCHANGES, FINAL_STATE, final_slots


async def test_a_session_greets_and_answers(engine: Engine) -> None:
    chat = await engine.chat()
    reply = await chat.say("Hello there")
    assert reply.text == "You said: Hello there"
    assert (reply.turn, reply.status, reply.provider) == (1, TurnStatus.ANSWERED, "first")
    transcript = [(message.seq, message.turn, message.role, message.text) for message in await chat.transcript()]
    assert transcript == [
        (1, 0, "assistant", chat.opened.messages[0].text),
        (2, 1, "user", "Hello there"),
        (3, 1, "assistant", "You said: Hello there"),
    ]


async def test_the_sessions_of_a_worker_hold_their_definition_once(engine: Engine) -> None:
    # Other tests of this process may hold some.
    before = _definitions_held("support")
    for _ in range(4):
        assert (await (await engine.chat("support")).say("My name is Ada")).status is TurnStatus.ANSWERED
    # The activities hold one, too.
    assert _definitions_held("support") - before <= 2


def _definitions_held(name: str) -> int:
    gc.collect()
    return sum(type(each) is Definition and each.name == name for each in gc.get_objects())


async def test_the_same_message_id_sent_five_times_at_once_gets_one_turn(engine: Engine) -> None:
    chat = await engine.chat()
    replies = await asyncio.gather(*(chat.say("once", "m1") for _ in range(5)))
    assert len({reply.turn for reply in replies}) == 1
    assert len(await chat.transcript()) == 3


async def test_messages_of_different_ids_sent_at_once_are_answered_in_order_of_arrival(engine: Engine) -> None:
    chat = await engine.chat()
    replies = await asyncio.gather(*(chat.say(f"text {n}", f"m{n}") for n in range(5)))
    assert sorted(reply.turn for reply in replies) == [1, 2, 3, 4, 5]
    transcript = (await chat.transcript())[1:]
    for asked, answered in zip(transcript[::2], transcript[1::2], strict=True):
        assert answered.text == f"You said: {asked.text}"
    assert [reply.text for reply in replies] == [f"You said: text {n}" for n in range(5)]


async def test_a_refused_call_is_answered_by_the_next_provider(engine: Engine, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Status(code=401)])
    chat = await engine.chat()
    reply = await chat.say("Hello")
    assert (reply.provider, reply.status) == ("second", TurnStatus.ANSWERED)
    turn = await chat.turn(1)
    assert [(tried.provider, tried.failure) for tried in turn.tried] == [("first", FailureClass.AUTH), ("second", None)]
    assert [attempt.key.provider for attempt in turn.attempts] == ["first", "second"]


async def test_a_failing_provider_is_retried_before_the_next_is_asked(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Status(code=503), Answer(text="second time lucky")])
    reply = await (await engine.chat()).say("Hello")
    assert (reply.text, reply.provider) == ("second time lucky", "first")
    assert [exchange.model for exchange in simulator.log] == ["first"] * 2


async def test_a_retry_waits_as_long_as_the_provider_asks(engine: Engine, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Status(code=429, retry_after_s=2), Answer(text="now")])
    assert (await (await engine.chat()).say("Hello")).text == "now"
    refused, answered = simulator.log
    assert (answered.at - refused.at).total_seconds() >= 2


async def test_who_asks_for_more_than_our_patience_is_passed_over_at_once(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Status(code=429, retry_after_s=3600)])
    assert (await (await engine.chat()).say("Hello")).provider == "second"
    assert [exchange.model for exchange in simulator.log] == ["first", "second"]


async def test_when_all_fail_the_person_is_told_and_the_turn_can_be_tried_again(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    for name, attempts in {"first": 2, "second": 1, "third": 1}.items():
        simulator.script(name, [Status(code=500)] * attempts)
    chat = await engine.chat()
    failed = await chat.say("Hello")
    assert (failed.status, failed.provider, failed.next_action.kind) == (TurnStatus.FAILED, None, "retry")
    assert failed.text
    again = await chat.say("Hello")
    assert (again.status, again.text) == (TurnStatus.ANSWERED, "You said: Hello")


async def test_a_running_call_is_cancelled_and_the_session_goes_on(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await simulator.asked()
    assert await engine.sessions.cancel_turn(chat.id)
    reply = await sending
    assert (reply.status, reply.text) == (TurnStatus.CANCELLED, "")
    async with asyncio.timeout(20):
        await simulator.quiet()
    assert (await chat.say("again")).status is TurnStatus.ANSWERED
    assert not await engine.sessions.cancel_turn(chat.id)


async def test_a_closed_session_refuses_and_stays_readable(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.say("Hello")
    await engine.sessions.close(chat.id, Close(reason="done"))
    with pytest.raises(SessionClosed):
        await chat.say("one more")
    with pytest.raises(SessionClosed):
        await engine.sessions.open(chat.id, OpenSession(definition="assistant", user_id="somebody"))
    assert len(await chat.transcript()) == 3


@pytest.mark.parametrize("text", ["", " \n", "x" * 16_001])
async def test_an_unusable_message_is_refused_and_leaves_nothing(engine: Engine, text: str) -> None:
    chat = await engine.chat()
    with pytest.raises(InvalidInput):
        await chat.say(text)
    assert len(await chat.transcript()) == 1


async def test_a_whole_prescreen_needs_no_provider_that_works(engine: Engine, simulator: ProviderSimulator) -> None:
    for name in ("first", "second", "third"):
        simulator.always(name, Status(code=500))
    chat = await engine.chat("recruiting")
    for exchange in EXCHANGES:
        reply = await chat.say(exchange.answer)
    assert reply.state == FINAL_STATE
    (row,) = await engine.rows("select state, slots from sessions where session_id = $1", chat.id)
    assert row["state"] == FINAL_STATE
    assert row["slots"] == final_slots(datetime.now(UTC))
    assert not simulator.log


async def test_a_transition_by_hand_is_checked_against_the_definition(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    with pytest.raises(TransitionRefused) as refused:
        await engine.sessions.transition(chat.id, TransitionTo(state="completed"))
    assert "collecting_info" in refused.value.allowed
    view = await engine.sessions.transition(chat.id, TransitionTo(state="collecting_info", reason="known already"))
    assert view.state == "collecting_info"


async def test_a_message_can_be_taken_now_and_answered_later(engine: Engine) -> None:
    chat = await engine.chat()
    message_id = await engine.sessions.submit(chat.id, IncomingMessage(text="later"))
    reply = await chat.say("later", message_id)
    assert reply.text == "You said: later"


async def test_a_message_that_is_to_be_answered_later_is_refused_at_once(engine: Engine) -> None:
    chat = await engine.chat()
    for text in (" ", "x" * 16_001):
        with pytest.raises(InvalidInput):
            await engine.sessions.submit(chat.id, IncomingMessage(text=text))


async def test_a_message_that_was_answered_can_be_taken_again(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.say("hello", "m1")
    assert await engine.sessions.submit(chat.id, IncomingMessage(text="hello", message_id="m1")) == "m1"


async def test_a_session_of_an_unknown_definition_fails_clearly(engine: Engine) -> None:
    with pytest.raises(NotFound, match="no definition 'nonsense'"):
        await engine.chat("nonsense")
