"""The ledger of attempts at providers, the slots that bound how many are under way, and the budgets that they use up.

An attempt's slot is a lease: it is renewed while the attempt's worker lives, and what is renewed no longer is swept.
Whether there is room and money is decided where it is taken, in one statement; the attempt's end gives back the slot
and what was reserved but not used, in one statement too.

None waits for another one that waits for it: an admission waits for nothing but the counts of what was spent; an end
first locks its attempt, without which nobody wants its slot; renewals and sweeps skip what is locked.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal

import asyncpg

from tertulia.domain.providers.attempts import CANARY_SLOT, Admission, LostAttempt, Refusal
from tertulia.domain.turns import AttemptOutcome
from tertulia.storage.pool import Pool, Row

# Slots above a limit that was lowered meanwhile count too, until they are free. A scope that has no bound is counted
# only where it had one earlier in the day.
_ADMIT = """
WITH before AS (
    SELECT slot, ended_at FROM attempts WHERE attempt_id = $1
), bounds AS (
    SELECT 'provider:' || $2 AS scope, $12::numeric AS daily_usd
    UNION ALL
    SELECT 'tenant:' || $8, coalesce((SELECT daily_usd FROM budgets WHERE tenant = $8), $13)
), counted AS (
    SELECT scope, usd FROM spending
    WHERE day = $14 AND scope IN ('provider:' || $2, 'tenant:' || $8)
    ORDER BY scope
    FOR UPDATE
), verdict AS (
    SELECT array_agg(scope) FILTER (WHERE daily_usd IS NOT NULL AND usd IS NULL) AS uncounted,
           max(scope) FILTER (WHERE usd + $9 > daily_usd) AS spent
    FROM bounds LEFT JOIN counted USING (scope)
), free AS (
    SELECT slot FROM provider_slots
    WHERE provider = $2 AND slot BETWEEN $15 AND $16 AND attempt_id IS NULL
      AND NOT EXISTS (SELECT FROM before)
      AND (SELECT uncounted IS NULL AND spent IS NULL FROM verdict)
      AND (slot = 0 OR $16 > (SELECT count(attempt_id) FROM provider_slots WHERE provider = $2 AND slot > 0))
    ORDER BY slot
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE provider_slots SET attempt_id = $1, expires_at = $11, silent = false
    FROM free
    WHERE provider = $2 AND provider_slots.slot = free.slot
    RETURNING free.slot
), reserved AS (
    UPDATE spending SET usd = usd + $9
    FROM taken
    WHERE day = $14 AND scope IN ('provider:' || $2, 'tenant:' || $8)
), written AS (
    INSERT INTO attempts (attempt_id, provider, session_id, turn, ask, attempt, is_retry, tenant, reserved_usd,
                          started_at, slot, segment)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, slot, (SELECT segment FROM sessions WHERE session_id = $3)
    FROM taken
)
SELECT coalesce((SELECT slot FROM taken), (SELECT slot FROM before)) AS slot,
       EXISTS (SELECT FROM before WHERE ended_at IS NOT NULL) AS ended,
       spent, uncounted,
       $16 > (SELECT coalesce(max(slot), -1) FROM provider_slots WHERE provider = $2) AS lacks_slots
FROM verdict
"""

_MAKE_SLOTS = """
INSERT INTO provider_slots (provider, slot) SELECT $1, generate_series(0, $2) ON CONFLICT DO NOTHING
"""

# A bound may be new today: what was spent before counts.
_COUNT_SPENDING = """
INSERT INTO spending (scope, day, usd)
SELECT scope, $2, coalesce(sum(coalesce(cost_at_most_usd, reserved_usd)), 0)
FROM unnest($1::text[]) AS scope
LEFT JOIN attempts ON scope IN ('provider:' || provider, 'tenant:' || tenant)
                  AND started_at >= $3 AND (ended_at >= $3 OR ended_at IS NULL)
