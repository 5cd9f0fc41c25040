"""A human takes a session over, talks to the person, and gives it back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

import worker
from activities.errands import ErrandOrder
from tertulia.domain.conversation import (
    Action,
    Attachment,
    Close,
    HandOverToHuman,
    IncomingMessage,
    Intervention,
    NextAction,
    OperatorMessage,
    Order,
    Owner,
    Reply,
    Role,
    SessionView,
    TakeBack,
    TransitionTo,
    TurnStatus,
)
from tertulia.domain.errands import Outcome
from tertulia.domain.errors import ActionRefused, InvalidInput, SessionClosed, TransitionRefused
from tertulia.domain.ids import MessageId
from tertulia.domain.recruiting.media_types import PDF
from tertulia.domain.slots import document_of_file
from tertulia.embedded.simulator import BlackHole, ProviderSimulator
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.turns import PostgresTurns
from tests.engine import Chat, Engine
from tests.storage.examples import end

OUTAGE = "Nobody can sign in since this morning, it's an outage. ana@example.org"


async def _ordered(chat: Chat, order: Order) -> Reply:
    return await chat.engine.sessions.order(chat.id, order)


async def _view(chat: Chat) -> SessionView:
    return await chat.engine.sessions.view(chat.id)


async def _spoken(chat: Chat) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in await chat.transcript() if message.turn > 0]


class SlowErrands:
    """Errands that are done when they may be."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    @activity.defn
    async def run_errand(self, order: ErrandOrder) -> Outcome:
        self.begun.set()
        await self.may_end.wait()
        return Outcome(said="nothing")


@pytest.fixture
def slow_errands(monkeypatch: pytest.MonkeyPatch) -> SlowErrands:
    errands = SlowErrands()
    monkeypatch.setattr(worker, "Errands", lambda *_ports: errands)
    return errands


async def test_the_bot_is_silent_where_somebody_takes_over_while_an_errand_is_run(
    slow_errands: SlowErrands, engine: Engine
) -> None:
    chat = await engine.chat("recruiting")
    question = (await chat.say("Ana López")).text
    asking = asyncio.create_task(chat.say("Which jobs are open?"))
    await slow_errands.begun.wait()

    await chat.workflow.signal("hand_over")
    slow_errands.may_end.set()
    reply = await asking
    taken_back = await _ordered(chat, TakeBack())

    assert (reply.status, reply.text) == (TurnStatus.HANDED_OVER, "")
    assert taken_back.text in question


