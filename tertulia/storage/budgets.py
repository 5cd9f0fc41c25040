"""What tenants may spend a day. Their attempts are held to it where they are admitted (`storage/attempts.py`)."""

from datetime import UTC, datetime
from decimal import Decimal

from tertulia.domain.ids import TenantId
from tertulia.domain.providers.reports import TenantBudget
from tertulia.storage.pool import Pool

_READ = """
SELECT (SELECT daily_usd FROM budgets WHERE tenant = $1) AS daily_usd,
       coalesce((SELECT usd FROM spending WHERE scope = 'tenant:' || $1 AND day = $2), 0) AS spent_usd
"""

_STORE = """
INSERT INTO budgets (tenant, daily_usd) VALUES ($1, $2)
ON CONFLICT (tenant) DO UPDATE SET daily_usd = $2
"""

_REMOVE = """
DELETE FROM budgets WHERE tenant = $1
"""


class PostgresBudgets:
    """Implements `ports.Budgets`.

    Args:
        tenant_daily_usd: What a tenant without a budget of its own may spend a day; None: as much as it likes.
    """

    def __init__(self, pool: Pool, *, tenant_daily_usd: Decimal | None = None) -> None:
        self._pool = pool
        self._tenant_daily_usd = tenant_daily_usd

    async def read(self, tenant: TenantId, at: datetime) -> TenantBudget | None:
        """Return what a tenant may spend and has spent today; None where nothing bounds it."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_READ, tenant, at.astimezone(UTC).date())
        assert row is not None
        daily_usd = self._tenant_daily_usd if row["daily_usd"] is None else row["daily_usd"]
        return None if daily_usd is None else TenantBudget(tenant, daily_usd, row["spent_usd"])

    async def store(self, tenant: TenantId, daily_usd: Decimal) -> None:
        """Bound what a tenant may spend a day, from its next attempt on; today's spending counts."""
        async with self._pool.connection() as connection:
            await connection.execute(_STORE, tenant, daily_usd)

    async def remove(self, tenant: TenantId) -> None:
        """Remove a tenant's own bound; there may be none."""
        async with self._pool.connection() as connection:
            await connection.execute(_REMOVE, tenant)
