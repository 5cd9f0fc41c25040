"""Sessions that outlive many runs of their workflow."""

import asyncio

import pytest

from tests.engine import Engine


async def test_a_session_continues_as_new_without_losing_or_doubling_anything(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(5))
    for number in range(1, 41):
        reply = await chat.say(f"text {number}", f"m{number}")
        assert (reply.turn, reply.text) == (number, f"You said: text {number}")
    assert [message.text for message in (await chat.transcript())[1::2]] == [f"text {n}" for n in range(1, 41)]
    description = await chat.workflow.describe()
    assert description.raw_description.workflow_execution_info.first_run_id != description.run_id


async def test_a_message_id_is_remembered_across_runs(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(3))
    first = await chat.say("once", "m1")
    for number in range(2, 12):
        await chat.say(f"text {number}")
    replies = await asyncio.gather(*(chat.say("once", "m1") for _ in range(5)))
    assert {reply.turn for reply in replies} == {first.turn}
    assert {reply.text for reply in replies} == {first.text}
    assert (await chat.say("next")).turn == 12


async def test_messages_from_many_clients_survive_the_change_of_run(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(4))

    async def client(name: str) -> None:
        for number in range(8):
            text = f"{name} {number}"
            assert (await chat.say(text, f"{name}{number}")).text == f"You said: {text}"

    await asyncio.gather(*(client(name) for name in "abc"))
    transcript = await chat.transcript()
    assert [message.seq for message in transcript] == list(range(1, 50))
    assert (await chat.workflow.describe()).history_length < 150
    assert (await chat.workflow.query("state"))["turn"] == 24


async def test_signals_that_wait_are_carried_to_the_next_run(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    for number in range(12):
        await chat.workflow.signal("message", {"text": f"text {number}", "message_id": f"m{number}"})
    assert (await chat.say("text 11", "m11")).turn == 12
    answers = [message.text for message in await chat.transcript() if message.role == "assistant"][1:]
    assert answers == [f"You said: text {number}" for number in range(12)]


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_ten_thousand_turns(engine: Engine) -> None:
    chat = await engine.chat()
    for number in range(1, 10_001):
        assert (await chat.say(f"text {number}", f"m{number}")).turn == number
    (row,) = await engine.rows(
        "select count(*), count(distinct seq), max(seq), max(turn) from messages where session_id = $1", chat.id
    )
    assert tuple(row) == (20_001, 20_001, 20_001, 10_000)
    assert (await chat.say("text 7", "m7")).turn == 7
