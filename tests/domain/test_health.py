from tertulia.domain.health import ProbeResult, ProviderHealth, ProviderStatus, after_probe
from tertulia.domain.ids import ProviderName
from tests.domain.conversations import NOW

PROVIDER = ProviderName("groq")
UP = ProbeResult(reachable=True, latency_ms=40)
DOWN = ProbeResult(reachable=False, latency_ms=2000, detail="connection refused")


def after(*probes: ProbeResult) -> list[ProviderStatus]:
    known: ProviderHealth | None = None
    statuses = []
    for probe in probes:
        known = after_probe(known, PROVIDER, probe, NOW)
        statuses.append(known.status)
    return statuses


def test_failed_probes_degrade_a_provider_and_three_in_a_row_make_it_unhealthy() -> None:
    degraded, unhealthy = ProviderStatus.DEGRADED, ProviderStatus.UNHEALTHY
    assert after(DOWN, DOWN, DOWN, DOWN) == [degraded, degraded, unhealthy, unhealthy]


def test_one_good_probe_heals() -> None:
    assert after(DOWN, DOWN, DOWN, UP)[-1] is ProviderStatus.HEALTHY
    assert after(DOWN, DOWN, UP, DOWN, DOWN)[-1] is ProviderStatus.DEGRADED


def test_what_the_probe_found_is_kept() -> None:
    health = after_probe(None, PROVIDER, DOWN, NOW)
    assert health == ProviderHealth(
        provider=PROVIDER,
        status=ProviderStatus.DEGRADED,
        failed_probes=1,
        latency_ms=2000,
        detail="connection refused",
        checked_at=NOW,
    )
