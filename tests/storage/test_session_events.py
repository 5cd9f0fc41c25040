"""What becomes known of sessions, for those who follow them: nothing is lost and nothing told twice."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tertulia.domain import session_events
from tertulia.domain.conversation import Message
from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.session_events import BEGINNING, EventId, SessionEvent, Shown, Told
from tertulia.domain.turns import Delta, TurnWaits, WaitTurn, Withdrawal
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.storage.deltas import PostgresDeltas
from tertulia.storage.listener import SESSIONS, Listener
from tertulia.storage.migrations import MIGRATIONS, migrate
from tertulia.storage.pool import Pool, connect, open_pool
from tertulia.storage.session_events import PostgresSessionEvents
from tertulia.storage.transcripts import PostgresTranscripts

from .examples import CHAT, at, begin, end, opened, said, shown
from .test_migrations import empty_database_of
from .test_redone_turns import Simulation
from .waiting import until_available, until_away

M1 = MessageId("m1")
# Longer than any test: what arrives arrives by notification.
NEVER = timedelta(hours=1)
_numbers = count()


def piece(offset: int, text: str, *, turn: int = 1, attempt: int = 1) -> Delta:
    return Delta(turn=turn, attempt=attempt, offset=offset, text=text)


@pytest.fixture
async def events(pool: Pool, database: str) -> AsyncIterator[PostgresSessionEvents]:
    async with PostgresSessionEvents(pool, database, poll_every=NEVER) as events:
        yield events


@pytest.fixture
def deltas(pool: Pool) -> PostgresDeltas:
    return PostgresDeltas(pool)


async def the_rest(events: PostgresSessionEvents, after: EventId = BEGINNING) -> list[Told]:
    """Follow a session that ends, to its end."""
    async with asyncio.timeout(30):
        return [told async for told in events.follow(CHAT, after)]


def following_message(
    events: PostgresSessionEvents, message_id: MessageId = M1, session_id: SessionId = CHAT
) -> asyncio.Task[list[SessionEvent]]:
    async def collect() -> list[SessionEvent]:
        async with asyncio.timeout(30):
            return [told.event async for told in events.follow_message(session_id, message_id)]

    return asyncio.create_task(collect())


def names(told: Sequence[Told]) -> list[tuple[str, str]]:
    return [(str(each.id), session_events.name(each.event)) for each in told]


def texts(told: Sequence[SessionEvent]) -> list[Delta]:
    return [event for event in told if isinstance(event, Delta)]


# --- a session ----------------------------------------------------------------------------------------------------


async def test_a_session_is_told_from_its_greeting_to_its_end(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    await turns.begin(begin(1, said("m1", 2, 1), said("m2", 3, 1)))
    await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(2)))
    await turns.end(end(1, shown(4, 1), ids=["m1", "m2"]))
    await turns.end(end(2, shown(5, 2), closes="all is said"))

    told = await the_rest(events)

    assert names(told) == [
        ("1", "message"),
        ("2", "turn.completed"),
        ("3", "turn.started"),
        ("4", "message"),
        ("5", "message"),
        ("6", "turn.waiting"),
        ("7", "message"),
        ("8", "turn.completed"),
        ("9", "message"),
        ("10", "turn.completed"),
        ("11", "session.closed"),
    ]
    assert _shown(told) == Shown(messages=tuple(await _transcript(pool)), ended=True)


async def test_a_reader_goes_on_behind_whatever_it_has_had(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    await turns.begin(begin(1, said("m1", 2, 1)))
    for appended in (piece(0, "Hel"), piece(3, "lo"), piece(0, "Good ", attempt=101), piece(5, "day", attempt=101)):
        await deltas.append(CHAT, appended)
    running = await _take(events, BEGINNING, 9)
    assert [name for _, name in names(running)][4:] == ["text.delta"] * 2 + ["turn.superseded"] + ["text.delta"] * 2
    for had, told in enumerate(running[:-1], start=1):
        assert await _take(events, EventId.parse(str(told.id)), 9 - had) == running[had:]

    await turns.end(end(1, shown(3, 1), ids=["m1"]))
    await turns.end(end(2, closes="all is said"))
    ended = await the_rest(events, running[-1].id)
    for told in running:
        assert (await the_rest(events, told.id))[-len(ended) :] == ended
    for had, told in enumerate(ended, start=1):
        assert await the_rest(events, told.id) == ended[had:]
    assert len({told.id for told in (*running, *ended)}) == 13


async def _take(events: PostgresSessionEvents, after: EventId, number: int) -> list[Told]:
    async with aclosing(events.follow(CHAT, after)) as followed:
        return [await anext(followed) for _ in range(number)]


async def test_a_reader_far_behind_gets_everything_in_order(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    for turn in range(1, 51):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn - 1, turn)))
        await turns.end(end(turn, shown(2 * turn, turn), ids=[f"m{turn}"], closes="done" if turn == 50 else None))

    told = await the_rest(events)

    assert [each.id.number for each in told] == list(range(1, 202))
    assert _shown(told).messages == tuple(await _transcript(pool))


async def test_the_text_of_turns_that_are_over_is_not_shown_to_who_comes_late(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await deltas.append(CHAT, piece(0, "Hello"))
    await turns.end(end(1, shown(2, 1), ids=["m1"], closes="done"))

    assert "text.delta" not in [name for _, name in names(await the_rest(events))]


async def test_what_is_going_on_begins_with_the_turn_that_runs(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    assert await events.now(CHAT) == EventId(2)
    await turns.begin(begin(1, said("m1", 2, 1)))
    assert await events.now(CHAT) == EventId(2)
    await turns.end(end(1, shown(3, 1), ids=["m1"]))
    assert await events.now(CHAT) == EventId(6)


async def test_what_a_turn_has_withdrawn_is_told_with_its_end(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))
    had = await _take(events, BEGINNING, 4)
    await turns.end(end(2, shown(3, 2), withdraws=Withdrawal(first=1, last=1)))
    await turns.end(end(3, closes="done"))

    told = [*had, *await the_rest(events, had[-1].id)]

    assert [message.withdrawn_in for message in _shown(had).messages] == [None, None]
    assert [message.withdrawn_in for message in _shown(told).messages] == [2, 2, None]
    assert _shown(told).messages == _shown(await the_rest(events)).messages == tuple(await _transcript(pool))


async def test_a_place_is_checked_before_a_reader_goes_on_there(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0), closes="done"))

    assert await events.resume(CHAT, EventId(2)) == EventId(2)
    assert await events.resume(CHAT, EventId(3)) is None
    with pytest.raises(InvalidInput, match="begin anew"):
        await events.resume(CHAT, EventId(4))
    for look in (events.resume(SessionId("never"), BEGINNING), events.now(SessionId("never"))):
        with pytest.raises(NotFound):
            await look


async def test_a_session_that_is_erased_is_followed_no_longer(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    async with aclosing(events.follow(CHAT)) as followed:
        assert [await anext(followed) for _ in range(2)]
        async with pool.connection() as connection:
            await connection.execute("DELETE FROM sessions")
        events._listener.wake_all()

        assert await anext(followed, None) is None


async def test_whoever_follows_is_sent_away_when_the_process_stops(pool: Pool, events: PostgresSessionEvents) -> None:
    await opened(pool)
    whole, turn = asyncio.create_task(the_rest(events)), following_message(events)
    await asyncio.sleep(0)

    events.stop()

    assert (await whole, await turn) == ([], [])


async def test_a_write_that_is_repeated_is_told_once(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    wait = WaitTurn(session_id=CHAT, turn=1, resumes_at=at(2))
    for _ in range(2):
        await turns.begin(begin(1, said("m1", 1, 1)))
    for _ in range(2):
        await turns.wait(wait)
    for _ in range(2):
        await turns.end(end(1, shown(2, 1), ids=["m1"], closes="done"))

    assert [name for _, name in names(await the_rest(events))] == [
        "turn.started",
        "message",
        "turn.waiting",
        "message",
        "turn.completed",
        "session.closed",
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=2**32))
async def test_whatever_workers_do_again_a_reader_has_the_transcript_in_the_end(
    pool: Pool, events: PostgresSessionEvents, seed: int
) -> None:
    session_id = SessionId(f"redone-{next(_numbers)}")
    turns = await opened(pool, session_id)
    told: list[Told] = []

    async def read() -> None:
        """Be cut off again and again, and go on behind the last event."""
        chance = Random(seed)
        while not (told and _shown(told).ended):
            patience = chance.randint(1, 6)
            async with aclosing(events.follow(session_id, told[-1].id if told else BEGINNING)) as followed:
                async for each in followed:
                    told.append(each)
                    patience -= 1
                    if not patience:
                        break

    reading = asyncio.create_task(read())
    simulation = Simulation(Random(seed), turns, session_id)
    await simulation.run()
    last = simulation.latest_turn + 1
    await turns.end(end(last, closes="done", minute=simulation.tick(), session_id=session_id))
    async with asyncio.timeout(30):
        await reading

    assert len({each.id for each in told}) == len(told)
    assert [each.id.number for each in told] == sorted(each.id.number for each in told)
    assert _shown(told).messages == tuple(await _transcript(pool, session_id))


async def test_sessions_from_before_are_told_in_the_order_in_which_they_came(postgres_dsn: str, tmp_path: Path) -> None:
    async with empty_database_of(postgres_dsn) as database:
        for file in sorted(MIGRATIONS.glob("000[1-7]*.sql")):
            (tmp_path / file.name).write_text(file.read_text())
        await migrate(database, directory=tmp_path)
        async with open_pool(database) as pool, pool.connection() as connection:
            await connection.execute(_FROM_BEFORE)
        await migrate(database)
        async with open_pool(database) as pool, PostgresSessionEvents(pool, database) as events:
            told = await the_rest(events)

    assert names(told) == [
        ("1", "message"),
        ("2", "turn.completed"),
        ("3", "turn.started"),
        ("4", "message"),
        ("5", "message"),
        ("6", "turn.completed"),
        ("7", "session.closed"),
    ]


_FROM_BEFORE = """
INSERT INTO definitions (hash, name, content) VALUES ('h', 'd', '{}');
INSERT INTO sessions (session_id, tenant, user_id, channel, role, definition, definition_hash, context,
                      state, status, owner, turn, latest_turn, slots, created_at, updated_at)
