"""Free probes of the providers, and what they found, stored for the selection."""

from collections.abc import Callable, Mapping
from datetime import datetime

from temporalio import activity

from tertulia.domain.health import ProviderHealth, after_probe
from tertulia.domain.ids import ProviderName
from tertulia.ports import Completer, HealthRecords


class HealthChecks:
    """Probes providers without spending a token."""

    def __init__(
        self, completers: Mapping[ProviderName, Completer], health: HealthRecords, now: Callable[[], datetime]
    ) -> None:
        self._completers = completers
        self._health = health
        self._now = now

    @activity.defn
    async def list_providers(self) -> list[ProviderName]:
        """Name the providers that can be probed."""
        return sorted(self._completers)

    @activity.defn
    async def check_provider(self, provider: ProviderName) -> ProviderHealth:
        """Probe one provider and store what follows."""
        probe = await self._completers[provider].probe()
        known = await self._health.read()
        health = after_probe(known.get(provider), provider, probe, self._now())
        await self._health.record(health)
        return health
