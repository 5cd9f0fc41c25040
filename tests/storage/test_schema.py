"""The tables agree with the values that go in, and the reads find their indexes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import get_args

import pytest

from tertulia.domain.access import Scope
from tertulia.domain.conversation import Owner, Role, SessionStatus, TurnStatus
from tertulia.domain.errors import FailureClass
from tertulia.domain.figures import HeardAs, Standing
from tertulia.domain.providers.costs import CostSource
from tertulia.domain.turns import SessionFilter
from tertulia.storage import provider_metrics, provider_states, session_events, sessions, transcripts, turns
from tertulia.storage.pool import Pool, connect

from .examples import at


@pytest.mark.parametrize(
    ("table", "column", "values"),
    [
        ("sessions", "status", {*SessionStatus}),
        ("sessions", "owner", {*Owner}),
        ("sessions", "standing", {*Standing}),
        ("turns", "status", {*TurnStatus, "running"}),
        ("turns", "heard_as", {*HeardAs}),
        ("messages", "role", {*Role}),
        ("attempts", "failure", {*FailureClass}),
        ("attempts", "usage_source", {"reported", "estimated", "absent"}),
        ("attempts", "cost_source", {*get_args(CostSource)}),
        ("api_keys", "scope", {*Scope}),
    ],
)
async def test_closed_sets_are_the_same_in_the_tables_and_in_the_code(
    pool: Pool, table: str, column: str, values: set[StrEnum | str]
) -> None:
    async with pool.connection() as connection:
        check = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", f"{table}_{column}_check"
        )

    assert set(check.split("'")[1::2]) == {str(value) for value in values}


_CROWD = """
WITH segment AS (
    INSERT INTO segments (tenant, definition, channel) VALUES ('t', 'd', 'api')
), opened AS (
    INSERT INTO sessions (session_id, tenant, user_id, channel, role, definition, definition_hash, context, state,
                          status, owner, turn, latest_turn, slots, created_at, updated_at, segment)
    SELECT 's' || n, 't' || n % 50, 'u' || n % 50, 'api', 'candidate', 'd' || n % 50, 'hash', '{}', 'state' || n % 50,
           'open', 'bot', 9, 9, '{}', now() - n * interval '1 minute', now(), 1
    FROM generate_series(1, 10000) AS n
), taken AS (
    INSERT INTO turns (session_id, turn, status, message_ids, started_at, begun_event)
    SELECT 's' || n, turn, 'running', '[]', now(), turn
    FROM generate_series(1, 100) AS n, generate_series(0, 99) AS turn
), asked AS (
    INSERT INTO attempts (attempt_id, session_id, turn, ask, provider, attempt, tenant, started_at, ended_at,
                          latency_ms)
    SELECT n || '/' || turn, 's' || n, turn, 1, 'p' || n % 5, 1, 't', now(), now() - turn * interval '1 minute', 5
    FROM generate_series(1, 100) AS n, generate_series(0, 99) AS turn
), changed AS (
    INSERT INTO provider_history (provider, at, reason, before, after)
    SELECT 'p' || n % 5, now(), '', '{}', '{}' FROM generate_series(1, 10000) AS n
), spoken AS (
    INSERT INTO messages (session_id, seq, turn, role, text, created_at, message_id, event)
    SELECT 's' || n, turn + 1, turn, 'user', 'Hello', now(), 'm' || turn, turn
    FROM generate_series(1, 100) AS n, generate_series(0, 99) AS turn
)
INSERT INTO stream_deltas (session_id, turn, attempt, text_offset, text)
SELECT 's' || n, 9, 1, piece, 'Hello' FROM generate_series(1, 100) AS n, generate_series(0, 99) AS piece
"""


@pytest.fixture
async def crowded(pool: Pool, database: str) -> Pool:
    """Ten thousand sessions; a hundred of them with a hundred turns, messages and pieces each."""
    async with connect(database) as connection:
        await connection.execute("INSERT INTO definitions (hash, name, content) VALUES ('hash', 'd', '{}')")
        await connection.execute(_CROWD)
        await connection.execute("ANALYZE")
    return pool


async def test_every_list_and_read_finds_an_index_that_has_its_order(crowded: Pool) -> None:
    cursor = sessions.Cursor(at(0), "s1")
    lists = [
        sessions._listing(SessionFilter(**wanted), behind, 51)
        for wanted in ({}, {"tenant": "t1"}, {"user_id": "u1"}, {"state": "state1"}, {"definition": "d1"})
        for behind in (None, cursor)
    ]
    reads: list[tuple[str, list[object]]] = [
        (sessions._GET, ["s1"]),
        (transcripts._MESSAGES, ["s1", 50, 10]),
        (transcripts._WINDOW, ["s1", 50, 10, True]),
        (transcripts._TURN, ["s1", 9]),
        (transcripts._TURN_OF, ["s1", "m9"]),
        (turns._OUTCOME, ["s1", "m9"]),
        (provider_metrics._HISTORY, ["p1", 9]),
        (session_events._BEGINNING_OF, ["s1", "m9"]),
        (session_events._PLACES, ["s1"]),
        (session_events._PIECES, ["s1", 9, 1, 50, 10]),
    ]
    for statement, arguments in [*lists, *reads]:
        plan = await explained(crowded, statement, arguments)
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan


async def test_what_is_read_of_the_ledger_finds_an_index(crowded: Pool) -> None:
    async with crowded.connection() as connection:
        await connection.execute(
            "INSERT INTO provider_slots (provider, slot) SELECT 'p' || n, 0 FROM generate_series(0, 4) n"
        )
    lately = datetime.now(UTC) - timedelta(minutes=5)
    reads: list[tuple[str, list[object]]] = [
        (transcripts._ATTEMPTS, ["s1", 9]),
        (provider_states._SAMPLES, [lately, 200]),
        (provider_metrics._METRICS, [lately, lately, None]),
        (provider_metrics._FAILURES, [lately, lately, "acme"]),
    ]
    for statement, arguments in reads:
        plan = await explained(crowded, statement, arguments)
        assert "Seq Scan on attempts" not in plan, plan
        assert "Index" in plan, plan


async def explained(pool: Pool, statement: str, arguments: Sequence[object]) -> str:
    async with pool.connection() as connection:
        return "\n".join(row["QUERY PLAN"] for row in await connection.fetch(f"EXPLAIN {statement}", *arguments))