async def test_while_a_human_has_the_session_messages_are_kept_and_the_bot_is_silent(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    chat = await engine.chat()
    taken = await _ordered(chat, HandOverToHuman(reason="it is delicate", operator="eva"))
    assert (taken.status, taken.text, taken.owner) == (TurnStatus.ANSWERED, "", Owner.HUMAN)
    kept = await chat.say("Is anybody there?", "m1")
    assert (kept.status, kept.text, kept.owner) == (TurnStatus.HANDED_OVER, "", Owner.HUMAN)
    assert kept.next_action == NextAction(kind="talk")
    await _ordered(chat, OperatorMessage(text="Yes, I am Eva.", operator="eva"))
    await chat.say("Good!", "m2")
    assert await _spoken(chat) == [
        (Role.USER, "Is anybody there?"),
        (Role.OPERATOR, "Yes, I am Eva."),
        (Role.USER, "Good!"),
    ]
    assert (await chat.turn(2)).status == TurnStatus.HANDED_OVER
    assert not simulator.log


async def test_a_session_that_is_taken_back_goes_on_with_its_open_question(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    question = chat.opened.messages[-1].text.splitlines()[-1]
    await _ordered(chat, HandOverToHuman())
    await chat.say("Ada Lovelace")
    back = await _ordered(chat, TakeBack(operator="eva"))
    assert (back.text, back.owner, back.state) == (question, Owner.BOT, chat.opened.state)
    assert back.next_action == chat.opened.next_action
    view = await _view(chat)
    assert (view.owner, view.hand_over, view.slots) == (Owner.BOT, None, {})
    assert (await chat.say("Ada Lovelace")).next_action.slot != "name"


async def test_a_call_under_way_is_stopped_by_a_human_and_its_answer_is_never_shown(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("Hello"))
    await simulator.asked()
    taken = await _ordered(chat, HandOverToHuman())
    stopped = await sending
    assert (stopped.turn, stopped.status, stopped.text) == (1, TurnStatus.HANDED_OVER, "")
    assert (taken.turn, taken.owner) == (2, Owner.HUMAN)
    assert await _spoken(chat) == [(Role.USER, "Hello")]


async def test_messages_that_wait_when_a_human_takes_over_are_for_the_human(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [BlackHole()])
    chat = await engine.chat()
    sending = [asyncio.create_task(chat.say("one"))]
    await simulator.asked()
    await chat.workflow.signal("message", {"text": "two", "message_id": "m2"})
    await _ordered(chat, HandOverToHuman())
    assert (await chat.say("two", "m2")).status is TurnStatus.HANDED_OVER
    await asyncio.gather(*sending)
    assert await _spoken(chat) == [(Role.USER, "one"), (Role.USER, "two")]


async def test_who_takes_over_finds_the_context(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await _ordered(chat, HandOverToHuman(reason="the candidate called", operator="eva"))
    record = await PostgresSessionRecords(engine.pool).get(chat.id)
    assert record
    assert record.owner is Owner.HUMAN
    context = record.hand_over
    assert context
    assert context == (await _view(chat)).hand_over
    assert (context.reason, context.cause, context.operator) == ("the candidate called", "operator", "eva")
    assert (context.state, context.turn, context.slots) == (record.state, 2, record.slots)
    assert context.asking == context.still_to_ask[0] == "email"
    last = await engine.transcripts.messages(chat.id, after=context.messages_after)
    assert "Ada Lovelace" in [message.text for message in last]
    intervention = (await chat.turn(2)).intervention
    assert intervention
    assert (intervention.action, intervention.operator, intervention.cause) == ("hand_over", "eva", "operator")


async def test_a_file_that_comes_while_a_human_has_the_session_is_taken_and_not_asked_for_afterwards(
    engine: Engine,
) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await _ordered(chat, HandOverToHuman())
    file = Attachment(media_type=PDF, size_bytes=2048, facts={"email": "ada@example.org", "name": "Somebody Else"})
    sent = await engine.sessions.send(chat.id, IncomingMessage(text="[a file]", message_id="f", attachment=file))
    assert (sent.status, sent.text, sent.owner) == (TurnStatus.HANDED_OVER, "", Owner.HUMAN)
    slots = (await _view(chat)).slots
    assert slots == {"name": "Ada Lovelace", "email": "ada@example.org", "resume": document_of_file(PDF, 2048)}
    taken_back = await _ordered(chat, TakeBack())
    assert taken_back.text == "And what is your phone number, with the country code?"


async def test_support_hands_over_by_its_rule_and_goes_on_where_the_human_says(engine: Engine) -> None:
    chat = await engine.chat("support")
    await chat.say(OUTAGE)
    await chat.say("website and e-mail")
    await chat.say("Madrid")
    handed = await chat.say("today")
    assert (handed.state, handed.owner, handed.status) == ("with_colleague", Owner.HUMAN, TurnStatus.ANSWERED)
    assert "a colleague takes over" in handed.text
    context = (await _view(chat)).hand_over
    assert context
    assert (context.cause, context.slots["topic"]) == ("rule", "outage")
    assert (await chat.say("Hello?")).status is TurnStatus.HANDED_OVER
    with pytest.raises(TransitionRefused) as refused:
        await _ordered(chat, TakeBack())
    assert set(refused.value.allowed) >= {"filed", "withdrawn"}
    filed = await _ordered(chat, TakeBack(state="filed"))
    assert (filed.state, filed.owner) == ("filed", Owner.BOT)
    assert "I have filed your request" in filed.text


async def test_a_person_who_asks_for_a_human_gets_one(engine: Engine) -> None:
    chat = await engine.chat("support")
    handed = await chat.say("I want to talk to a human")
    assert (handed.state, handed.owner) == ("with_colleague", Owner.HUMAN)
    context = (await _view(chat)).hand_over
    assert context
    assert context.cause == "person"


async def test_a_transition_while_a_human_has_the_session_is_made_in_silence(engine: Engine) -> None:
    chat = await engine.chat("support")
    await chat.say("I want to talk to a human")
    view = await engine.sessions.transition(chat.id, TransitionTo(state="filed", operator="eva"))
    assert (view.state, view.owner) == ("filed", Owner.HUMAN)
    assert (await _spoken(chat))[-1][1].startswith("One moment please")
    closed = asyncio.create_task(_ordered(chat, TakeBack()))
    assert (await closed).owner is Owner.BOT


async def test_what_does_not_fit_who_has_the_session_is_refused_with_what_does(engine: Engine) -> None:
    chat = await engine.chat()
    for order in (TakeBack(), OperatorMessage(text="Hello")):
        with pytest.raises(ActionRefused) as refused:
            await _ordered(chat, order)
        assert "hand_over" in refused.value.allowed
        assert order.action not in refused.value.allowed
    await _ordered(chat, HandOverToHuman())
    with pytest.raises(ActionRefused) as refused:
        await _ordered(chat, HandOverToHuman())
    assert {"take_back", "operator_message"} <= set(refused.value.allowed)
    assert (await _view(chat)).turn == 1


async def test_an_order_is_carried_out_once_however_often_it_comes(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    order = HandOverToHuman(request_id="h1")
    first, second = await asyncio.gather(_ordered(chat, order), _ordered(chat, order))
    said = OperatorMessage(text="Hello", request_id="o1")
    await _ordered(chat, said)
    await _ordered(chat, TakeBack(request_id="b1"))
    assert first == second == await _ordered(chat, order)
    assert await _ordered(chat, said) == await _ordered(chat, said)
    assert await _spoken(chat) == [(Role.OPERATOR, "Hello")]
    view = await _view(chat)
    assert (view.owner, view.turn) == (Owner.BOT, 3)


async def test_an_order_that_the_session_has_forgotten_is_found_in_storage(engine: Engine) -> None:
    chat = await engine.chat()
    first = await _ordered(chat, HandOverToHuman(request_id="h1"))
    for number in range(60):
        await _ordered(chat, OperatorMessage(text=f"text {number}"))
    assert await _ordered(chat, HandOverToHuman(request_id="h1")) == first


async def test_a_human_has_the_session_in_its_next_run_as_well(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    await _ordered(chat, HandOverToHuman(reason="a long talk", operator="eva"))
    for number in range(4):
        assert (await chat.say(f"text {number}")).status is TurnStatus.HANDED_OVER
    view = await _view(chat)
    assert view.owner is Owner.HUMAN
    assert view.hand_over
    assert (view.hand_over.reason, view.reminder_at, view.expires_at) == ("a long talk", None, None)
    assert (await _ordered(chat, TakeBack())).owner is Owner.BOT
    assert (await chat.say("hello")).text.endswith("hello")


async def test_timers_stand_still_while_a_human_has_the_session_and_go_on_from_when_it_is_taken_back(
    engine: Engine,
) -> None:
    chat = await engine.chat("support")
    before = await _view(chat)
    assert before.reminder_at
    await _ordered(chat, HandOverToHuman())
    held = await _view(chat)
    assert (held.reminder_at, held.expires_at) == (None, None)
    await _ordered(chat, TakeBack())
    after = await _view(chat)
    assert after.reminder_at
    assert after.reminder_at > before.reminder_at


async def test_what_operators_do_can_be_sent_as_signals(engine: Engine) -> None:
    chat = await engine.chat()
    await chat.workflow.signal("take_back")
    await chat.workflow.signal("hand_over", {"reason": "by signal"})
    await chat.workflow.signal("operator_message", {"text": "Hello", "message_id": "o1"})
    await chat.workflow.signal("operator_message", {"text": "Hello", "message_id": "o1"})
    await chat.workflow.signal("operator_message", {"text": " "})
    await chat.workflow.signal("take_back")
    assert (await chat.say("hello")).text == "You said: hello"
    assert (await _spoken(chat))[0] == (Role.OPERATOR, "Hello")
    refused = [(signal.name, signal.reason) for signal in (await _view(chat)).refused_signals]
    assert sorted(refused) == [("operator_message", "text: is empty"), ("take_back", "the bot has the session")]


@pytest.mark.parametrize(
    ("name", "payloads"),
    [
        ("hand_over", [{"reason": 7}]),
        ("hand_over", [{}, "one too many"]),
        ("operator_message", []),
        ("operator_message", [None]),
        ("operator_message", [{"text": "x" * 20_000}]),
        ("take_back", [{"state": "no state!"}]),
        ("no_such_order", [{}]),
    ],
)
async def test_an_order_of_the_wrong_shape_is_refused_and_harms_nothing(
    engine: Engine, name: str, payloads: Sequence[Any]
) -> None:
    chat = await engine.chat()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await chat.workflow.execute_update(name, args=payloads)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == InvalidInput.code
    assert (await chat.say("still here?")).text == "You said: still here?"


async def test_a_session_can_be_closed_while_a_human_has_it(engine: Engine) -> None:
    chat = await engine.chat()
    await _ordered(chat, HandOverToHuman())
    await engine.sessions.close(chat.id, Close())
    with pytest.raises(SessionClosed):
        await _ordered(chat, TakeBack())


async def test_the_ui_finds_sessions_that_a_human_has(engine: Engine) -> None:
    chat = await engine.chat()
    await _ordered(chat, HandOverToHuman())
    description = await chat.workflow.describe()
    owners = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert owners["TertuliaOwner"] == "human"


async def test_what_a_lost_task_has_stored_of_an_order_is_not_taken_for_its_outcome(engine: Engine) -> None:
    chat = await engine.chat()
    now = datetime.now(UTC)
    order = Intervention(action=Action.HAND_OVER, request_id=MessageId("r-1"))
    phantom = end(1, session_id=chat.id, intervention=order)
    await PostgresTurns(engine.pool).end(phantom.model_copy(update={"ended_at": now, "started_at": now}))
    assert (await chat.turn(1)).intervention == order

    taken = await _ordered(chat, HandOverToHuman(request_id=MessageId("r-1")))

    assert (taken.turn, taken.owner, (await _view(chat)).owner) == (1, Owner.HUMAN, Owner.HUMAN)
    assert (await chat.turn(1)).reply == taken
