"""Free probes of the providers, and what is thought of each of them since."""

from collections.abc import Sequence
from typing import Protocol

from temporalio import activity

from tertulia.domain.conversation import Payload
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.health import ProbeResult, ProviderStatus
from tertulia.domain.providers.reports import Configured, StatusReport


class ProviderCheck(Payload):
    """What a free probe has found, and how the provider is rated by that and by the calls of late."""

    provider: ProviderName
    status: ProviderStatus
    reachable: bool
    latency_ms: float
    detail: str = ""


class Probing(Protocol):
    """Probes providers and rates them. Implemented by the provider service."""

    def configured(self) -> Sequence[Configured]: ...

    async def check_provider(self, name: ProviderName) -> ProbeResult: ...

    async def get_provider_status(self) -> StatusReport: ...


class HealthChecks:
    """Probes providers without spending a token."""

    def __init__(self, providers: Probing) -> None:
        self._providers = providers

    @activity.defn
    async def list_providers(self) -> list[ProviderName]:
        """Name the providers that can be probed."""
        configs = [configured.config for configured in self._providers.configured()]
        return sorted(config.provider for config in configs if config.enabled and config.unusable is None)

    @activity.defn
    async def check_provider(self, provider: ProviderName) -> ProviderCheck:
        """Probe one provider; what follows from it is stored.

        Raises:
            NotFound: It has been removed meanwhile.
        """
        probe = await self._providers.check_provider(provider)
        report = await self._providers.get_provider_status()
        status = next((each.health.status for each in report.providers if each.config.provider == provider), None)
        if status is None:
            raise NotFound("provider", provider)
        return ProviderCheck(
            provider=provider,
            status=status,
            reachable=probe.reachable,
            latency_ms=probe.latency_ms,
            detail=probe.detail,
        )
