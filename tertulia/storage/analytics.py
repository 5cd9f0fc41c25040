"""Figures about many conversations. Each is one statement over facts that were written with the turns.

What is large (turns, passages, attempts) is read from an index that has all that is counted, between two times; what a
segment stands for is looked up afterwards. Percentiles are values that occurred: the smallest that so many percent do
not exceed. Hours and days are those of UTC.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar, assert_never

from tertulia.domain.analytics import (
    By,
    ByDay,
    CostRow,
    FunnelRow,
    KnockOutRow,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.conversation import Payload
from tertulia.storage.pool import Pool

T = TypeVar("T", bound=Payload)

# An index in memory costs as little as a table does, and no sort of this size is to go to the disk. How much lies
# between two times decides on the plan, so each call has its own. The hour of a timestamp is told fastest in the
# session's own zone.
_SETTINGS = """
SET LOCAL random_page_cost = 1.1;
SET LOCAL work_mem = '64MB';
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL timezone = 'UTC'
"""
_NEVER_AS_NULL = "nullif(at, '-infinity')"

# Every statement takes the same six: tenant, since, until, definition, job_id, channel.
_MATCHING = """
    tenant = $1 AND ($4::text IS NULL OR definition = $4) AND ($5::text IS NULL OR job_id = $5)
    AND ($6::text IS NULL OR channel = $6)"""
_WANTED = f"SELECT segment, definition, channel FROM segments WHERE {_MATCHING}"  # noqa: S608 - of constants
# As an array, which an index is searched for value by value.
_SEGMENTS = "segment = ANY (ARRAY (SELECT segment FROM wanted))"

# As `domain.analytics.Outcome` has them.
_OUTCOME = """
    CASE WHEN handed_over THEN 'handed_over'
         WHEN standing = 'complete' OR status = 'closed' AND standing = 'talking' THEN 'contained'
         WHEN status = 'closed' THEN 'abandoned'
         ELSE 'in_progress' END"""
_COUNT_OUTCOMES = ", ".join(
    f"count(*) FILTER (WHERE outcome = '{outcome}') AS {outcome}"
    for outcome in ("in_progress", "contained", "handed_over", "abandoned")
)
_SUM_OUTCOMES = ", ".join(
    f"coalesce(sum({outcome}), 0)::bigint AS {outcome}"
    for outcome in ("in_progress", "contained", "handed_over", "abandoned")
)

_FUNNEL = f"""
WITH wanted AS ({_WANTED}), reached AS (
    SELECT segment, target AS state, count(*) AS reached FROM passages
    WHERE {_SEGMENTS} AND opened_at >= $2 AND opened_at < $3 AND first
    GROUP BY segment, target
), last AS (
    SELECT segment, state, {_COUNT_OUTCOMES}
    FROM (SELECT segment, stays_in AS state, {_OUTCOME} AS outcome FROM sessions
          WHERE {_SEGMENTS} AND created_at >= $2 AND created_at < $3 AND stays_in IS NOT NULL) AS sessions
    GROUP BY segment, state
)
SELECT definition, state, sum(reached)::bigint AS reached, {_SUM_OUTCOMES}
FROM reached LEFT JOIN last USING (segment, state) JOIN wanted USING (segment)
GROUP BY definition, state
ORDER BY definition, reached DESC, state
"""  # noqa: S608 - put together from constants

_STATE_TIMES = f"""
WITH wanted AS ({_WANTED})
SELECT definition, source AS state, count(*) AS stays, round(avg(stayed_ms) / 1000, 3)::float AS mean_s,
       (percentile_disc(0.5) WITHIN GROUP (ORDER BY stayed_ms)) / 1000.0::float AS p50_s,
       (percentile_disc(0.95) WITHIN GROUP (ORDER BY stayed_ms)) / 1000.0::float AS p95_s,
       max(stayed_ms) / 1000.0::float AS longest_s
