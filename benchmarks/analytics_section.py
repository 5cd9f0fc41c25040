"""What is measured of figures about many conversations, as a section of the page."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.analytics import A_MONTH, A_PART, EVERYTHING, STATEMENTS, load, reads, warm_times
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import Pool, connect, open_pool

SESSIONS = 50_000
ROUNDS = 15
# Read as a whole it would be more than a figure may cost.
LARGE = ("turns", "passages", "attempts", "messages")


async def analytics_section(directory: Path) -> str:
    """Measure the figures of a million messages, and return what came of it."""
    async with EmbeddedPostgres(directory / "postgres") as postgres:
        await migrate(postgres.dsn)
        async with connect(postgres.dsn) as connection:
            await load(connection, sessions=SESSIONS)
        async with open_pool(postgres.dsn) as pool:
            sizes = await _sizes(pool)
            times = [await warm_times(pool, of, rounds=ROUNDS) for of in (EVERYTHING, A_MONTH, A_PART)]
            whole = [name for name in STATEMENTS if await _reads_whole_tables(pool, name)]
    return _SECTION.format(
        messages=sizes["messages"],
        turns=sizes["turns"],
        sessions=sizes["sessions"],
        rounds=ROUNDS,
        table="\n".join(
            f"| {name} | {' | '.join(_shown(of[name]) for of in times)} | {_in_words(name in whole)} |"
            for name in STATEMENTS
        ),
    )


async def _sizes(pool: Pool) -> Mapping[str, int]:
    async with pool.connection() as connection:
        rows = await connection.fetch("""
            WITH ours AS (SELECT session_id FROM sessions WHERE tenant = 'default')
            SELECT (SELECT count(*) FROM messages JOIN ours USING (session_id)) AS messages,
                   (SELECT count(*) FROM turns JOIN ours USING (session_id)) AS turns,
                   (SELECT count(*) FROM ours) AS sessions""")
    return dict(rows[0])


async def _reads_whole_tables(pool: Pool, name: str) -> bool:
    ways = [await reads(pool, STATEMENTS[name](of), of) for of in (EVERYTHING, A_MONTH, A_PART)]
    return any(table in LARGE and how != "Index Only Scan" for found in ways for how, table in found)


def _shown(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f})"


def _in_words(reads_whole_tables: bool) -> str:
    return "no" if reads_whole_tables else "yes"


_SECTION = """\
Figures (docs/analytics.md) over {messages:,} messages of one tenant: {turns:,} turns of {sessions:,} sessions in 90
days, beside a tenth as much of another tenant's. Asked for through pool and types as the API does it, once to warm up
and then {rounds} times; milliseconds, the median, and in brackets the smallest and the largest. Aim: ≤ 300.

| figure | all of it | 30 days | 30 days, one definition on one channel | turns, passages and attempts by index alone |
|---|---|---|---|---|
{table}
"""
