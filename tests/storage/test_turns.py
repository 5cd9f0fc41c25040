"""The writes of a session's workflow."""

import asyncio

import pytest

from tertulia.domain.conversation import Action, Intervention, SessionStatus, TurnStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import FailureClass, NotFound, Refused, SessionClosed
from tertulia.domain.ids import MessageId, ProviderName, SessionId
from tertulia.domain.turns import BeginTurn, PassedOver, ProviderTry, Withdrawal
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.pool import Pool
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.transcripts import PostgresTranscripts
from tertulia.storage.turns import PostgresTurns

from .examples import CHAT, GREETING, at, begin, end, new_session, opened, rows, said, shown
from .provider_examples import GEMINI, GROQ, attempt, failed


async def texts(pool: Pool) -> list[str]:
    return [message.text for message in await PostgresTranscripts(pool).messages(CHAT)]


async def test_an_opened_session_can_be_read_before_its_first_turn(pool: Pool) -> None:
    session = new_session(channel="web", role="recruiter", job_id="job-7", tenant="acme", context={"job": {"id": 7}})
    await PostgresTurns(pool).open(session, GREETING)

    record = await PostgresSessionRecords(pool).get(CHAT)

    assert record is not None
    assert (record.tenant, record.user_id, record.channel, record.role) == ("acme", "ada", "web", "recruiter")
    assert (record.job_id, record.context) == ("job-7", {"job": {"id": 7}})
    assert (record.state, record.status, record.turn) == ("hello", SessionStatus.OPEN, -1)
    assert (record.created_at, record.updated_at) == (at(0), at(0))


async def test_opening_twice_opens_once(pool: Pool) -> None:
    turns = PostgresTurns(pool)
    await asyncio.gather(*(turns.open(new_session(), GREETING) for _ in range(5)))
    await turns.end(end(0, shown(1, 0)))
    before = await rows(pool)

    await turns.open(new_session(), GREETING)

    assert await rows(pool) == before


async def test_a_session_opened_again_has_the_definition_that_its_workflow_got(pool: Pool) -> None:
    edited = GREETING.model_copy(update={"title": "Welcome"})
    turns = await opened(pool)

    await turns.open(new_session(definition=edited), edited)

    record = await PostgresSessionRecords(pool).get(CHAT)
    assert record is not None
    assert record.definition_hash == edited.content_hash() != GREETING.content_hash()


async def test_the_id_of_a_closed_session_is_not_given_to_another(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0), closes="done"))
    before = await rows(pool)

    with pytest.raises(SessionClosed):
        await turns.open(new_session(), GREETING)

    assert await rows(pool) == before


async def test_the_id_of_an_open_session_is_not_given_to_another(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    before = await rows(pool)

    with pytest.raises(Refused, match="another session") as refused:
        await turns.open(new_session(opened=10, user_id="eve"), GREETING)

    assert type(refused.value) is Refused
    assert await rows(pool) == before


async def test_a_turn_is_running_until_it_has_ended(pool: Pool) -> None:
    turns = await opened(pool)
    transcripts = PostgresTranscripts(pool)

    await turns.begin(begin(1, said("m1", 1, 1)))
    running = await transcripts.turn(CHAT, 1)
    assert running is not None
    assert (running.status, running.reply, running.ended_at, running.started_at) == ("running", None, None, at(1))
    assert running.message_ids == ("m1",)
    assert await turns.outcome(CHAT, MessageId("m1")) is None

    await turns.end(end(1, shown(2, 1), ids=["m1"]))
    ended = await transcripts.turn_of(CHAT, MessageId("m1"))
    assert ended is not None
    assert (ended.status, ended.ended_at) == (TurnStatus.ANSWERED, at(1.5))
    assert await texts(pool) == ["this is m1", "reply of turn 1"]


async def test_a_session_is_shown_as_it_stands_after_its_last_turn(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0), state="asking"))
    await turns.end(end(1, shown(2, 1), state="goodbye", closes="all is said"))

    record = await PostgresSessionRecords(pool).get(CHAT)

    assert record is not None
    assert (record.state, record.status, record.closed_reason) == ("goodbye", SessionStatus.CLOSED, "all is said")
    assert (record.turn, record.slots, record.updated_at) == (1, {"turns": 1}, at(1.5))
    assert record.next_action is not None


