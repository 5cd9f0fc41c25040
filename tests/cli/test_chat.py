import asyncio
import re
import signal
from datetime import UTC, datetime

import httpx

from tertulia.domain.conversation import IncomingMessage, NextAction, Reply, TurnStatus
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SessionId
from tertulia.domain.turns import Delta, TurnWaits
from tests.api.conftest import World
from tests.cli.conftest import Cli, terminal
from tests.fakes import ScriptedSessions

END_OF_INPUT = "\x04"
GREETING = "Hello! What is your name?\n"


async def test_each_line_of_a_pipe_is_a_message_and_each_reply_a_line(tertulia: Cli) -> None:
    outcome = await tertulia("chat", "--definition", "greeter", said="Ada\n\n  \nada@example.org\n")

    assert outcome.code == 0
    assert outcome.out == f"{GREETING}You said: Ada\nYou said: ada@example.org\n"


async def test_a_chat_can_be_gone_on_with(tertulia: Cli) -> None:
    first = await tertulia("chat", "--definition", "greeter", said="Ada\n")
    session = _session_of(first.err)

    second = await tertulia("chat", "--session", session, said="it's me\n")

    assert second.out == f"{GREETING}You said: Ada\nYou said: it's me\n"
    assert _session_of(second.err) == session


async def test_a_chat_ends_when_nothing_more_is_expected(tertulia: Cli, world: World) -> None:
    world.sessions.expected = NextAction(kind="none")

    outcome = await tertulia("chat", "--definition", "greeter", said="Ada\nis anybody there?\n")

    assert outcome.code == 0
    assert [message.text for message in world.sessions.taken] == ["Ada"]


async def test_a_message_that_is_refused_does_not_end_the_chat(tertulia: Cli) -> None:
    outcome = await tertulia("chat", "--definition", "greeter", said="a\x07b\nAda\n")

    assert outcome.out == f"{GREETING}You said: Ada\n"
    assert "has control characters" in outcome.err


async def test_a_chat_with_a_session_that_has_ended_says_so(
    tertulia: Cli, api: httpx.AsyncClient, session: SessionId
) -> None:
    await api.delete(f"/v1/sessions/{session}")

    outcome = await tertulia("chat", "--session", session, said="Ada\nAda\n")

    assert outcome.out == GREETING
    assert outcome.err.count("The session has ended") == 1


async def test_a_cut_stream_is_taken_up_again_under_the_same_id(tertulia: Cli, world: World) -> None:
    world.events.put(RuntimeError("cuts the stream"))
    world.events.put(RuntimeError("and again"))
    world.sessions.ending.clear()
    chatting = asyncio.create_task(tertulia("chat", "--definition", "greeter", said="Ada\n"))
    await world.events.drained()
    world.sessions.ending.set()

    outcome = await chatting

    assert outcome.out == f"{GREETING}You said: Ada\n"
    assert outcome.err.count("the connection was lost; trying again") == 2
    assert len(world.sessions.taken) == 1


async def test_an_engine_that_is_lost_midway_is_asked_again_under_the_same_id(tertulia: Cli, world: World) -> None:
    class LostOnce(ScriptedSessions):
        async def send(self, session_id: SessionId, message: IncomingMessage) -> Reply:
            if not self.lost.is_set():
                self.lost.set()
                raise Unavailable("Temporal", "no answer")
            self.ending.set()
            return await super().send(session_id, message)

        lost = asyncio.Event()

    sessions = LostOnce(world.records, world.transcripts, world.events)
    sessions.ending.clear()
    world.change(sessions=sessions)

    outcome = await tertulia("chat", "--definition", "greeter", said="Ada\n")

    assert outcome.out == f"{GREETING}You said: Ada\n"
    assert "no answer; trying again" in outcome.err
    assert len(sessions.taken) == 1


async def test_a_turn_that_waits_for_a_provider_says_when_it_goes_on(tertulia: Cli, world: World) -> None:
    resumes_at = datetime(2026, 3, 14, 12, tzinfo=UTC)
    world.events.put(TurnWaits(turn=1, resumes_at=resumes_at))
    world.sessions.ending.clear()
    chatting = asyncio.create_task(tertulia("chat", "--definition", "greeter", said="Ada\n"))
    await world.events.drained()
    world.sessions.ending.set()

    outcome = await chatting

    assert outcome.out == f"{GREETING}You said: Ada\n"
    assert f"going on at {resumes_at.astimezone():%H:%M:%S}" in outcome.err


async def test_a_turn_that_was_cancelled_is_not_shown_as_an_answer(tertulia: Cli, world: World) -> None:
    world.sessions.outcome = TurnStatus.CANCELLED
    world.sessions.answer = lambda _: ""

    outcome = await tertulia("chat", "--definition", "greeter", said="Ada\n")

    assert outcome.out == GREETING
    assert "(cancelled)" in outcome.err


async def test_an_unknown_definition_is_told_with_those_on_offer(tertulia: Cli) -> None:
    outcome = await tertulia("chat", "--definition", "nobody")

    assert (outcome.code, outcome.out) == (1, "")
    assert "on offer: greeter" in outcome.err


async def test_a_terminal_shows_text_as_it_streams(tertulia: Cli, world: World) -> None:
    world.sessions.ending.clear()
    world.sessions.expected = NextAction(kind="answer", slot="remote", type="choice", choices=("yes", "no"))

    async with terminal(tertulia, "chat", "--definition", "greeter") as person:
        await person.shows("> ")
        person.types("hello\n")
        world.events.put(Delta(turn=1, attempt=1, offset=0, text="Wro"))
        await person.shows("Wro")
        world.events.put(Delta(turn=1, attempt=2, offset=0, text="You sa"))
        world.events.put(Delta(turn=1, attempt=2, offset=6, text="id"))
        assert "WroYou" not in await person.shows("You said")

        world.sessions.ending.set()
        assert "(yes / no)" in await person.shows("> ")


async def test_a_person_who_leaves_is_told_how_to_come_back(tertulia: Cli, session: SessionId) -> None:
    async with terminal(tertulia, "chat", "--session", session) as person:
        await person.shows("> ")
        person.types(END_OF_INPUT)

        told = " ".join((await person.shows("--url")).split())
        assert f"tertulia chat --session {session} --url" in told
        assert await person.process.wait() == 0


async def test_a_person_who_leaves_in_the_middle_of_a_reply_finds_it_later(
    tertulia: Cli, api: httpx.AsyncClient, world: World, session: SessionId
) -> None:
    world.sessions.ending.clear()

    async with terminal(tertulia, "chat", "--session", session) as person:
        await person.shows("> ")
        person.types("hello\n")
        world.events.put(Delta(turn=1, attempt=1, offset=0, text="You"))
        await person.shows("You")
        person.process.send_signal(signal.SIGINT)
        await person.shows(f"tertulia chat --session {session}")
        assert await person.process.wait() == 0
    world.sessions.ending.set()
    await world.sessions.settled()

    last = (await api.get(f"/v1/sessions/{session}/messages", params={"last": 1})).json()["messages"][0]
    assert last["text"] == "You said: hello"


def _session_of(errors: str) -> str:
    found = re.search(r"tertulia chat --session (\S+)", errors)
    assert found
    return found[1]
