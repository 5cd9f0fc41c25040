"""The stored health of providers."""

import pytest

from tertulia.domain.health import ProviderHealth, ProviderStatus
from tertulia.domain.ids import ProviderName
from tertulia.storage.health import PostgresHealthRecords
from tertulia.storage.pool import Pool

from .examples import at


def health(provider: str, minute: float, status: ProviderStatus = ProviderStatus.HEALTHY) -> ProviderHealth:
    return ProviderHealth(
        provider=ProviderName(provider),
        status=status,
        failed_probes=0,
        latency_ms=None if status is ProviderStatus.UNHEALTHY else 12.5,
        detail=str(status),
        checked_at=at(minute),
    )


async def test_nothing_is_known_of_providers_that_were_never_probed(pool: Pool) -> None:
    assert await PostgresHealthRecords(pool).read() == {}


async def test_the_last_check_of_each_provider_is_kept(pool: Pool) -> None:
    records = PostgresHealthRecords(pool)
    groq, gemini = health("groq", 2, ProviderStatus.UNHEALTHY), health("gemini", 1)
    for recorded in (health("groq", 1), gemini, groq):
        await records.record(recorded)

    assert await records.read() == {"groq": groq, "gemini": gemini}


@pytest.mark.parametrize("status", ProviderStatus)
async def test_a_check_that_ends_after_a_later_one_does_not_count(pool: Pool, status: ProviderStatus) -> None:
    records = PostgresHealthRecords(pool)
    later = health("groq", 2, status)
    await records.record(later)

    await records.record(health("groq", 1))

    assert await records.read() == {"groq": later}
