"""Figures about conversations. `docs/analytics.md` says of each exactly what it counts."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from starlette.responses import Response

from tertulia.api.access import Tenant, allow
from tertulia.api.analytics_inputs import DailyQuery, FiguresQuery, VolumesQuery
from tertulia.api.analytics_views import Figures, sheet
from tertulia.api.export import csv_lines
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.api.recruiting_views import FileFormat
from tertulia.domain.access import Scope
from tertulia.domain.analytics import (
    CostRow,
    FigureRow,
    FunnelRow,
    KnockOutRow,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.errors import DefinitionInvalid, NotFound
from tertulia.domain.ids import DefinitionName

router = APIRouter(prefix="/v1/analytics", tags=["analytics"], dependencies=[allow(Scope.OPERATE)])

R = TypeVar("R", bound=FigureRow)
S = TypeVar("S", FunnelRow, StateTimeRow)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A table", "content": {"text/csv": {"schema": {"type": "string"}}}},
    **documented(),
}


@router.get("/funnel", response_model=Figures[FunnelRow], responses=_RESPONSES)
async def read_funnel(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how far the sessions opened in the time have come, state by state, and where they were abandoned."""
    of = query.selection(tenant, ports.now())
    rows = as_they_follow(ports, await ports.analytics.funnel(of))
    return _answer("funnel", query, of, FunnelRow, rows)


@router.get("/state-times", response_model=Figures[StateTimeRow], responses=_RESPONSES)
async def read_state_times(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how long the sessions opened in the time have stayed in each state."""
    of = query.selection(tenant, ports.now())
    rows = as_they_follow(ports, await ports.analytics.state_times(of))
    return _answer("state-times", query, of, StateTimeRow, rows)


@router.get("/slots", response_model=Figures[SlotRow], responses=_RESPONSES)
async def read_slots(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how each question fared: how often it was answered, not understood, and put again."""
    of = query.selection(tenant, ports.now())
    return _answer("slots", query, of, SlotRow, await ports.analytics.slots(of))


@router.get("/knock-outs", response_model=Figures[KnockOutRow], responses=_RESPONSES)
async def read_knock_outs(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how many of the applications begun in the time each must-have turned away."""
    of = query.selection(tenant, ports.now())
    return _answer("knock-outs", query, of, KnockOutRow, await ports.analytics.knock_outs(of))


@router.get("/response-times", response_model=Figures[ResponseTimeRow], responses=_RESPONSES)
async def read_response_times(query: Annotated[DailyQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how long people waited for replies, and providers took to their first text."""
    of = query.selection(tenant, ports.now())
    rows = await ports.analytics.response_times(of, query.by)
    return _answer("response-times", query, of, ResponseTimeRow, rows)


@router.get("/volumes", response_model=Figures[VolumeRow], responses=_RESPONSES)
async def read_volumes(query: Annotated[VolumesQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Count sessions, turns and messages by channel and time."""
    of = query.selection(tenant, ports.now())
    return _answer("volumes", query, of, VolumeRow, await ports.analytics.volumes(of, query.by))


@router.get("/outcomes", response_model=Figures[OutcomeRow], responses=_RESPONSES)
async def read_outcomes(query: Annotated[DailyQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell what has become of the sessions opened in the time: contained, handed over, abandoned, in progress."""
    of = query.selection(tenant, ports.now())
    rows = await ports.analytics.outcomes(of, query.by)
    return _answer("outcomes", query, of, OutcomeRow, rows)


@router.get("/costs", response_model=Figures[CostRow], responses=_RESPONSES)
async def read_costs(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell what the sessions opened in the time have cost, and what that is for a completed one."""
    of = query.selection(tenant, ports.now())
    return _answer("costs", query, of, CostRow, await ports.analytics.costs(of))


@router.get("/providers", response_model=Figures[ProviderRow], responses=_RESPONSES)
async def read_provider_success(query: Annotated[FiguresQuery, Query()], ports: Ports, tenant: Tenant) -> Any:
    """Tell how many of the attempts that ended in the time were answered, by provider."""
    of = query.selection(tenant, ports.now())
    return _answer("providers", query, of, ProviderRow, await ports.analytics.providers(of))


def _answer(name: str, query: FiguresQuery, of: Selection, kind: type[R], rows: Sequence[R]) -> Figures[R] | Response:
    if query.format is FileFormat.JSON:
        return Figures[R](since=of.since, until=of.until, rows=tuple(rows))
    return Response(
        csv_lines(sheet(kind, rows)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def as_they_follow(ports: ApiPorts, rows: Sequence[S]) -> Sequence[S]:
    """Put the states of each definition in the order in which the definition has them, as far as it still does."""
    places = {name: _places(ports, DefinitionName(name)) for name in {row.definition for row in rows}}
    return sorted(rows, key=lambda row: (row.definition, places[row.definition].get(row.state, len(rows))))


def _places(ports: ApiPorts, name: DefinitionName) -> dict[str, int]:
    try:
        states = ports.definitions.get(name).states
    except (NotFound, DefinitionInvalid):
        return {}
    return {state: place for place, state in enumerate(states)}