GROUP BY scope
ORDER BY scope
ON CONFLICT DO NOTHING
"""

# What can't be told to have cost less than was reserved counts as reserved.
_SETTLE = """
WITH ended AS (
    UPDATE attempts
    SET ended_at = $2, failure = $3, status = $4, detail = $5, model = $6, request_id = $7, ttft_ms = $8,
        latency_ms = $9, input_uncached = $10, input_cached = $11, input_cache_write = $12, output_visible = $13,
        output_reasoning = $14, usage_source = $15, cost_usd = $16, cost_at_most_usd = $17, cost_source = $18,
        limits_remaining = $19, limits_until = $20
    WHERE attempt_id = $1 AND (ended_at IS NULL OR failure = 'lost')
    RETURNING provider, tenant, slot, (started_at AT TIME ZONE 'UTC')::date AS day, $17 - reserved_usd AS correction
), freed AS (
    UPDATE provider_slots SET attempt_id = NULL, expires_at = NULL, silent = false
    FROM ended
    WHERE provider_slots.provider = ended.provider AND provider_slots.slot = ended.slot AND attempt_id = $1
), counted AS (
    SELECT spending.scope, spending.day, correction
    FROM ended JOIN spending USING (day)
    WHERE scope IN ('provider:' || provider, 'tenant:' || tenant)
    ORDER BY scope
    FOR UPDATE OF spending
)
UPDATE spending SET usd = spending.usd + coalesce(correction, 0)
FROM counted
WHERE spending.scope = counted.scope AND spending.day = counted.day
"""

# Who holds the lock of a slot is about to free it.
_RENEW = """
WITH held AS (
    SELECT provider, slot FROM provider_slots WHERE attempt_id = ANY ($1) FOR UPDATE SKIP LOCKED
)
UPDATE provider_slots SET expires_at = $2, silent = attempt_id = ANY ($3)
FROM held
WHERE provider_slots.provider = held.provider AND provider_slots.slot = held.slot
"""

_SWEEP = """
WITH expired AS (
    SELECT attempt_id, attempts.provider, attempts.slot, started_at
    FROM provider_slots JOIN attempts USING (attempt_id)
    WHERE expires_at <= $1
    FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE attempts
    SET ended_at = $1, failure = 'lost', detail = 'the worker that made it has died or was frozen',
        latency_ms = extract(epoch FROM $1 - expired.started_at) * 1000, cost_at_most_usd = nullif(reserved_usd, 0)
    FROM expired
    WHERE attempts.attempt_id = expired.attempt_id
), freed AS (
    UPDATE provider_slots SET attempt_id = NULL, expires_at = NULL, silent = false
    FROM expired
    WHERE provider_slots.provider = expired.provider AND provider_slots.slot = expired.slot
)
SELECT attempt_id, provider, slot, started_at FROM expired
"""


class PostgresAttempts:
    """Implements `ports.Attempts`.

    Args:
        tenant_daily_usd: What a tenant without a budget of its own may spend a day; None: as much as it likes.
    """

    def __init__(self, pool: Pool, *, tenant_daily_usd: Decimal | None = None) -> None:
        self._pool = pool
        self._tenant_daily_usd = tenant_daily_usd

    async def admit(self, admission: Admission) -> int | Refusal:
        """Take a slot and the money, and write the attempt down; all or nothing.

        Asked again for the same attempt, the answer is the same.

        Returns:
            The slot, or why there is none.
        """
        row = await self._admit(admission)
        if row["slot"] is None and (row["lacks_slots"] or row["uncounted"]):
            await self._prepare(admission, row["uncounted"] or ())
            row = await self._admit(admission)
        return _answer(row, admission)

    async def settle(self, attempt_id: str, outcome: AttemptOutcome, at: datetime) -> None:
        """Write down how an admitted attempt ended, give back its slot, and correct what was reserved to what it cost.

        An attempt that was swept as lost gets its true outcome. Settled again it stands as it is.
        """
        usage, limits = outcome.usage, outcome.limits
        async with self._pool.connection() as connection:
            await connection.execute(
                _SETTLE,
                attempt_id,
                at,
                outcome.failure,
                outcome.status,
                outcome.detail,
                outcome.model,
                outcome.request_id,
                outcome.ttft_ms,
                outcome.latency_ms,
                usage.input_uncached,
                usage.input_cached,
                usage.input_cache_write,
                usage.output_visible,
                usage.output_reasoning,
                usage.source,
                outcome.cost_usd,
                outcome.cost_at_most_usd,
                outcome.cost_source,
                limits.remaining if limits else None,
                limits.until if limits else None,
            )

    async def renew(self, attempt_ids: Collection[str], expires_at: datetime, *, silent: Collection[str] = ()) -> None:
        """Keep the slots of attempts that are under way; those that have ended are left alone.

        Args:
            silent: Those of them that have had no text yet.
        """
        async with self._pool.connection() as connection:
            await connection.execute(_RENEW, list(attempt_ids), expires_at, list(silent))

    async def sweep(self, at: datetime) -> Sequence[LostAttempt]:
        """End the attempts whose leases are over as lost, and free their slots.

        What they reserved stays spent: their providers may have answered.

        Returns:
            Those that this call has ended; no other call returns them.
        """
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SWEEP, at)
        return [LostAttempt(**row) for row in rows]

    async def _admit(self, admission: Admission) -> Row:
        try:
            return await self._try_to_admit(admission)
        except asyncpg.UniqueViolationError:
            # The same attempt was admitted at the same moment, and is found now.
            return await self._try_to_admit(admission)

    async def _try_to_admit(self, admission: Admission) -> Row:
        key = admission.key
        lowest, highest = (CANARY_SLOT, CANARY_SLOT) if admission.canary else (CANARY_SLOT + 1, admission.limit)
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(
                _ADMIT,
                key.attempt_id,
                key.provider,
                key.session_id,
                key.turn,
                key.ask,
                key.attempt,
                key.is_retry,
                key.tenant,
                admission.reserve_usd,
                admission.at,
                admission.expires_at,
                admission.daily_budget_usd,
                self._tenant_daily_usd,
                admission.at.astimezone(UTC).date(),
                lowest,
                highest,
            )
        assert row is not None
        return row

    async def _prepare(self, admission: Admission, uncounted: Sequence[str]) -> None:
        """Make what an admission has found missing: slots, and the counts of what has been spent today."""
        day = admission.at.astimezone(UTC).date()
        midnight = datetime.combine(day, time(), UTC)
        async with self._pool.connection() as connection:
            await connection.execute(_MAKE_SLOTS, admission.key.provider, admission.limit)
            await connection.execute(_COUNT_SPENDING, uncounted, day, midnight)


def _answer(row: Row, admission: Admission) -> int | Refusal:
    if row["ended"]:
        return Refusal.ENDED
    if row["slot"] is not None:
        return int(row["slot"])
    if row["spent"] is not None:
        return Refusal.TENANT_BUDGET_SPENT if row["spent"].startswith("tenant:") else Refusal.BUDGET_SPENT
    return Refusal.TRIAL_UNDER_WAY if admission.canary else Refusal.NO_ROOM