FROM passages JOIN wanted USING (segment)
WHERE {_SEGMENTS} AND opened_at >= $2 AND opened_at < $3 AND source IS NOT NULL
GROUP BY definition, source
ORDER BY definition, source
"""  # noqa: S608 - put together from constants

_SLOTS = f"""
WITH wanted AS ({_WANTED}), counted AS (
    SELECT segment, asked_slot, heard_slot, heard_as, count(*) AS turns FROM turns
    WHERE {_SEGMENTS} AND ended_at >= $2 AND ended_at < $3
    GROUP BY segment, asked_slot, heard_slot, heard_as
), asked AS (
    SELECT definition, asked_slot AS slot, sum(turns) AS asked FROM counted JOIN wanted USING (segment)
    WHERE asked_slot IS NOT NULL
    GROUP BY definition, asked_slot
), heard AS (
    SELECT definition, heard_slot AS slot, sum(turns) AS heard,
           sum(turns) FILTER (WHERE heard_as = 'answered') AS answered,
           sum(turns) FILTER (WHERE heard_as = 'not_understood') AS not_understood,
           sum(turns) FILTER (WHERE heard_as = 'declined') AS declined,
           sum(turns) FILTER (WHERE heard_as = 'skipped') AS skipped,
           sum(turns) FILTER (WHERE heard_as = 'asked_again') AS asked_again,
           sum(turns) FILTER (WHERE heard_as = 'left') AS left,
           sum(turns) FILTER (WHERE asked_slot = heard_slot) AS re_asked
    FROM counted JOIN wanted USING (segment)
    WHERE heard_slot IS NOT NULL
    GROUP BY definition, heard_slot
)
SELECT definition, slot, coalesce(asked, 0)::bigint AS asked, coalesce(heard, 0)::bigint AS heard,
       coalesce(answered, 0)::bigint AS answered, coalesce(not_understood, 0)::bigint AS not_understood,
       coalesce(declined, 0)::bigint AS declined, coalesce(skipped, 0)::bigint AS skipped,
       coalesce(asked_again, 0)::bigint AS asked_again, coalesce("left", 0)::bigint AS "left",
       coalesce(re_asked, 0)::bigint AS re_asked
FROM asked FULL JOIN heard USING (definition, slot)
ORDER BY definition, slot
"""  # noqa: S608 - put together from constants

# Where a definition or a channel is asked for, only applications count that were filled in by such a chat.
_OF_ANY_CHAT = "$4::text IS NULL AND $6::text IS NULL"
_OF_CHATS = f"""
    session_id IN (
        SELECT session_id FROM sessions WHERE segment = ANY (ARRAY (SELECT segment FROM segments WHERE {_MATCHING})))"""  # noqa: S608
_KNOCK_OUTS = """
WITH screened AS (
    SELECT job_id, prescreen -> 'must_have_failed' AS failed FROM applications
    WHERE tenant = $1 AND created_at >= $2 AND created_at < $3 AND prescreen IS NOT NULL
      AND ($5::text IS NULL OR job_id = $5) AND {of_chats}
), totals AS (
    SELECT job_id, count(*) AS screened FROM screened GROUP BY job_id
), knocked_out AS (
    SELECT job_id, qid, count(*) AS knocked_out,
           count(*) FILTER (WHERE jsonb_array_length(failed) = 1) AS by_this_alone
    FROM screened CROSS JOIN jsonb_array_elements_text(failed) AS qid
    GROUP BY job_id, qid
), must_haves AS (
    SELECT job_id, question ->> 'qid' AS qid, question ->> 'text' AS question
    FROM totals JOIN jobs USING (job_id) CROSS JOIN jsonb_array_elements(questions) AS question
    WHERE tenant = $1 AND (question ->> 'must_have')::boolean
)
SELECT job_id, qid, question, screened, coalesce(knocked_out, 0) AS knocked_out,
       coalesce(by_this_alone, 0) AS by_this_alone
FROM totals JOIN (must_haves FULL JOIN knocked_out USING (job_id, qid)) USING (job_id)
ORDER BY job_id, knocked_out DESC, qid
"""

# One search of the index for each row: a sort by time of all that there is would cost more than the searches.
_RESPONSE_TIMES = """
WITH wanted AS ({wanted}), spans AS ({spans})
SELECT at, replies, ms[1] AS p50_ms, ms[2] AS p95_ms, first_texts, ttft_ms[1] AS first_text_p50_ms,
       ttft_ms[2] AS first_text_p95_ms