async def test_the_evidence_of_a_turn_is_kept(pool: Pool) -> None:
    turns = await opened(pool)
    attempts = PostgresAttempts(pool)
    made = attempt("a1", GROQ, session_id=CHAT, turn=1)
    passed_over = (PassedOver(provider=ProviderName("openrouter"), reason="no key"),)
    tried = (ProviderTry(provider=GROQ, failure=FailureClass.SERVER, detail="503"), ProviderTry(provider=GEMINI))

    await turns.begin(begin(1, said("m1", 1, 1)))
    await attempts.admit(made)
    await attempts.settle("a1", failed(), at(2))
    await turns.end(end(1, shown(2, 1), ids=["m1"], state="asking", passed_over=passed_over, tried=tried))

    turn = await PostgresTranscripts(pool).turn(CHAT, 1)
    assert turn is not None
    assert (turn.passed_over, turn.tried) == (passed_over, tried)
    assert (turn.state_before, turn.state_after) == ("hello", "asking")
    assert [(kept.key, kept.outcome) for kept in turn.attempts] == [(made.key, failed())]


async def test_messages_answered_together_have_one_outcome(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), said("m2", 2, 1)))
    ended = end(1, shown(3, 1), ids=["m1", "m2"])
    await turns.end(ended)

    for message_id in (MessageId("m1"), MessageId("m2")):
        assert await turns.outcome(CHAT, message_id) == ended.reply.model_copy(update={"message_id": message_id})


async def test_a_message_that_never_came_has_no_outcome(pool: Pool) -> None:
    turns = await opened(pool)
    assert await turns.outcome(CHAT, MessageId("never")) is None
    assert await turns.outcome(SessionId("never"), MessageId("never")) is None


