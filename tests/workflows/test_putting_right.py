"""What went wrong is put right: a turn undone, a reply written anew, a slot edited."""

import asyncio

import pytest

from tertulia.domain.conversation import (
    EditSlot,
    HandOverToHuman,
    Order,
    Owner,
    Regenerate,
    Reply,
    SessionView,
    TakeBack,
    TurnStatus,
    Undo,
)
from tertulia.domain.errors import ActionRefused, InvalidInput, NotFound
from tertulia.embedded.simulator import Answer, BlackHole, ProviderSimulator, Status
from tests.engine import Chat, Engine


def _all(simulator: ProviderSimulator, behaviour: Answer | BlackHole | Status) -> None:
    """Let all providers behave so, since any of them may be the next to be asked."""
    for name in ("first", "second", "third"):
        simulator.always(name, behaviour)


async def _ordered(chat: Chat, order: Order) -> Reply:
    return await chat.engine.sessions.order(chat.id, order)


async def _view(chat: Chat) -> SessionView:
    return await chat.engine.sessions.view(chat.id)


async def _counting(chat: Chat) -> list[str]:
    return [m.text for m in await chat.transcript() if m.withdrawn_in is None and m.turn > 0]


async def test_an_undone_turn_leaves_the_session_as_it_was_and_its_words_marked(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    before = await _view(chat)
    await chat.say("wrong@example.org")
    undone = await _ordered(chat, Undo(operator="eva"))
    after = await _view(chat)
    assert (after.state, after.slots, after.next_action) == (before.state, before.slots, before.next_action)
    assert (undone.turn, undone.next_action) == (3, before.next_action)
    marks = {message.turn: message.withdrawn_in for message in await chat.transcript()}
    assert marks == {0: None, 1: None, 2: 3, 3: None}
    intervention = (await chat.turn(3)).intervention
    assert intervention
    assert (intervention.action, intervention.operator, intervention.since) == ("undo", "eva", 2)
    assert (await chat.say("ada@example.org")).next_action.slot != "email"


async def test_turns_are_undone_one_after_the_other_until_there_is_none(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await chat.say("ada@example.org")
    assert (await _ordered(chat, Undo())).next_action.slot == "email"
    assert (await _ordered(chat, Undo())).next_action.slot == "name"
    assert (await _view(chat)).slots == {}
    with pytest.raises(ActionRefused, match="nothing to undo") as refused:
        await _ordered(chat, Undo())
    assert "undo" not in refused.value.allowed
    assert len(await _counting(chat)) == 1


async def test_a_provider_is_not_sent_what_was_undone(engine: Engine, simulator: ProviderSimulator) -> None:
    chat = await engine.chat()
    await chat.say("first words")
    await chat.say("second words")
    await _ordered(chat, Undo())
    assert (await chat.say("third words")).text == "You said: third words"
    sent = simulator.log[-1].body
    assert "first words" in str(sent)
    assert "second words" not in str(sent)


async def test_what_was_undone_stays_so_across_runs(engine: Engine) -> None:
    chat = await engine.chat("recruiting", sessions=engine.with_turns_per_run(2))
    for text in ("Ada Lovelace", "ada@example.org"):
        await chat.say(text)
    asked = (await _view(chat)).next_action
    await _ordered(chat, Undo(request_id="u1"))
    await _ordered(chat, Undo(request_id="u2"))
    assert (await _ordered(chat, Undo(request_id="u1"))).turn == 3
    for text in ("Ada Byron", "ada@example.org"):
        await chat.say(text)
    view = await _view(chat)
    assert (view.next_action, view.slots["name"]) == (asked, "Ada Byron")
    for _ in range(2):
        await _ordered(chat, Undo())
    with pytest.raises(ActionRefused):
        await _ordered(chat, Undo())


async def test_what_a_human_was_there_for_is_not_undone(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    await _ordered(chat, HandOverToHuman())
    with pytest.raises(ActionRefused):
        await _ordered(chat, Undo())
    await _ordered(chat, TakeBack())
    with pytest.raises(ActionRefused):
        await _ordered(chat, Undo())
    assert (await _view(chat)).slots == {"name": "Ada Lovelace"}


async def test_a_reply_is_written_anew_from_the_same_question(engine: Engine, simulator: ProviderSimulator) -> None:
    chat = await engine.chat()
    await chat.say("Hello")
    _all(simulator, Answer(text="two"))
    again = await _ordered(chat, Regenerate(request_id="r1"))
    assert (again.turn, again.text, again.status) == (2, "two", TurnStatus.ANSWERED)
    _all(simulator, Answer(text="three"))
    assert (await _ordered(chat, Regenerate(request_id="r1"))) == again
    assert (await _ordered(chat, Regenerate(request_id="r2"))).text == "three"
    assert await _counting(chat) == ["Hello", "three"]
    first, *others = (exchange.body for exchange in simulator.log)
    assert [_messages(other) for other in others] == [_messages(first)] * 2
    assert (await chat.turn(2)).attempts[0].outcome


async def test_a_reply_that_nobody_can_write_anew_stands(engine: Engine, simulator: ProviderSimulator) -> None:
    chat = await engine.chat()
    await chat.say("Hello")
    _all(simulator, Status(code=401))
    failed = await _ordered(chat, Regenerate())
    assert (failed.status, failed.text, failed.state) == (TurnStatus.FAILED, "", "talking")
    assert await _counting(chat) == ["Hello", "You said: Hello"]


async def test_a_human_who_takes_over_stops_a_reply_that_is_written_anew(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    chat = await engine.chat()
    await chat.say("Hello")
    _all(simulator, BlackHole())
    again = asyncio.create_task(_ordered(chat, Regenerate()))
    await simulator.asked(2)
    await _ordered(chat, HandOverToHuman())
    assert (await again).status is TurnStatus.HANDED_OVER
    assert await _counting(chat) == ["Hello", "You said: Hello"]
    with pytest.raises(ActionRefused):
        await _ordered(chat, Regenerate())


async def test_only_a_free_reply_of_the_last_turn_is_written_anew(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    with pytest.raises(ActionRefused, match="no reply"):
        await _ordered(chat, Regenerate())
    await chat.say("Who will read my answers?")
    again = await _ordered(chat, Regenerate())
    assert (again.status, again.next_action.slot) == (TurnStatus.ANSWERED, "name")
    await chat.say("Ada Lovelace")
    with pytest.raises(ActionRefused, match="no reply"):
        await _ordered(chat, Regenerate())


async def test_a_reply_is_written_anew_in_the_next_run(engine: Engine, simulator: ProviderSimulator) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(1))
    await chat.say("Hello")
    _all(simulator, Answer(text="anew"))
    assert (await _ordered(chat, Regenerate())).text == "anew"
    assert (await _ordered(chat, Undo())).turn == 3
    assert await _counting(chat) == []


async def test_an_edited_slot_is_held_to_its_own_rules(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("Ada Lovelace")
    before = await _view(chat)
    with pytest.raises(InvalidInput, match="value"):
        await _ordered(chat, EditSlot(slot="email", value="no address"))
    with pytest.raises(NotFound):
        await _ordered(chat, EditSlot(slot="no_such_slot", value=1))
    assert (await _view(chat)).turn == before.turn
    edited = await _ordered(chat, EditSlot(slot="email", value="ada@example.org", operator="eva"))
    assert (await _view(chat)).slots["email"] == "ada@example.org"
    assert edited.next_action.slot not in {"name", "email"}
    intervention = (await chat.turn(2)).intervention
    assert intervention
    assert (intervention.action, intervention.slot, intervention.operator) == ("edit_slot", "email", "eva")


async def test_what_depends_on_an_edited_slot_is_asked_anew_and_nothing_else(engine: Engine) -> None:
    chat = await engine.chat("support", sessions=engine.with_turns_per_run(2))
    await chat.say("A question about my invoice, I was charged twice. ana@example.org")
    await chat.say("AB-12345")
    await chat.say("49.90")
    assert (await _view(chat)).state == "filed"
    edited = await _ordered(chat, EditSlot(slot="invoice_number", value="CD-6789"))
    assert edited.next_action.slot == "amount"
    assert (await chat.say("12 euros")).state == "filed"
    assert {name: (await _view(chat)).slots[name] for name in ("invoice_number", "amount")} == {
        "invoice_number": "CD-6789",
        "amount": 12,
    }


async def test_a_slot_that_is_worked_out_can_not_be_edited(engine: Engine) -> None:
    chat = await engine.chat("support")
    with pytest.raises(ActionRefused) as refused:
        await _ordered(chat, EditSlot(slot="priority", value="high"))
    assert "email" in refused.value.allowed
    assert "priority" not in refused.value.allowed


async def test_a_slot_is_edited_in_silence_while_a_human_has_the_session(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await _ordered(chat, HandOverToHuman())
    edited = await _ordered(chat, EditSlot(slot="name", value="Ada Lovelace"))
    assert (edited.text, edited.owner) == ("", Owner.HUMAN)
    assert (await _ordered(chat, TakeBack())).next_action.slot == "email"


def _messages(body: object) -> object:
    assert isinstance(body, dict)
    return body["messages"]