FROM spans
CROSS JOIN LATERAL (
    SELECT count(*) AS replies, percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY response_ms) AS ms
    FROM turns
    WHERE {segments} AND ended_at >= since AND ended_at < until AND response_ms IS NOT NULL
) AS waited
CROSS JOIN LATERAL (
    SELECT count(*) AS first_texts, percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY ttft_ms) AS ttft_ms
    FROM attempts
    WHERE tenant = $1 AND {segments} AND ended_at >= since AND ended_at < until
      AND failure IS NULL AND ttft_ms IS NOT NULL
) AS texted
WHERE replies + first_texts > 0
ORDER BY at
"""
_SPANS: Mapping[ByDay, str] = {
    ByDay.ALL: "SELECT NULL::timestamptz AS at, $2::timestamptz AS since, $3::timestamptz AS until",
    ByDay.DAY: """
        SELECT at, greatest(at, $2) AS since, least(at + interval '1 day', $3) AS until
        FROM generate_series(date_bin('1 day', $2, 'epoch'), $3, '1 day') AS at""",
}

_VOLUMES = """
WITH wanted AS ({wanted}), talked AS (
    SELECT segment, {ended} AS at, count(*) AS turns, sum(from_person) AS from_person,
           sum(from_assistant) AS from_assistant, sum(from_operator) AS from_operator
    FROM turns
    WHERE {segments} AND ended_at >= $2 AND ended_at < $3
    GROUP BY 1, 2
), opened AS (
    SELECT segment, {opened} AS at, count(*) AS sessions
    FROM sessions
    WHERE {segments} AND created_at >= $2 AND created_at < $3
    GROUP BY 1, 2
)
SELECT {row} channel, coalesce(sum(sessions), 0)::bigint AS sessions,
       coalesce(sum(turns), 0)::bigint AS turns, coalesce(sum(from_person), 0)::bigint AS from_person,
       coalesce(sum(from_assistant), 0)::bigint AS from_assistant,
       coalesce(sum(from_operator), 0)::bigint AS from_operator
FROM talked FULL JOIN opened USING (segment, at) JOIN wanted USING (segment)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

_OUTCOMES = """
WITH wanted AS ({wanted})
SELECT {at} AS at, definition, channel, count(*) AS sessions, {count_outcomes},
       count(*) FILTER (WHERE standing = 'complete') AS completed
FROM (SELECT {opened} AS at, segment, standing, {outcome} AS outcome FROM sessions
      WHERE {segments} AND created_at >= $2 AND created_at < $3) AS sessions
JOIN wanted USING (segment)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

# A session's attempts end after it was opened.
_COSTS = f"""
WITH wanted AS ({_WANTED}), opened AS (
    SELECT session_id, segment, standing = 'complete' AS complete FROM sessions
    WHERE {_SEGMENTS} AND created_at >= $2 AND created_at < $3
), counted AS (
    SELECT segment, complete, count(*) AS sessions FROM opened GROUP BY segment, complete
), spent AS (
    SELECT opened.segment, complete, sum(cost_usd) AS cost_usd, count(*) - count(cost_usd) AS unpriced
    FROM opened JOIN attempts USING (session_id)
    WHERE tenant = $1 AND attempts.{_SEGMENTS} AND ended_at >= $2
    GROUP BY opened.segment, complete
)
SELECT definition, sum(sessions)::bigint AS sessions,
       coalesce(sum(sessions) FILTER (WHERE complete), 0)::bigint AS completed, coalesce(sum(cost_usd), 0) AS cost_usd,
       coalesce(sum(cost_usd) FILTER (WHERE complete), 0) AS completed_cost_usd,
       coalesce(sum(unpriced), 0)::bigint AS unpriced
FROM counted LEFT JOIN spent USING (segment, complete) JOIN wanted USING (segment)
GROUP BY definition
ORDER BY definition
"""  # noqa: S608 - put together from constants

# Without a filter, attempts count that were made outside of sessions too.
_OF_ANY_SEGMENT = "$4::text IS NULL AND $5::text IS NULL AND $6::text IS NULL"
_PROVIDERS = """
WITH wanted AS ({wanted}), counted AS (
    SELECT provider, failure, count(*) AS attempts, sum(cost_usd) AS cost_usd,
           array_agg(latency_ms) FILTER (WHERE failure IS NULL) AS latency_ms,
           array_agg(ttft_ms) FILTER (WHERE failure IS NULL AND ttft_ms IS NOT NULL) AS ttft_ms
    FROM attempts
    WHERE tenant = $1 AND ended_at >= $2 AND ended_at < $3 AND {of_segments}
    GROUP BY provider, failure
), summed AS (
    SELECT provider, sum(attempts)::bigint AS attempts,
           coalesce(sum(attempts) FILTER (WHERE failure IS NULL), 0)::bigint AS answered,
           coalesce(jsonb_object_agg(failure, attempts) FILTER (WHERE failure IS NOT NULL), '{{}}') AS failures,
           coalesce(sum(cost_usd), 0) AS cost_usd
    FROM counted
    GROUP BY provider
), timed AS (
    SELECT provider, latencies, texts FROM counted
    CROSS JOIN LATERAL (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY value) AS latencies
                        FROM unnest(latency_ms) AS value) AS of_latencies
    CROSS JOIN LATERAL (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY value) AS texts
                        FROM unnest(ttft_ms) AS value) AS of_texts
    WHERE failure IS NULL
)
SELECT provider, attempts, answered, failures, cost_usd, latencies[1] AS latency_p50_ms,
       latencies[2] AS latency_p95_ms, texts[1] AS first_text_p50_ms, texts[2] AS first_text_p95_ms
