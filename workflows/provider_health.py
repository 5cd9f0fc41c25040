"""The health check of the providers, run by the Schedule `provider-health`."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.provider_health import HealthChecks, ProviderCheck
    from tertulia.domain.conversation import Payload
    from tertulia.domain.ids import ProviderName
    from workflows import options


class HealthReport(Payload):
    """What the check found; a provider whose check itself failed is missing."""

    providers: tuple[ProviderCheck, ...]


@workflow.defn(name="ProviderHealth")
class ProviderHealthCheck:
    """Probes all providers side by side, at no cost."""

    @workflow.run
    async def run(self) -> HealthReport:
        names = await workflow.execute_local_activity_method(HealthChecks.list_providers, **options.STORAGE)
        checked = await asyncio.gather(*(self._check(name) for name in names))
        report = HealthReport(providers=tuple(check for check in checked if check))
        workflow.set_current_details(
            "\n".join(f"{check.provider}: {check.status} ({check.detail or 'ok'})" for check in report.providers)
        )
        return report

    async def _check(self, name: ProviderName) -> ProviderCheck | None:
        try:
            return await workflow.execute_activity_method(
                HealthChecks.check_provider, name, **options.health_check(summary=name)
            )
        except ActivityError:
            workflow.logger.warning("provider could not be checked", extra={"provider": name})
            return None
