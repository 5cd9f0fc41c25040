"""What the ledger tells of the providers, and what was decided about them in the past."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.reports import Metrics, Percentiles, StateChange
from tertulia.domain.providers.state import ProviderState
from tertulia.storage.pool import Pool, Row

# Where nobody knows what an attempt has cost at most, it is taken to be what was reserved for it.
_METRICS = """
SELECT providers.provider, count(ended_at) AS attempts, count(ended_at) FILTER (WHERE answered) AS answered,
       count(ended_at) FILTER (WHERE is_retry) AS retries,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ttft_ms) FILTER (WHERE answered) AS ttft_ms,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS latency_ms,
       coalesce(sum(latency_ms) FILTER (WHERE answered), 0) AS latency_total_ms,
       coalesce(sum(input_uncached + input_cached + input_cache_write), 0)::bigint AS input_tokens,
       coalesce(sum(input_cached), 0)::bigint AS cached_tokens,
       coalesce(sum(output_visible + output_reasoning), 0)::bigint AS output_tokens,
       coalesce(sum(cost_usd), 0) AS cost_usd,
       coalesce(sum(coalesce(cost_at_most_usd, reserved_usd)), 0) AS cost_at_most_usd,
       coalesce(sum(cost_usd) FILTER (WHERE NOT answered), 0) AS wasted_usd,
       (SELECT count(*) FROM attempts
        WHERE attempts.provider = providers.provider AND failure NOT IN ('cancelled', 'internal')
          AND ($3::text IS NULL OR tenant = $3)
          AND ended_at > coalesce((SELECT max(ended_at) FROM attempts
                                   WHERE attempts.provider = providers.provider AND failure IS NULL
                                     AND ($3::text IS NULL OR tenant = $3)),
                                  '-infinity')) AS consecutive_failures,
       (SELECT count(attempt_id) FROM provider_slots LEFT JOIN attempts USING (attempt_id)
        WHERE provider_slots.provider = providers.provider AND ($3::text IS NULL OR tenant = $3)) AS in_flight
FROM (SELECT provider FROM provider_slots WHERE slot = 0) AS providers
LEFT JOIN LATERAL (
    SELECT *, failure IS NULL AS answered FROM attempts
    WHERE attempts.provider = providers.provider AND ended_at >= $1 AND ended_at < $2
      AND ($3::text IS NULL OR tenant = $3)
) AS ended ON true
GROUP BY providers.provider
"""

_FAILURES = """
SELECT attempts.provider, failure, count(*) AS failed
FROM provider_slots JOIN attempts USING (provider)
WHERE provider_slots.slot = 0 AND ended_at >= $1 AND ended_at < $2 AND failure IS NOT NULL
  AND ($3::text IS NULL OR tenant = $3)
GROUP BY attempts.provider, failure
"""

_HISTORY = """
SELECT provider, at, reason, before, after
FROM provider_history
WHERE provider = $1
ORDER BY id DESC
LIMIT $2
"""


class PostgresProviderMetrics:
    """Implements `ports.ProviderMetrics`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        """Return the metrics of every provider that was ever asked, of attempts that ended in `since <= t < until`.

        Args:
            tenant: Whose attempts count; None: all tenants'.
        """
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_METRICS, since, until, tenant)
            failures = await connection.fetch(_FAILURES, since, until, tenant)
        failures_of: dict[str, dict[FailureClass, int]] = defaultdict(dict)
        for row in failures:
            failures_of[row["provider"]][FailureClass(row["failure"])] = row["failed"]
        return {ProviderName(row["provider"]): _metrics(row, failures_of[row["provider"]]) for row in rows}

    async def history(self, provider: ProviderName, limit: int) -> Sequence[StateChange]:
        """Return the last changes of a provider's state that let calls through or keep them away, newest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_HISTORY, provider, limit)
        return [_change(row) for row in rows]


def _metrics(row: Row, failures: Mapping[FailureClass, int]) -> Metrics:
    columns = {name: value for name, value in row.items() if name != "provider"}
    percentiles = {name: _percentiles(columns[name]) for name in ("ttft_ms", "latency_ms")}
    return Metrics(**columns | percentiles, failures=failures)


def _percentiles(values: Sequence[float] | None) -> Percentiles | None:
    return None if values is None else Percentiles(*values)


def _change(row: Row) -> StateChange:
    return StateChange(
        provider=row["provider"],
        at=row["at"],
        reason=row["reason"],
        before=ProviderState.model_validate(row["before"]),
        after=ProviderState.model_validate(row["after"]),
    )
