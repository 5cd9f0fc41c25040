"""Lists of sessions."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.conversation import SessionStatus
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import SessionId
from tertulia.domain.turns import SessionFilter
from tertulia.storage.pool import Pool
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.turns import PostgresTurns

from .examples import GREETING, end, new_session

EVERYTHING = SessionFilter()


@pytest.fixture
async def records(pool: Pool) -> PostgresSessionRecords:
    """Seven sessions, s0 to s6; two open in each minute. The odd ones are Ada's, s0 to s2 are closed."""
    turns = PostgresTurns(pool)
    for number in range(7):
        session = new_session(
            SessionId(f"s{number}"),
            opened=number // 2,
            user_id="ada" if number % 2 else "grace",
            tenant="acme" if number < 4 else "umbrella",
            channel="web" if number == 6 else "api",
        )
        await turns.open(session, GREETING)
    for number in range(3):
        await turns.end(end(0, session_id=SessionId(f"s{number}"), state="goodbye", closes="done", minute=9))
    return PostgresSessionRecords(pool)


async def ids(records: PostgresSessionRecords, where: SessionFilter, *, limit: int = 50) -> list[str]:
    """Read a list to its end."""
    found: list[str] = []
    cursor = None
    while True:
        page = await records.find(where, cursor=cursor, limit=limit)
        assert len(page.sessions) <= limit
        found += [session.session_id for session in page.sessions]
        if page.next is None:
            return found
        cursor = page.next


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (EVERYTHING, ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]),
        (SessionFilter(user_id="ada"), ["s5", "s3", "s1"]),
        (SessionFilter(tenant="umbrella"), ["s6", "s5", "s4"]),
        (SessionFilter(state="goodbye"), ["s2", "s1", "s0"]),
        (SessionFilter(status=SessionStatus.OPEN), ["s6", "s5", "s4", "s3"]),
        (SessionFilter(definition="greeting", channel="web"), ["s6"]),
        (SessionFilter(user_id="ada", tenant="acme", status=SessionStatus.CLOSED), ["s1"]),
        (SessionFilter(user_id="nobody"), []),
    ],
)
async def test_sessions_are_listed_newest_first(
    records: PostgresSessionRecords, where: SessionFilter, expected: list[str]
) -> None:
    assert await ids(records, where) == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_of_any_size_together_are_the_list(records: PostgresSessionRecords, limit: int) -> None:
    assert await ids(records, EVERYTHING, limit=limit) == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]


async def test_sessions_that_open_or_go_on_while_a_list_is_read_do_not_shift_it(
    records: PostgresSessionRecords, pool: Pool
) -> None:
    turns = PostgresTurns(pool)
    first = await records.find(EVERYTHING, limit=3)
    await turns.open(new_session(SessionId("s7"), opened=60), GREETING)
    await turns.end(end(1, session_id=SessionId("s0"), minute=60))

    second = await records.find(EVERYTHING, cursor=first.next, limit=50)

    assert [session.session_id for session in second.sessions] == ["s3", "s2", "s1", "s0"]


async def test_a_session_that_does_not_exist_is_none(records: PostgresSessionRecords) -> None:
    assert await records.get(SessionId("nobody")) is None


@pytest.mark.parametrize("cursor", ["x", "bm9uc2Vuc2U=", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCBz", "\0", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(records: PostgresSessionRecords, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await records.find(EVERYTHING, cursor=cursor)


@settings(max_examples=50)
@given(cursor=st.text(min_size=1) | st.binary().map(lambda raw: raw.hex()))
async def test_no_cursor_breaks_the_list(records: PostgresSessionRecords, cursor: str) -> None:
    with suppress(InvalidInput):
        await records.find(EVERYTHING, cursor=cursor)


async def test_many_readers_share_a_few_connections(records: PostgresSessionRecords) -> None:
    pages = await asyncio.gather(*(records.find(EVERYTHING) for _ in range(100)))

    assert {len(page.sessions) for page in pages} == {7}
