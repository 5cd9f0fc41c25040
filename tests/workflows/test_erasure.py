"""A session that is erased leaves nothing of what was said, neither in Postgres nor in Temporal."""

import asyncio

import pytest
from temporalio.service import RPCError

from tertulia.domain.conversation import HandOverToHuman, OperatorMessage, Undo
from tertulia.domain.errors import NotFound, TertuliaError
from tertulia.domain.ids import SessionId
from tertulia.embedded.simulator import BlackHole, ProviderSimulator
from tertulia.storage.sessions import PostgresSessionRecords
from tests.engine import Chat, Engine

SECRET = "the-secret-of-ada"


async def _erase(chat: Chat) -> bool:
    ended = await chat.engine.sessions.erase(chat.id)
    return await PostgresSessionRecords(chat.engine.pool).erase(chat.id) or ended


async def _tables_with(engine: Engine, word: str) -> list[str]:
    tables = await engine.rows("select tablename from pg_tables where schemaname = 'public'")
    found = []
    for row in tables:
        table = row["tablename"]
        (hit,) = await engine.rows(f"select exists (select from {table} where {table}::text like $1)", f"%{word}%")
        if hit["exists"]:
            found.append(table)
    return found


async def _is_forgotten(engine: Engine, workflow_id: str, run_id: str) -> bool:
    try:
        await engine.client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    except RPCError:
        return True
    return False


async def test_nothing_of_an_erased_session_stays(engine: Engine) -> None:
    chat = await engine.chat(sessions=engine.with_turns_per_run(2))
    runs = set[str]()
    for number in range(5):
        await chat.say(f"{SECRET} {number}")
        runs.add((await chat.workflow.describe()).run_id)
    await engine.sessions.order(chat.id, Undo(operator=SECRET))
    await engine.sessions.order(chat.id, HandOverToHuman(reason=SECRET))
    await engine.sessions.order(chat.id, OperatorMessage(text=SECRET))
    runs.add((await chat.workflow.describe()).run_id)
    assert len(runs) > 2
    assert {"messages", "sessions", "turns"} <= set(await _tables_with(engine, SECRET))
    spent = await engine.rows("select count(*) from attempts")

    assert await _erase(chat)

    assert await _tables_with(engine, SECRET) == []
    assert await engine.rows("select count(*) from attempts") == spent
    # The server deletes on its own time.
    while not all([await _is_forgotten(engine, chat.workflow.id, run) for run in runs]):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    with pytest.raises(NotFound):
        await chat.say("hello?")
    assert not await _erase(chat)


async def test_a_session_is_erased_in_the_middle_of_a_turn(engine: Engine, simulator: ProviderSimulator) -> None:
    for name in ("first", "second", "third"):
        simulator.always(name, BlackHole())
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say(SECRET))
    await simulator.asked()
    assert await _erase(chat)
    with pytest.raises(TertuliaError):
        await sending
    assert await PostgresSessionRecords(engine.pool).get(chat.id) is None
    await simulator.quiet()
    assert await _tables_with(engine, SECRET) == []


async def test_there_is_nothing_to_erase_of_a_session_that_never_was(engine: Engine) -> None:
    assert not await engine.sessions.erase(SessionId("never-was"))
