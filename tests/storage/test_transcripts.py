"""Reads of what was said, and the ledger of attempts."""

from decimal import Decimal

import pytest

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import MessageId, ProviderName, SessionId
from tertulia.domain.providers.attempts import Admission
from tertulia.domain.providers.completions import RateLimits, Usage
from tertulia.domain.turns import AttemptOutcome
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.pool import Pool
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.transcripts import PostgresTranscripts
from tertulia.storage.turns import PostgresTurns

from .examples import CHAT, at, begin, end, opened, said, shown
from .provider_examples import GEMINI, GROQ
from .provider_examples import attempt as admission

ANSWERED = AttemptOutcome(
    failure=None,
    model="gemini-flash",
    request_id="req-1",
    ttft_ms=120.5,
    latency_ms=900.25,
    usage=Usage(input_uncached=10, input_cached=20, input_cache_write=30, output_visible=40, source="reported"),
    cost_usd=Decimal("0.0000001234567890"),
    cost_at_most_usd=Decimal("0.0000002"),
    cost_source="estimated",
    limits=RateLimits(remaining=0.25, until=at(7)),
)


def made(
    provider: ProviderName = GROQ, *, minute: float = 1, ask: int = 1, attempt: int = 1, turn: int = 1
) -> Admission:
    named = f"{turn}/{ask}/{provider}/{attempt}"
    return admission(
        named, provider, minute=minute, session_id=CHAT, turn=turn, ask=ask, attempt=attempt, is_retry=attempt > 1
    )


@pytest.fixture
async def chat(pool: Pool) -> PostgresTranscripts:
    """A greeting and four turns; nine messages."""
    turns = await opened(pool)
    await turns.end(end(0, shown(1, 0)))
    for turn in range(1, 5):
        await turns.begin(begin(turn, said(f"m{turn}", 2 * turn, turn)))
        await turns.end(end(turn, shown(2 * turn + 1, turn), ids=[f"m{turn}"]))
    return PostgresTranscripts(pool)


async def test_messages_are_read_page_by_page_oldest_first(chat: PostgresTranscripts) -> None:
    pages = [await chat.messages(CHAT, after=after, limit=4) for after in (0, 4, 8, 9)]

    assert [[message.seq for message in page] for page in pages] == [[1, 2, 3, 4], [5, 6, 7, 8], [9], []]


async def test_a_message_that_its_sessions_end_has_refused_is_known_as_long_as_the_session(
    pool: Pool, chat: PostgresTranscripts
) -> None:
    for _ in range(2):
        await PostgresTurns(pool).refuse(CHAT, [MessageId("m5"), MessageId("m6")])

    assert [await chat.was_refused(CHAT, MessageId(message)) for message in ("m4", "m5", "m6")] == [False, True, True]
    await PostgresSessionRecords(pool).erase(CHAT)
    await PostgresTurns(pool).refuse(CHAT, [MessageId("m7")])
    assert [await chat.was_refused(CHAT, MessageId(message)) for message in ("m5", "m7")] == [False, False]


async def test_a_message_comes_back_as_it_was_stored(chat: PostgresTranscripts) -> None:
    _, written, shown_back = await chat.messages(CHAT, limit=3)

    assert (written, shown_back) == (said("m1", 2, 1), shown(3, 1))


@pytest.mark.parametrize(
    ("up_to_turn", "limit", "expected"),
    [(2, 3, [3, 4, 5]), (2, 100, [1, 2, 3, 4, 5]), (0, 2, [1]), (9, 1, [9])],
)
async def test_the_window_is_the_last_messages_up_to_a_turn(
    chat: PostgresTranscripts, up_to_turn: int, limit: int, expected: list[int]
) -> None:
    window = await chat.window(CHAT, up_to_turn=up_to_turn, limit=limit)

    assert [message.seq for message in window] == expected


async def test_a_turn_is_found_by_its_number_and_by_its_message(chat: PostgresTranscripts) -> None:
    turn = await chat.turn(CHAT, 3)

    assert turn is not None
    assert (turn.turn, turn.message_ids) == (3, ("m3",))
    assert await chat.turn_of(CHAT, MessageId("m3")) == turn


async def test_what_does_not_exist_is_not_found(chat: PostgresTranscripts) -> None:
    nobody = SessionId("nobody")

    assert await chat.turn(CHAT, 99) is None
    assert await chat.turn_of(CHAT, MessageId("m99")) is None
    assert await chat.messages(nobody) == []
    assert await chat.window(nobody, up_to_turn=1, limit=1) == []
    assert await chat.turn(nobody, 0) is None


async def test_every_attempt_of_a_turn_is_kept_in_the_order_in_which_they_began(
    chat: PostgresTranscripts, pool: Pool
) -> None:
    attempts = PostgresAttempts(pool)
    failed = AttemptOutcome(failure=FailureClass.RATE_LIMIT, status=429, detail="slow down", latency_ms=5)
    first, again = made(GROQ, minute=1), made(GROQ, minute=3, attempt=2)
    other, later = made(GEMINI, minute=4), made(GEMINI, minute=6, turn=2)
    await attempts.admit(first)
    await attempts.settle(first.key.attempt_id, failed, at(2))
    await attempts.admit(again)
    await attempts.admit(other)
    await attempts.settle(other.key.attempt_id, ANSWERED, at(5))
    await attempts.admit(later)

    turn = await chat.turn(CHAT, 1)

    assert turn is not None
    assert [(attempt.key, attempt.outcome, attempt.started_at, attempt.ended_at) for attempt in turn.attempts] == [
        (first.key, failed, at(1), at(2)),
        (again.key, None, at(3), None),
        (other.key, ANSWERED, at(4), at(5)),
    ]


async def test_a_providers_words_are_stored_even_where_they_are_not_proper_text(
    chat: PostgresTranscripts, pool: Pool
) -> None:
    attempts = PostgresAttempts(pool)
    garbage = AttemptOutcome(failure=FailureClass.MALFORMED, detail="\0\ud83d", latency_ms=1)
    await attempts.admit(made())
    await attempts.settle(made().key.attempt_id, garbage, at(2))

    turn = await chat.turn(CHAT, 1)

    assert turn is not None
    assert turn.attempts[0].outcome == garbage.model_copy(update={"detail": "\ufffd\ufffd"})
