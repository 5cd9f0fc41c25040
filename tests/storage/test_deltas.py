"""Streamed text from a worker to those who follow it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import Delta, TurnWaits, WaitTurn
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.storage.deltas import PostgresDeltas
from tertulia.storage.listener import SESSIONS, Listener
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import Pool, connect, open_pool
from tertulia.storage.transcripts import PostgresTranscripts

from .examples import CHAT, at, begin, end, opened, said, shown
from .waiting import until_available, until_away

M1 = MessageId("m1")
# Longer than any test: what arrives arrives by notification.
NEVER = timedelta(hours=1)


def piece(offset: int, text: str, *, turn: int = 1, attempt: int = 1) -> Delta:
    return Delta(turn=turn, attempt=attempt, offset=offset, text=text)


@pytest.fixture
async def deltas(pool: Pool, database: str) -> AsyncIterator[PostgresDeltas]:
    async with PostgresDeltas(pool, database, poll_every=NEVER) as deltas:
        yield deltas


def following(
    deltas: PostgresDeltas, message_id: MessageId = M1, session_id: SessionId = CHAT
) -> asyncio.Task[list[Delta | TurnWaits]]:
    async def collect() -> list[Delta | TurnWaits]:
        return [delta async for delta in deltas.follow(session_id, message_id)]

    return asyncio.create_task(collect())


async def test_pieces_are_followed_as_they_come_until_the_turn_has_ended(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with aclosing(deltas.follow(CHAT, M1)) as followed:
        for number in range(20):
            await deltas.append(CHAT, piece(number, str(number % 10)))
            assert await anext(followed) == piece(number, str(number % 10))
        await turns.end(end(1, shown(2, 1), ids=["m1"]))

        with pytest.raises(StopAsyncIteration):
            await anext(followed)


async def test_a_turn_can_be_followed_before_it_begins(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    followed = following(deltas)
    await turns.end(end(1, shown(1, 1)))
    await turns.begin(begin(2, said("m1", 2, 2)))
    await deltas.append(CHAT, piece(0, "Hello", turn=2))
    await turns.end(end(2, shown(3, 2), ids=["m1"]))

    assert await followed == [piece(0, "Hello", turn=2)]


async def test_who_comes_late_gets_everything_from_the_beginning(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    pieces = [piece(number, "x") for number in range(250)]
    for appended in pieces:
        await deltas.append(CHAT, appended)
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert await following(deltas) == pieces


async def test_the_pieces_of_a_later_attempt_come_after_those_it_supersedes(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    first = [piece(0, "Hel"), piece(3, "lo")]
    second = [piece(0, "Good ", attempt=101), piece(5, "day", attempt=101)]
    late = piece(5, ", world")
    async with aclosing(deltas.follow(CHAT, M1)) as followed:
        for appended in (*first, *second):
            await deltas.append(CHAT, appended)
            assert await anext(followed) == appended
        await deltas.append(CHAT, late)
        await turns.end(end(1, shown(2, 1), ids=["m1"]))

        assert [delta async for delta in followed] == []


async def test_a_piece_appended_again_is_shown_once(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    for appended in (piece(0, "a"), piece(0, "a"), piece(1, "b")):
        await deltas.append(CHAT, appended)
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert await following(deltas) == [piece(0, "a"), piece(1, "b")]


async def test_messages_answered_together_can_each_be_followed(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    followed = [following(deltas, MessageId(message_id)) for message_id in ("m1", "m2")]
    await turns.begin(begin(1, said("m1", 1, 1), said("m2", 2, 1)))
    await deltas.append(CHAT, piece(0, "Hello both"))
    await turns.end(end(1, shown(3, 1), ids=["m1", "m2"]))

    assert await asyncio.gather(*followed) == [[piece(0, "Hello both")]] * 2


async def test_a_message_that_moves_to_a_later_turn_is_followed_there(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    async with aclosing(deltas.follow(CHAT, M1)) as followed:
        await deltas.append(CHAT, piece(7, "from the first"))
        assert await anext(followed) == piece(7, "from the first")

        await turns.begin(begin(1, said("m2", 1, 1), minute=10))
        await turns.end(end(1, shown(2, 1), ids=["m2"], minute=11))
        await turns.begin(begin(2, said("m1", 3, 2), minute=12))
        await deltas.append(CHAT, piece(0, "from the second", turn=2))
        await turns.end(end(2, shown(4, 2), ids=["m1"], minute=13))

        assert [delta async for delta in followed] == [piece(0, "from the second", turn=2)]


async def test_an_end_that_replaces_something_wakes_the_followers_too(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    await turns.begin(begin(2, said("m2", 3, 2), minute=2))
    async with aclosing(deltas.follow(CHAT, M1)) as followed:
        await deltas.append(CHAT, piece(0, "Hello"))
        assert await anext(followed) == piece(0, "Hello")
        ended = asyncio.create_task(anext(followed, None))
        await asyncio.sleep(0)

        await turns.end(end(1, shown(2, 1), ids=["m1"], minute=3))

        assert await ended is None


async def test_the_streamed_text_of_a_turn_goes_when_it_begins_anew(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    await deltas.append(CHAT, piece(0, "from before", attempt=7))

    await turns.begin(begin(1, said("m1", 1, 1), minute=10))
    await deltas.append(CHAT, piece(0, "from now"))
    await turns.end(end(1, shown(2, 1), ids=["m1"], minute=11))

    assert await following(deltas) == [piece(0, "from now")]


async def test_a_message_that_a_closed_session_never_answered_is_followed_no_longer(
    pool: Pool, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    followed = following(deltas)
    await turns.end(end(1, shown(1, 1), closes="expired"))

    assert await followed == []


async def test_the_streamed_text_of_earlier_turns_is_cleared_away(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    for turn in range(1, 4):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn - 1, turn)))
        await deltas.append(CHAT, piece(0, "Hello", turn=turn))
        await turns.end(end(turn, shown(2 * turn, turn), ids=[f"m{turn}"]))

    async with pool.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT turn FROM stream_deltas")
    assert [row["turn"] for row in rows] == [3]


async def test_a_turn_that_waits_for_a_provider_tells_its_followers_once_for_each_wait(
    pool: Pool, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with aclosing(deltas.follow(CHAT, M1)) as followed:
        for minute in (5, 9):
            await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(minute)))
            assert await anext(followed) == TurnWaits(turn=1, resumes_at=at(minute))
        await deltas.append(CHAT, piece(0, "Hello"))
        assert await anext(followed) == piece(0, "Hello")
        await turns.end(end(1, shown(2, 1), ids=["m1"]))

        assert [delta async for delta in followed] == []


async def test_a_turn_that_has_ended_waits_no_longer(pool: Pool, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(5)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(9)))

    turn = await PostgresTranscripts(pool).turn(CHAT, 1)
    assert turn is not None
    assert turn.resumes_at == at(5)
    assert await following(deltas) == []


async def test_followers_in_many_processes_all_see_the_same(pool: Pool, database: str) -> None:
    turns = await opened(pool)
    sessions = [CHAT, *(SessionId(f"chat-{number}") for number in range(4))]
    for session_id in sessions[1:]:
        await opened(pool, session_id)
    async with (
        PostgresDeltas(pool, database, poll_every=NEVER) as here,
        PostgresDeltas(pool, database, poll_every=NEVER) as there,
    ):
        followed = {
            session_id: [following(deltas, session_id=session_id) for deltas in (here, there, there)]
            for session_id in sessions
        }
        appending = PostgresDeltas(pool, database)
        expected = {
            session_id: [piece(number, f"{session_id} {number}") for number in range(10)] for session_id in sessions
        }

        async def talk(session_id: SessionId) -> None:
            await turns.begin(begin(1, said("m1", 1, 1), session_id=session_id))
            for appended in expected[session_id]:
                await appending.append(session_id, appended)
            await turns.end(end(1, shown(2, 1), ids=["m1"], session_id=session_id))

        await asyncio.gather(*(talk(session_id) for session_id in sessions))

        for session_id in sessions:
            assert await asyncio.gather(*followed[session_id]) == [expected[session_id]] * 3


async def test_many_followers_share_one_connection(pool: Pool, database: str, deltas: PostgresDeltas) -> None:
    turns = await opened(pool)
    followed = [following(deltas) for _ in range(200)]
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with connect(database) as outside:
        connections = await outside.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert await asyncio.gather(*followed) == [[]] * 200
    assert connections <= 11  # the pool's ten, and the listener's


async def test_what_no_notification_announces_is_found_all_the_same(pool: Pool, database: str) -> None:
    turns = await opened(pool)
    not_listening = PostgresDeltas(pool, database, poll_every=timedelta(milliseconds=10))
    followed = following(not_listening)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await not_listening.append(CHAT, piece(0, "Hello"))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert await followed == [piece(0, "Hello")]


async def test_a_listener_that_lost_its_connection_listens_again(pool: Pool, database: str) -> None:
    async with Listener(database, SESSIONS) as listener:
        with listener.news(CHAT) as news:
            await news.wait()  # listening
            news.clear()
            async with pool.connection() as connection:
                ended = await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
                )
            await news.wait()  # listening again; what came in between wakes everybody
            news.clear()
            turns = await opened(pool)
            await turns.end(end(0, shown(1, 0)))
            await news.wait()

    assert ended == 1


async def test_a_listener_forgets_those_who_have_stopped_following(database: str) -> None:
    async with Listener(database, SESSIONS) as listener:
        for _ in range(100):
            with listener.news(CHAT), listener.news(CHAT):
                pass

        assert not listener._waiting


async def test_a_follower_outlives_a_crash_of_postgres(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        await migrate(postgres.dsn)
        async with (
            open_pool(postgres.dsn) as pool,
            PostgresDeltas(pool, postgres.dsn, poll_every=timedelta(seconds=0.2)) as deltas,
        ):
            turns = await opened(pool)
            await turns.begin(begin(1, said("m1", 1, 1)))
            await deltas.append(CHAT, piece(0, "Hel"))
            async with aclosing(deltas.follow(CHAT, M1)) as followed:
                assert await anext(followed) == piece(0, "Hel")
                rest = asyncio.create_task(anext(followed))

                os.kill(postgres.pid, signal.SIGKILL)
                await until_away(partial(turns.outcome, CHAT, M1))
                await until_available(partial(deltas.append, CHAT, piece(3, "lo")))

                assert await rest == piece(3, "lo")
                await until_available(partial(turns.end, end(1, shown(2, 1), ids=["m1"])))
                assert [delta async for delta in followed] == []
