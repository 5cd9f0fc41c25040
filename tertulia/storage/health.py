"""What the probes have found out about the providers, shared by all workers."""

from collections.abc import Mapping

from tertulia.domain.health import ProviderHealth
from tertulia.domain.ids import ProviderName
from tertulia.storage.pool import Pool

_READ = """
SELECT provider, status, failed_probes, latency_ms, detail, checked_at FROM provider_health
"""

# Checks may overlap; the later one counts, whichever is stored first.
_RECORD = """
INSERT INTO provider_health (provider, status, failed_probes, latency_ms, detail, checked_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (provider) DO UPDATE
SET status = $2, failed_probes = $3, latency_ms = $4, detail = $5, checked_at = $6
WHERE provider_health.checked_at <= $6
"""


class PostgresHealthRecords:
    """Implements `ports.HealthRecords`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self) -> Mapping[ProviderName, ProviderHealth]:
        """Return what is known of each provider that has been probed."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_READ)
        return {row["provider"]: ProviderHealth.model_validate(dict(row)) for row in rows}

    async def record(self, health: ProviderHealth) -> None:
        """Store a provider's health, unless a later check's is stored already."""
        async with self._pool.connection() as connection:
            await connection.execute(
                _RECORD,
                health.provider,
                health.status,
                health.failed_probes,
                health.latency_ms,
                health.detail,
                health.checked_at,
            )