FROM summed LEFT JOIN timed USING (provider)
ORDER BY provider
"""


class PostgresAnalytics:
    """Implements `ports.Analytics`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def funnel(self, of: Selection) -> Sequence[FunnelRow]:
        """Count the sessions opened in the time, by the states that they have reached and those they have ended in."""
        return await self._rows(FunnelRow, _FUNNEL, of)

    async def state_times(self, of: Selection) -> Sequence[StateTimeRow]:
        """Measure how long the sessions opened in the time have stayed in states that they have left."""
        return await self._rows(StateTimeRow, _STATE_TIMES, of)

    async def slots(self, of: Selection) -> Sequence[SlotRow]:
        """Count what became of questions, in turns that ended in the time."""
        return await self._rows(SlotRow, _SLOTS, of)

    async def knock_outs(self, of: Selection) -> Sequence[KnockOutRow]:
        """Count the must-haves that applications begun in the time do not meet."""
        return await self._rows(KnockOutRow, knock_outs_statement(of), of)

    async def response_times(self, of: Selection, by: ByDay) -> Sequence[ResponseTimeRow]:
        """Measure how long replies took, in turns that ended in the time."""
        return await self._rows(ResponseTimeRow, response_times_statement(by), of)

    async def volumes(self, of: Selection, by: By) -> Sequence[VolumeRow]:
        """Count what was said on each channel, in turns that ended in the time."""
        return await self._rows(VolumeRow, volumes_statement(by), of)

    async def outcomes(self, of: Selection, by: ByDay) -> Sequence[OutcomeRow]:
        """Count what has become of the sessions opened in the time."""
        return await self._rows(OutcomeRow, outcomes_statement(by), of)

    async def costs(self, of: Selection) -> Sequence[CostRow]:
        """Add up what the sessions opened in the time have cost until now."""
        return await self._rows(CostRow, _COSTS, of)

    async def providers(self, of: Selection) -> Sequence[ProviderRow]:
        """Count what came of the attempts that ended in the time."""
        return await self._rows(ProviderRow, providers_statement(of), of)

    async def _rows(self, kind: type[T], statement: str, of: Selection) -> Sequence[T]:
        async with self._pool.transaction() as connection:
            await connection.execute(_SETTINGS)
            rows = await connection.fetch(statement, *arguments(of))
        return [kind.model_validate(dict(row)) for row in rows]


def arguments(of: Selection) -> Sequence[object]:
    """List what every statement is given."""
    return of.tenant, of.since, of.until, of.definition, of.job_id, of.channel


def knock_outs_statement(of: Selection) -> str:
    """Write the statement with just the conditions that were given."""
    of_chats = of.definition is not None or of.channel is not None
    return _KNOCK_OUTS.format(of_chats=_OF_CHATS if of_chats else _OF_ANY_CHAT)


def response_times_statement(by: ByDay) -> str:
    """Write the statement for rows told apart like this."""
    return _RESPONSE_TIMES.format(wanted=_WANTED, segments=_SEGMENTS, spans=_SPANS[by])


def volumes_statement(by: By) -> str:
    """Write the statement for rows told apart like this."""
    return _VOLUMES.format(
        wanted=_WANTED,
        segments=_SEGMENTS,
        ended=_begins("ended_at", by),
        opened=_begins("created_at", by),
        row="NULL::timestamptz AS at, at::integer AS hour,"
        if by is By.HOUR_OF_DAY
        else f"{_NEVER_AS_NULL} AS at, NULL::integer AS hour,",
    )


def outcomes_statement(by: ByDay) -> str:
    """Write the statement for rows told apart like this."""
    return _OUTCOMES.format(
        wanted=_WANTED,
        segments=_SEGMENTS,
        at=_NEVER_AS_NULL,
        opened=_begins("created_at", by),
        outcome=_OUTCOME,
        count_outcomes=_COUNT_OUTCOMES,
    )


def providers_statement(of: Selection) -> str:
    """Write the statement with just the conditions that were given."""
    filtered = (of.definition, of.job_id, of.channel) != (None, None, None)
    return _PROVIDERS.format(wanted=_WANTED, of_segments=_SEGMENTS if filtered else _OF_ANY_SEGMENT)


def _begins(column: str, by: By | ByDay) -> str:
    """Say when the row of a time begins, or which hour of the day it is."""
    match each := By(by):
        case By.ALL:
            return "'-infinity'::timestamptz"
        case By.DAY:
            return f"date_bin('1 day', {column}, 'epoch')"
        case By.HOUR:
            return f"date_bin('1 hour', {column}, 'epoch')"
        case By.HOUR_OF_DAY:
            return f"date_part('hour', {column})"
        case _:
            assert_never(each)
