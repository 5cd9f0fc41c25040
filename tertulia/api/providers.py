"""Providers: who is asked, how they are, what they cost; and what operators change about that."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tertulia.api.access import Caller, allow, allow_house
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.api.provider_inputs import (
    AddProvider,
    ChangeProvider,
    Maintenance,
    PageOfHistory,
    ProviderInPath,
    Question,
    SetBudget,
    TenantInPath,
)
from tertulia.api.provider_views import (
    BudgetView,
    DecisionView,
    ProbeView,
    ProviderHistory,
    ProviderList,
    ProviderMetricsList,
    ProviderStatusList,
    ProviderView,
)
from tertulia.api.windows import Window
from tertulia.domain.access import Scope
from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.providers.configs import find

router = APIRouter(prefix="/v1", tags=["providers"], dependencies=[allow(Scope.OPERATE)])

_OPERATORS = [allow_house(Scope.OPERATE)]
_ADMINISTRATORS = [allow_house(Scope.ADMIN)]


@router.get("/providers", dependencies=_OPERATORS, responses=documented())
async def list_providers(ports: Ports) -> ProviderList:
    """List the configurations in use, in the order of preference. Of a key only its fingerprint is told."""
    return ProviderList.of(ports.providers.configured())


@router.post("/providers", dependencies=_ADMINISTRATORS, status_code=201, responses=documented(body=True))
async def add_provider(body: AddProvider, ports: Ports) -> ProviderView:
    """Add a provider. Every worker asks it within a second."""
    with _about("body"):
        return ProviderView.of(await ports.providers.add_provider(body.config()))


@router.patch("/providers/{name}", dependencies=_ADMINISTRATORS, responses=documented("not_found", body=True))
async def update_provider(name: ProviderInPath, body: ChangeProvider, ports: Ports) -> ProviderView:
    """Change a provider by a JSON merge patch; calls under way end under the configuration they began with."""
    in_use = {each.config.provider: each.config for each in ports.providers.configured()}
    with _about("body"):
        patch = body.patch(find(in_use, name))
        return ProviderView.of(await ports.providers.update_provider_config(name, patch))


@router.delete(
    "/providers/{name}",
    dependencies=_ADMINISTRATORS,
    status_code=204,
    response_class=Response,
    responses=documented("not_found"),
)
async def remove_provider(name: ProviderInPath, ports: Ports) -> None:
    """Remove a provider; calls under way end. The last one that can be asked stays."""
    with _about("path"):
        await ports.providers.remove_provider(name)


@router.get("/providers/status", dependencies=_OPERATORS, responses=documented())
async def read_provider_status(ports: Ports) -> ProviderStatusList:
    """Tell how each provider is, and why it would be passed over now."""
    return ProviderStatusList.of(await ports.providers.get_provider_status())


@router.get("/providers/metrics", responses=documented())
async def read_provider_metrics(query: Annotated[Window, Query()], ports: Ports, caller: Caller) -> ProviderMetricsList:
    """Tell what came of the attempts of a window: answers, failures, latency, tokens and cost, by provider.

    The house sees all attempts, any other tenant its own.
    """
    since, until = query.bounds(ports.now())
    whose = None if caller.is_of_house else caller.tenant
    return ProviderMetricsList.of(since, until, await ports.providers.get_provider_metrics(since, until, whose))


@router.get("/providers/decision", dependencies=_OPERATORS, responses=documented())
async def decide_provider(query: Annotated[Question, Query()], ports: Ports) -> DecisionView:
    """Tell who would be asked now, in which order, and why the others wouldn't. Nobody is asked."""
    return DecisionView.of(await ports.providers.get_best_provider(query.demand()))


@router.get("/providers/{name}/history", dependencies=_OPERATORS, responses=documented("not_found"))
async def read_provider_history(
    name: ProviderInPath, query: Annotated[PageOfHistory, Query()], ports: Ports
) -> ProviderHistory:
    """Tell what was decided about a provider, newest first: breaker, gates, limit, maintenance."""
    return ProviderHistory.of(name, await ports.providers.provider_history(name, query.limit))


@router.put(
    "/providers/{name}/maintenance",
    dependencies=_OPERATORS,
    status_code=204,
    response_class=Response,
    responses=documented("not_found", body=True),
)
async def start_maintenance(name: ProviderInPath, body: Maintenance, ports: Ports) -> None:
    """Take a provider out of service: it is asked nothing new, and calls under way end."""
    await ports.providers.set_maintenance(name, body.note)


@router.delete(
    "/providers/{name}/maintenance",
    dependencies=_OPERATORS,
    status_code=204,
    response_class=Response,
    responses=documented("not_found"),
)
async def end_maintenance(name: ProviderInPath, ports: Ports) -> None:
    """Put a provider back in service."""
    await ports.providers.set_maintenance(name, None)


@router.post("/providers/{name}/check", dependencies=_OPERATORS, responses=documented("not_found"))
async def check_provider(name: ProviderInPath, ports: Ports) -> ProbeView:
    """Probe a provider now. It costs nothing, and its state takes account of it."""
    return ProbeView.of(name, await ports.providers.check_provider(name))


@router.get("/tenants/{tenant}/budget", responses=documented("not_found"))
async def read_budget(tenant: TenantInPath, ports: Ports, caller: Caller) -> BudgetView:
    """Read what a tenant may spend a day, and has spent today."""
    if not (caller.is_of_house or tenant == caller.tenant):
        raise NotFound("budget", tenant)
    budget = await ports.providers.budget(tenant)
    if budget is None:
        raise NotFound("budget", tenant)
    return BudgetView.of(budget)


@router.put("/tenants/{tenant}/budget", dependencies=_ADMINISTRATORS, responses=documented(body=True))
async def set_budget(tenant: TenantInPath, body: SetBudget, ports: Ports) -> BudgetView:
    """Set what a tenant may spend a day; beyond it no provider is asked until midnight UTC."""
    return BudgetView.of(await ports.providers.set_budget(tenant, body.daily_usd))


@router.delete(
    "/tenants/{tenant}/budget",
    dependencies=_ADMINISTRATORS,
    status_code=204,
    response_class=Response,
    responses=documented(),
)
async def remove_budget(tenant: TenantInPath, ports: Ports) -> None:
    """Let a tenant spend without a budget of its own."""
    await ports.providers.remove_budget(tenant)


@contextmanager
def _about(part: str) -> Iterator[None]:
    """Say of what the domain refuses in which part of the request it stands."""
    try:
        yield
    except InvalidInput as error:
        inside = error.field is None or not error.field.startswith(f"{part}.")
        field = f"{part}.{error.field}" if inside and error.field else error.field or part
        raise InvalidInput(error.problem, field=field) from error
