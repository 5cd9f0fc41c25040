"""Many conversations at once, copied into the tables as the engine would have written them, and what figures cost."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from benchmarks.measuring import timed
from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.ids import DEFAULT_TENANT, TenantId
from tertulia.storage import analytics
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.pool import Connection, Pool

# Turns of a session; each has a message of the person's and one of the assistant's, but for the greeting.
TURNS = 10
DAYS = 90
LAST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
# What the API may be asked for.
EVERYTHING = Selection(tenant=DEFAULT_TENANT, since=LAST_DAY - timedelta(days=DAYS + 1), until=LAST_DAY)
A_MONTH = EVERYTHING.model_copy(update={"since": LAST_DAY - timedelta(days=30)})
A_PART = A_MONTH.model_copy(update={"definition": "recruiting", "channel": "web"})
ANOTHER_TENANT = TenantId("another")

_STATES = ("initialized", "onboarding", "collecting_info", "processing", "waiting_for_input", "completed")
_SLOTS = ("name", "email", "phone", "role", "experience_years", "resume", "notice_period", "motivation")
_HEARD = ("answered",) * 8 + ("not_understood", "asked_again")
_PROVIDERS = ("openrouter", "gemini", "groq")
_BATCH = 1000

_COLUMNS = {
    "sessions": (
        "session_id, tenant, user_id, channel, role, definition, definition_hash, job_id, context, state, status, "
        "owner, turn, latest_turn, slots, next_action, created_at, updated_at, segment, standing, stays_in, "
        "stays_since, handed_over"
    ),
    "turns": (
        "session_id, turn, status, message_ids, reply, state_before, state_after, started_at, ended_at, segment, "
        "response_ms, from_person, from_assistant, from_operator, heard_slot, heard_as, asked_slot"
    ),
    "messages": "session_id, seq, turn, role, text, created_at, message_id, event",
    "passages": "session_id, turn, position, segment, opened_at, at, source, target, first, stayed_ms",
    "attempts": (
        "attempt_id, provider, session_id, turn, ask, attempt, tenant, started_at, ended_at, failure, ttft_ms, "
        "latency_ms, cost_usd, segment"
    ),
    "applications": (
        "tenant, application_id, job_id, user_id, session_id, status, answers, prescreen, created_at, updated_at"
    ),
}


@dataclass(frozen=True)
class Segment:
    """Who talks, where and about what."""

    segment: int
    tenant: str
    definition: str
    job_id: str | None
    channel: str


@dataclass
class Rows:
    """Rows to copy, by table; every table behind those that it refers to."""

    of: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in _COLUMNS})


async def load(connection: Connection, *, sessions: int, seed: int = 1) -> None:
    """Copy so many sessions of one tenant into an empty, migrated database, and a tenth as many of another.

    The planner then knows what is there, and the pages are marked as unchanging, as a while after the last write.
    """
    random = Random(seed)
    segments = await _make_segments(connection)
    together = sessions + sessions // 10
    for start in range(0, together, _BATCH):
        rows = Rows()
        for number in range(start, min(start + _BATCH, together)):
            tenant = ANOTHER_TENANT if number % 11 == 0 else DEFAULT_TENANT
            opened_at = LAST_DAY - timedelta(days=DAYS * (1 - number / together))
            _add_session(rows, random, number, random.choice(segments[tenant]), opened_at)
        for table, columns in _COLUMNS.items():
            await connection.copy_records_to_table(table, records=rows.of[table], columns=columns.split(", "))
    await connection.execute("VACUUM ANALYZE")


async def _make_segments(connection: Connection) -> Mapping[str, Sequence[Segment]]:
    made: dict[str, list[Segment]] = {}
    for tenant in (DEFAULT_TENANT, ANOTHER_TENANT):
        for job in range(10):
            questions = json.dumps([{"qid": "permit", "text": "May you work here?", "must_have": True}])
            await connection.execute(
                "INSERT INTO jobs (tenant, job_id, title, description, location, skills, currency, status, questions,"
                " created_at, updated_at) VALUES ($1, $2, '', '', '', '[]', 'EUR', 'open', $3, $4, $4)",
                tenant,
                f"job-{job}",
                questions,
                LAST_DAY,
            )
        wanted: list[tuple[str, str | None, str]] = [
            ("recruiting", f"job-{job}", channel) for job in range(10) for channel in ("web", "whatsapp")
        ]
        wanted += [("assistant", None, channel) for channel in ("web", "telegram", "api")]
        made[tenant] = [
            Segment(
                await connection.fetchval(
                    "INSERT INTO segments (tenant, definition, job_id, channel) VALUES ($1, $2, $3, $4)"
                    " RETURNING segment",
                    tenant,
                    definition,
                    job_id,
                    channel,
                ),
                tenant,
                definition,
                job_id,
                channel,
            )
            for definition, job_id, channel in wanted
        ]
    await connection.execute("INSERT INTO definitions (hash, name, content) VALUES ('hash', 'recruiting', '{}')")
    return made


def _add_session(rows: Rows, random: Random, number: int, segment: Segment, opened_at: datetime) -> None:
    session_id = f"{random.getrandbits(128):032x}"
    at, turns = opened_at, random.randint(2, 2 * TURNS - 1)
    way = list(_way(random, turns))
    state, since = _STATES[0], opened_at
    for turn in range(turns + 1):
        at += timedelta(seconds=min(random.expovariate(1 / 40), 3600))
        _add_turn(rows, random, segment, session_id, turn, at)
        for position, target in enumerate(way[turn], start=1):
            source = None if turn == 0 and position == 1 else state
            stayed_ms = None if source is None else int((at - since).total_seconds() * 1000)
            rows.of["passages"].append(
                (session_id, turn, position, segment.segment, opened_at, at, source, target, True, stayed_ms)
            )
            state, since = target, at
    closed = random.random() < 0.9
    standing = random.choice(("asking", "talking", "complete", "complete"))
    if closed:
        stayed_ms = int((at - since).total_seconds() * 1000)
        rows.of["passages"].append(
            (session_id, turns, 99, segment.segment, opened_at, at, state, None, False, stayed_ms)
        )
    rows.of["sessions"].append(
        (
            session_id,
            segment.tenant,
            f"user-{number}",
            segment.channel,
            "candidate",
            segment.definition,
            "hash",
            segment.job_id,
            "{}",
            state,
            "closed" if closed else "open",
            "bot",
            turns,
            turns,
            json.dumps(dict.fromkeys(_SLOTS, "an answer of some words")),
            json.dumps({"kind": "talk"}),
            opened_at,
            at,
            segment.segment,
            standing,
            state,
            since,
            random.random() < 0.1,
        )
    )
    if segment.job_id:
        _add_application(rows, random, number, segment, session_id, opened_at)


def _way(random: Random, turns: int) -> Iterator[Sequence[str]]:
    """Yield the states entered in each turn, the greeting first."""
    ahead = list(_STATES[: random.randint(2, len(_STATES))])
    yield [ahead.pop(0)]
    for turn in range(turns):
        last = turn == turns - 1
        entered = ahead if last else ahead[: random.choice((0, 0, 1))]
        ahead = ahead[len(entered) :]
        yield entered


def _add_turn(rows: Rows, random: Random, segment: Segment, session_id: str, turn: int, at: datetime) -> None:
    greeting = turn == 0
    heard = not greeting and random.random() < 0.8
    message_id = f"m-{turn}"
    reply = {"turn": turn, "status": "answered", "text": _TEXT, "state": _STATES[3], "next_action": {"kind": "talk"}}
    rows.of["turns"].append(
        (
            session_id,
            turn,
            "answered",
            "[]" if greeting else json.dumps([message_id]),
            json.dumps(reply),
            _STATES[3],
            _STATES[3],
            at,
            at,
            segment.segment,
            None if greeting else int(random.lognormvariate(6, 1)),
            0 if greeting else 1,
            1,
            0,
            random.choice(_SLOTS) if heard else None,
            random.choice(_HEARD) if heard else None,
            random.choice(_SLOTS),
        )
    )
    if not greeting:
        rows.of["messages"].append((session_id, 2 * turn, turn, "user", _TEXT, at, message_id, 4 * turn))
    rows.of["messages"].append((session_id, 2 * turn + 1, turn, "assistant", _TEXT, at, None, 4 * turn + 1))
    if not greeting and random.random() < 0.4:
        _add_attempt(rows, random, segment, session_id, turn, at)


def _add_attempt(rows: Rows, random: Random, segment: Segment, session_id: str, turn: int, at: datetime) -> None:
    latency_ms = random.lognormvariate(6.5, 0.7)
    rows.of["attempts"].append(
        (
            f"{session_id}/{turn}",
            random.choice(_PROVIDERS),
            session_id,
            turn,
            1,
            1,
            segment.tenant,
            at,
            at,
            random.choice((None,) * 19 + ("timeout",)),
            latency_ms / 3,
            latency_ms,
            Decimal(random.randint(1, 500)) / 1_000_000,
            segment.segment,
        )
    )


def _add_application(
    rows: Rows, random: Random, number: int, segment: Segment, session_id: str, opened_at: datetime
) -> None:
    failed = ["permit"] if random.random() < 0.2 else []
    prescreen = {"jd_match_score": 50, "must_have_failed": failed, "points": {}, "at": opened_at.isoformat()}
    rows.of["applications"].append(
        (
            segment.tenant,
            f"application-{number}",
            segment.job_id,
            f"user-{number}",
            session_id,
            "screened",
            json.dumps({"permit": not failed, "years": 5}),
            json.dumps(prescreen),
            opened_at,
            opened_at,
        )
    )


_TEXT = "So many words does a message of a chat have, or a few more, if people are in the mood to tell something."

# --- what figures cost ------------------------------------------------------------------------------------------------

# Every statement that the API can run. Of rows told apart by time the finest are the most work.
STATEMENTS: Mapping[str, Callable[[Selection], str]] = {
    "funnel": lambda _: analytics._FUNNEL,
    "state times": lambda _: analytics._STATE_TIMES,
    "slots": lambda _: analytics._SLOTS,
    "knock-outs": analytics.knock_outs_statement,
    "response times": lambda _: analytics.response_times_statement(ByDay.ALL),
    "response times by day": lambda _: analytics.response_times_statement(ByDay.DAY),
    "volumes by day": lambda _: analytics.volumes_statement(By.DAY),
    "volumes by hour of the day": lambda _: analytics.volumes_statement(By.HOUR_OF_DAY),
    "outcomes": lambda _: analytics.outcomes_statement(ByDay.ALL),
    "outcomes by day": lambda _: analytics.outcomes_statement(ByDay.DAY),
    "costs": lambda _: analytics._COSTS,
    "providers": analytics.providers_statement,
}


def calls(pool: Pool) -> Mapping[str, Callable[[Selection], Awaitable[object]]]:
    """Return the calls behind the statements, by the same names."""
    figures = PostgresAnalytics(pool)
    return {
        "funnel": figures.funnel,
        "state times": figures.state_times,
        "slots": figures.slots,
        "knock-outs": figures.knock_outs,
        "response times": lambda of: figures.response_times(of, ByDay.ALL),
        "response times by day": lambda of: figures.response_times(of, ByDay.DAY),
        "volumes by day": lambda of: figures.volumes(of, By.DAY),
        "volumes by hour of the day": lambda of: figures.volumes(of, By.HOUR_OF_DAY),
        "outcomes": lambda of: figures.outcomes(of, ByDay.ALL),
        "outcomes by day": lambda of: figures.outcomes(of, ByDay.DAY),
        "costs": figures.costs,
        "providers": figures.providers,
    }


async def warm_times(pool: Pool, of: Selection, *, rounds: int) -> Mapping[str, Sequence[float]]:
    """Time each figure of a selection once it has been asked for before, milliseconds."""
    times: dict[str, list[float]] = {}
    for name, call in calls(pool).items():
        await call(of)
        times[name] = [await timed(lambda call=call: call(of)) for _ in range(rounds)]  # type: ignore[misc]
    return times


async def reads(pool: Pool, statement: str, of: Selection) -> Sequence[tuple[str, str]]:
    """Tell how Postgres would read each table, under the settings that the statement is run with.

    Returns:
        Pairs of the way, such as "Index Only Scan", and the table.
    """
    async with pool.transaction() as connection:
        await connection.execute(analytics._SETTINGS)
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *analytics.arguments(of))
    return list(_reads(json.loads(explained)[0]["Plan"]))


def _reads(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "Relation Name" in node:
        yield node["Node Type"], node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from _reads(part)