async def test_a_message_answered_by_an_earlier_turn_is_not_stored_again(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    first = end(1, shown(2, 1), ids=["m1"], status=TurnStatus.FAILED)
    await turns.end(first)
    before = await rows(pool)

    answered = await turns.begin(begin(2, said("m1", 3, 2)))

    assert answered == {"m1": first.reply.model_copy(update={"message_id": "m1"})}
    after = await rows(pool)
    assert (after["messages"], after["turns"]) == (before["messages"], before["turns"])


async def test_messages_beside_an_answered_one_are_stored(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    answered = await turns.begin(begin(2, said("m1", 3, 2), said("m2", 4, 2)))
    assert set(answered) == {"m1"}
    assert await turns.begin(begin(2, said("m2", 3, 2))) == {}

    messages = await PostgresTranscripts(pool).messages(CHAT)
    assert [(message.seq, message.message_id) for message in messages] == [(1, "m1"), (2, None), (3, "m2")]


async def test_the_same_call_again_changes_nothing(pool: Pool) -> None:
    turns = await opened(pool)
    for call in (begin(1, said("m1", 1, 1)), end(1, shown(2, 1), ids=["m1"])):
        write = turns.begin if isinstance(call, BeginTurn) else turns.end
        await write(call)  # type: ignore[arg-type]
        before = await rows(pool)
        await write(call)  # type: ignore[arg-type]
        assert await rows(pool) == before


async def test_the_same_call_many_times_at_once_is_one_call(pool: Pool) -> None:
    turns = await opened(pool)
    begun, ended = begin(1, said("m1", 1, 1)), end(1, shown(2, 1), ids=["m1"])

    await asyncio.gather(*(turns.begin(begun) for _ in range(8)))
    await asyncio.gather(*(turns.end(ended) for _ in range(8)))

    assert await texts(pool) == ["this is m1", "reply of turn 1"]
    assert await turns.outcome(CHAT, MessageId("m1")) is not None


async def test_a_turn_begun_anew_with_other_messages_replaces_what_stood_there(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    await turns.end(end(1, shown(2, 1), ids=["m1"], minute=2))
    await turns.begin(begin(2, said("m2", 3, 2), minute=3))

    await turns.begin(begin(1, said("m2", 1, 1), minute=10))
    await turns.end(end(1, shown(2, 1), ids=["m2"], minute=11))
    await turns.begin(begin(2, said("m1", 3, 2), minute=12))

    assert await texts(pool) == ["this is m2", "reply of turn 1", "this is m1"]
    assert await turns.outcome(CHAT, MessageId("m1")) is None
    assert await turns.outcome(CHAT, MessageId("m2")) is not None


async def test_an_end_written_anew_replaces_what_came_after_it(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    await turns.end(end(1, shown(2, 1), shown(3, 1), ids=["m1"], minute=2))
    await turns.end(end(2, shown(4, 2), minute=3, state="reminded"))

    await turns.end(end(1, shown(2, 1, text="otherwise"), ids=["m1"], minute=10))

    assert await texts(pool) == ["this is m1", "otherwise"]
    record = await PostgresSessionRecords(pool).get(CHAT)
    assert record is not None
    assert (record.turn, record.state, record.updated_at) == (1, "hello", at(10))


async def test_an_end_removes_what_a_worker_that_was_ahead_began_after_it(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m1", 1, 1), minute=1))
    await turns.begin(begin(2, said("m2", 3, 2), minute=2))

    await turns.end(end(1, shown(2, 1), ids=["m1"], minute=3))

    assert await texts(pool) == ["this is m1", "reply of turn 1"]
    assert await PostgresTranscripts(pool).turn(CHAT, 2) is None


@pytest.mark.parametrize("minute", [5, 6])
async def test_a_late_end_takes_nothing_back(pool: Pool, minute: float) -> None:
    turns = await opened(pool)
    late = end(1, shown(1, 1, text="late"), minute=minute)
    await turns.end(end(1, shown(1, 1), minute=5))
    await turns.end(end(2, shown(2, 2), minute=6, state="further"))
    before = await rows(pool)

    await turns.end(late)

    assert await rows(pool) == before


async def test_a_worker_that_was_frozen_changes_nothing_when_it_wakes(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.begin(begin(1, said("m2", 1, 1), minute=10))
    await turns.end(end(1, shown(2, 1), ids=["m2"], minute=11))
    await turns.begin(begin(2, said("m1", 3, 2), minute=12))
    before = await rows(pool)

    assert await turns.begin(begin(1, said("m1", 1, 1), minute=1)) == {}
    await turns.end(end(1, shown(2, 1, text="frozen"), ids=["m1"], minute=1))
    await turns.begin(begin(2, said("m3", 3, 2), minute=2))
    await turns.end(end(2, shown(4, 2, text="frozen"), ids=["m3"], minute=2))

    assert await rows(pool) == before


async def test_a_clock_that_went_back_between_two_turns_loses_nothing(pool: Pool) -> None:
    turns = await opened(pool)
    await turns.end(end(1, shown(1, 1), minute=60))

    await turns.begin(begin(2, said("m1", 2, 2), minute=59))
    await turns.end(end(2, shown(3, 2), ids=["m1"], minute=59))

    assert await texts(pool) == ["reply of turn 1", "this is m1", "reply of turn 2"]


async def test_a_turn_that_asks_without_a_persons_message_runs(pool: Pool) -> None:
    turns = await opened(pool)

    await turns.begin(begin(1))

    turn = await PostgresTranscripts(pool).turn(CHAT, 1)
    assert turn is not None
    assert (turn.status, turn.message_ids) == ("running", ())


async def test_writes_to_an_unknown_session_say_so(pool: Pool) -> None:
    turns = PostgresTurns(pool)
    with pytest.raises(NotFound, match="session"):
        await turns.begin(begin(1, said("m1", 1, 1)))
    with pytest.raises(NotFound, match="session"):
        await turns.end(end(1))


async def test_sessions_do_not_see_each_other(pool: Pool) -> None:
    turns = await opened(pool)
    other = SessionId("other")
    await opened(pool, other)
    await turns.begin(begin(1, said("m1", 1, 1)))
    await turns.end(end(1, shown(2, 1), ids=["m1"]))

    assert await turns.begin(begin(1, said("m1", 1, 1), session_id=other)) == {}
    assert await turns.outcome(other, MessageId("m1")) is None


async def test_what_postgres_cannot_hold_is_replaced(pool: Pool) -> None:
    turns = PostgresTurns(pool)
    await turns.open(new_session(context={"nul\0": ["a\0b", r"\u0000", "\\\0"]}), GREETING)
    await turns.begin(begin(1, said("m1", 1, 1, text="a\0b")))
    await turns.end(end(1, shown(2, 1, text="c\0d"), ids=["m1"], closes="\0"))

    assert await texts(pool) == ["a\ufffdb", "c\ufffdd"]
    record = await PostgresSessionRecords(pool).get(CHAT)
    assert record is not None
    assert record.context == {"nul\ufffd": ["a\ufffdb", r"\u0000", "\\\ufffd"]}
    assert record.closed_reason == "\ufffd"


async def test_long_texts_come_back_whole(pool: Pool) -> None:
    turns = await opened(pool)
    text = "Ünïcödé 🦜 " * 100_000
    await turns.begin(begin(1, said("m1", 1, 1, text=text)))
    await turns.end(end(1, shown(2, 1, text=text), ids=["m1"]))

    assert await texts(pool) == [text, text]
    outcome = await turns.outcome(CHAT, MessageId("m1"))
    assert outcome is not None
    assert outcome.text == text


async def test_a_definition_stored_once_serves_many_sessions_opened_at_once(pool: Pool) -> None:
    turns = PostgresTurns(pool)
    definitions = [GREETING.model_copy(update={"version": str(version)}) for version in range(3)]

    async def open_session(number: int, definition: Definition) -> None:
        await turns.open(new_session(SessionId(f"s{number}"), definition=definition), definition)

    await asyncio.gather(*(open_session(number, definitions[number % 3]) for number in range(30)))

    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM definitions") == 3
        assert await connection.fetchval("SELECT count(*) FROM sessions") == 30


# --- people in the loop -----------------------------------------------------------------------------------------------


async def test_what_is_undone_is_marked_once_and_left_out_of_windows_on_request(pool: Pool) -> None:
    turns = await opened(pool)
    for turn in (1, 2):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn - 1, turn)))
        await turns.end(end(turn, shown(2 * turn, turn), ids=[f"m{turn}"]))
    await turns.end(end(3, shown(5, 3), withdraws=Withdrawal(first=2, last=2)))
    await turns.end(end(4, shown(6, 4), withdraws=Withdrawal(first=1, last=3, replies_only=True)))

    transcripts = PostgresTranscripts(pool)
    assert [m.withdrawn_in for m in await transcripts.messages(CHAT)] == [None, 4, 3, 3, 4, None]
    counting = await transcripts.window(CHAT, up_to_turn=9, limit=9, withdrawn=False)
    assert [message.seq for message in counting] == [1, 6]


async def test_the_outcome_of_an_order_is_found_by_its_id(pool: Pool) -> None:
    turns = await opened(pool)
    order = Intervention(action=Action.HAND_OVER, request_id=MessageId("h1"), operator="eva", reason="it is time")
    await turns.end(end(1, intervention=order))

    outcome = await turns.outcome_of_order(CHAT, MessageId("h1"))
    assert outcome is not None
    assert (outcome.turn, outcome.message_id) == (1, "h1")
    assert await turns.outcome_of_order(CHAT, MessageId("h2")) is None
    stored = await PostgresTranscripts(pool).turn(CHAT, 1)
    assert stored is not None
    assert stored.intervention == order
