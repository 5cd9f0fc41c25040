"""What is known of a provider's health, and how a probe changes it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tertulia.domain.ids import ProviderName


class ProviderStatus(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    MAINTENANCE = "maintenance"


class ProbeResult(BaseModel):
    """What a free probe (no tokens) found out."""

    model_config = ConfigDict(frozen=True)

    reachable: bool
    latency_ms: float
    detail: str = ""


class ProviderHealth(BaseModel):
    """A provider's stored health.

    Attributes:
        failed_probes: Probes failed in a row.
    """

    model_config = ConfigDict(frozen=True)

    provider: ProviderName
    status: ProviderStatus
    failed_probes: int
    latency_ms: float | None
    detail: str
    checked_at: datetime


def after_probe(
    previous: ProviderHealth | None, provider: ProviderName, probe: ProbeResult, at: datetime
) -> ProviderHealth:
    """Rate a provider after a probe: one failure in a row degrades it, three make it unhealthy, one success heals it.

    Args:
        previous: What was known before; None for a provider never probed.
        at: Time of the probe, UTC.
    """
    failed = 0 if probe.reachable else (previous.failed_probes if previous else 0) + 1
    status = (
        ProviderStatus.HEALTHY if failed == 0 else ProviderStatus.DEGRADED if failed < 3 else ProviderStatus.UNHEALTHY
    )
    return ProviderHealth(
        provider=provider,
        status=status,
        failed_probes=failed,
        latency_ms=probe.latency_ms,
        detail=probe.detail,
        checked_at=at,
    )