VALUES ('chat', 'acme', 'ada', 'api', 'candidate', 'd', 'h', '{}', 's', 'closed', 'bot', 1, 1, '{}', now(), now());
INSERT INTO turns (session_id, turn, status, message_ids, reply, started_at, ended_at)
SELECT 'chat', turn, 'answered', ids::jsonb,
       jsonb_build_object('turn', turn, 'status', 'answered', 'text', 'Hello', 'state', 's',
                          'next_action', '{"kind": "talk"}'::jsonb), now(), now()
FROM (VALUES (0, '[]'), (1, '["m1"]')) AS old (turn, ids);
INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id)
VALUES ('chat', 1, 0, 'assistant', 'Hello', now(), NULL), ('chat', 2, 1, 'user', 'Hi', now(), 'm1'),
       ('chat', 3, 1, 'assistant', 'Hello', now(), NULL);
"""


# --- the text of a turn -------------------------------------------------------------------------------------------


async def test_pieces_are_followed_as_they_come_until_the_turn_has_ended(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with aclosing(events.follow_message(CHAT, M1)) as followed:
        assert names([await anext(followed) for _ in range(2)]) == [("1", "turn.started"), ("2", "message")]
        for number in range(20):
            await deltas.append(CHAT, piece(number, str(number % 10)))
            assert await anext(followed) == Told(EventId(2, 1, number + 1), piece(number, str(number % 10)))
        await turns.end(end(1, shown(2, 1), ids=["m1"]))

        assert names([told async for told in followed]) == [("3", "message"), ("4", "turn.completed")]


async def test_a_turn_can_be_followed_before_it_begins(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    followed = following_message(events)
    await turns.end(end(1, shown(1, 1)))
    await turns.begin(begin(2, said("m1", 2, 2)))
    await deltas.append(CHAT, piece(0, "Hello", turn=2))
    await turns.end(end(2, shown(3, 2), ids=["m1"]))

    assert {event.turn for event in await followed if not isinstance(event, session_events.SessionEnded)} == {2}


async def test_who_comes_while_a_turn_runs_gets_its_text_from_the_beginning(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    pieces = [piece(number, "x") for number in range(250)]
    for appended in pieces:
        await deltas.append(CHAT, appended)
    async with aclosing(events.follow_message(CHAT, M1)) as followed:
        had = [(await anext(followed)).event for _ in range(252)]

    assert texts(had) == pieces


async def test_the_text_of_a_later_attempt_supersedes_what_was_shown_before(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with aclosing(events.follow_message(CHAT, M1)) as followed:
        for appended in (piece(0, "Hel"), piece(3, "lo")):
            await deltas.append(CHAT, appended)
        assert [(await anext(followed)).event for _ in range(4)][2:] == [piece(0, "Hel"), piece(3, "lo")]
        await deltas.append(CHAT, piece(0, "Good ", attempt=101))
        superseding = names([await anext(followed) for _ in range(2)])
        # A worker that was given up goes on for a moment.
        await deltas.append(CHAT, piece(5, ", world"))
        await deltas.append(CHAT, piece(5, "day", attempt=101))
        assert superseding == [("2:101.0", "turn.superseded"), ("2:101.5", "text.delta")]
        assert names([await anext(followed)]) == [("2:101.8", "text.delta")]


async def test_a_piece_appended_again_is_shown_once(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    for appended in (piece(0, "a"), piece(0, "a"), piece(1, "b")):
        await deltas.append(CHAT, appended)
    async with aclosing(events.follow_message(CHAT, M1)) as followed:
        had = [(await anext(followed)).event for _ in range(4)]

    assert texts(had) == [piece(0, "a"), piece(1, "b")]


async def test_a_turn_that_waits_says_so_once_for_each_wait_and_keeps_what_was_shown(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await deltas.append(CHAT, piece(0, "Hel"))
    async with aclosing(events.follow_message(CHAT, M1)) as followed:
        assert len([await anext(followed) for _ in range(3)]) == 3
        for number, minute in ((3, 5), (4, 9)):
            await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(minute)))
            waits = TurnWaits(turn=1, resumes_at=at(minute))
            assert await anext(followed) == Told(EventId(number, 1, 3), waits)
        await deltas.append(CHAT, piece(3, "lo"))
        assert (await anext(followed)).id == EventId(4, 1, 5)


async def test_a_turn_that_has_ended_waits_no_longer(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(5)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    await turns.wait(WaitTurn(session_id=CHAT, turn=1, resumes_at=at(9)))

    turn = await PostgresTranscripts(pool).turn(CHAT, 1)
    assert turn is not None
    assert turn.resumes_at == at(5)


# --- the turn of a message ----------------------------------------------------------------------------------------


async def test_messages_answered_together_can_each_be_followed(pool: Pool, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    followed = [following_message(events, MessageId(message_id)) for message_id in ("m1", "m2")]
    await turns.begin(begin(1, said("m1", 1, 1), said("m2", 2, 1)))
    await turns.end(end(1, shown(3, 1), ids=["m1", "m2"]))

    first, second = await asyncio.gather(*followed)

    assert first == second
    assert len(first) == 5


async def test_a_message_that_was_answered_long_ago_is_told_as_it_was(
    pool: Pool, events: PostgresSessionEvents
) -> None:
    turns = await opened(pool)
    for turn in range(1, 4):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn - 1, turn)))
        await turns.end(end(turn, shown(2 * turn, turn), ids=[f"m{turn}"]))

    told = await following_message(events, MessageId("m2"))

    assert [session_events.name(event) for event in told] == ["turn.started", "message", "message", "turn.completed"]


async def test_a_message_that_moves_to_a_later_turn_is_followed_there(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    followed = following_message(events)
    await turns.begin(begin(1, said("m2", 1, 1), minute=10))
    await turns.end(end(1, shown(2, 1), ids=["m2"], minute=11))
    await turns.begin(begin(2, said("m1", 3, 2), minute=12))
    await deltas.append(CHAT, piece(0, "from the second", turn=2))
    await turns.end(end(2, shown(4, 2), ids=["m1"], minute=13))

    *_, last = await followed
    assert isinstance(last, session_events.TurnEnded)
    assert (last.turn, last.message_ids) == (2, ("m1",))


async def test_a_message_that_a_closed_session_never_answered_is_followed_no_longer(
    pool: Pool, events: PostgresSessionEvents
) -> None:
    turns = await opened(pool)
    followed = following_message(events)
    await turns.end(end(1, shown(1, 1), closes="expired"))

    assert await followed == []


# --- many readers, and what may fail ------------------------------------------------------------------------------


async def test_readers_in_many_processes_all_have_the_same(pool: Pool, database: str) -> None:
    turns = await opened(pool)
    sessions = [CHAT, *(SessionId(f"chat-{number}") for number in range(4))]
    for session_id in sessions[1:]:
        await opened(pool, session_id)
    deltas = PostgresDeltas(pool)
    async with (
        PostgresSessionEvents(pool, database, poll_every=NEVER) as here,
        PostgresSessionEvents(pool, database, poll_every=NEVER) as there,
    ):
        followed = {
            session_id: [following_message(events, session_id=session_id) for events in (here, there, there)]
            for session_id in sessions
        }

        async def talk(session_id: SessionId) -> None:
            await turns.begin(begin(1, said("m1", 1, 1), session_id=session_id))
            for number in range(10):
                await deltas.append(session_id, piece(5 * number, f"{number:05}"))
            await turns.end(end(1, shown(2, 1, text=f"by {session_id}"), ids=["m1"], session_id=session_id))

        await asyncio.gather(*(talk(session_id) for session_id in sessions))

        for session_id in sessions:
            for told in await asyncio.gather(*followed[session_id]):
                assert [event for event in told if not isinstance(event, Delta)] == _facts(session_id)


async def test_many_readers_share_few_connections(pool: Pool, database: str, events: PostgresSessionEvents) -> None:
    turns = await opened(pool)
    followed = [following_message(events) for _ in range(200)]
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with connect(database) as outside:
        connections = await outside.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert [len(told) for told in await asyncio.gather(*followed)] == [4] * 200
    assert connections <= 11  # the pool's ten, and the listener's


async def test_a_reader_that_takes_nothing_holds_nothing(
    pool: Pool, events: PostgresSessionEvents, deltas: PostgresDeltas
) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    async with aclosing(events.follow(CHAT)) as followed:
        await anext(followed)
        for number in range(1000):
            await deltas.append(CHAT, piece(number, "x"))

        assert _held(followed) <= 2
        had = 0
        while had < 1000:
            had += isinstance((await anext(followed)).event, Delta)
            assert _held(followed) <= 100


def _held(followed: AsyncGenerator[Told]) -> int:
    look = followed.ag_frame.f_locals["look"]  # type: ignore[attr-defined]
    return len(look.told)


async def test_what_no_notification_announces_is_found_all_the_same(pool: Pool, database: str) -> None:
    turns = await opened(pool)
    not_listening = PostgresSessionEvents(pool, database, poll_every=timedelta(milliseconds=10))
    followed = following_message(not_listening)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert len(await followed) == 4


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


async def test_a_reader_outlives_a_crash_of_postgres(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        await migrate(postgres.dsn)
        async with (
            open_pool(postgres.dsn) as pool,
            PostgresSessionEvents(pool, postgres.dsn, poll_every=timedelta(seconds=0.2)) as events,
        ):
            turns, deltas = await opened(pool), PostgresDeltas(pool)
            await turns.begin(begin(1, said("m1", 1, 1)))
            await deltas.append(CHAT, piece(0, "Hel"))
            async with aclosing(events.follow_message(CHAT, M1)) as followed:
                assert [(await anext(followed)).event for _ in range(3)][-1] == piece(0, "Hel")
                rest = asyncio.create_task(anext(followed))

                os.kill(postgres.pid, signal.SIGKILL)
                await until_away(partial(turns.outcome, CHAT, M1))
                await until_available(partial(deltas.append, CHAT, piece(3, "lo")))

                assert (await rest).event == piece(3, "lo")
                await until_available(partial(turns.end, end(1, shown(2, 1), ids=["m1"])))
                assert names([told async for told in followed]) == [("3", "message"), ("4", "turn.completed")]


def _shown(told: Sequence[Told]) -> Shown:
    shown = Shown()
    for each in told:
        shown = shown.after(each.event)
    return shown


def _facts(session_id: SessionId) -> list[SessionEvent]:
    ended = end(1, shown(2, 1, text=f"by {session_id}"), ids=["m1"], session_id=session_id)
    return [
        session_events.TurnStarted(turn=1, message_ids=(M1,)),
        said("m1", 1, 1),
        *ended.messages,
        session_events.TurnEnded.of(ended.reply, (M1,), 2),
    ]


async def _transcript(pool: Pool, session_id: SessionId = CHAT) -> Sequence[Message]:
    return await PostgresTranscripts(pool).messages(session_id, limit=1000)
