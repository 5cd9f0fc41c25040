"""The ledger of attempts at providers: a row before anything is sent, and its end when it is known."""

from datetime import datetime

from tertulia.domain.turns import AttemptKey, AttemptOutcome
from tertulia.storage.pool import Pool

_START = """
INSERT INTO attempts (session_id, turn, ask, provider, attempt, started_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
"""

_FINISH = """
UPDATE attempts
SET ended_at = $6, failure = $7, status = $8, detail = $9, model = $10, request_id = $11, ttft_ms = $12,
    latency_ms = $13, input_uncached = $14, input_cached = $15, input_cache_write = $16, output_visible = $17,
    output_reasoning = $18, usage_source = $19, cost_usd = $20
WHERE session_id = $1 AND turn = $2 AND ask = $3 AND provider = $4 AND attempt = $5
"""


class PostgresAttempts:
    """Implements `ports.Attempts`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def start(self, key: AttemptKey, at: datetime) -> None:
        """Write an attempt down before it is made. Started again it stands as it is."""
        async with self._pool.connection() as connection:
            await connection.execute(_START, *_columns(key), at)

    async def finish(self, key: AttemptKey, outcome: AttemptOutcome, at: datetime) -> None:
        """Write down how a started attempt ended."""
        usage = outcome.usage
        async with self._pool.connection() as connection:
            await connection.execute(
                _FINISH,
                *_columns(key),
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
            )


def _columns(key: AttemptKey) -> tuple[str, int, int, str, int]:
    return key.session_id, key.turn, key.ask, key.provider, key.attempt
