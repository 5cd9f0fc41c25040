"""What operators and their tools ask: is it alive, is it ready, what is on offer."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from tertulia.api import problems
from tertulia.api.access import allow, anybody
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.views import DefinitionList, DefinitionSummary, ProblemKind, Readiness
from tertulia.domain.access import Scope
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import DefinitionInvalid, NotFound
from tertulia.domain.ids import DefinitionName

router = APIRouter(tags=["operations"])
log = structlog.get_logger("tertulia.api")

# A load balancer asks every few seconds and wants to know by then.
CHECK_SECONDS = 3


@router.get("/v1/definitions", dependencies=[allow(Scope.CHAT)], responses=problems.documented())
async def list_definitions(ports: Ports) -> DefinitionList:
    """List the applications on offer."""
    found = [usable(ports, name) for name in sorted(ports.definitions.names())]
    return DefinitionList(definitions=[DefinitionSummary(name=each.name, title=each.title) for each in found if each])


@router.get("/healthz", dependencies=[anybody()])
async def check_alive() -> dict[str, str]:
    """Tell that the process is alive, whatever else may be down."""
    return {"status": "alive"}


@router.get("/readyz", dependencies=[anybody()], response_model=Readiness, responses=problems.documented())
async def check_ready(ports: Ports) -> Response:
    """Tell whether every part that the API needs can be reached."""
    states = await asyncio.gather(*(_state(name, check) for name, check in ports.parts.items()))
    parts = dict(zip(ports.parts, states, strict=True))
    missing = [name for name, state in parts.items() if state != "ok"]
    if missing:
        detail = f"can't be reached: {', '.join(missing)}"
        return problems.response(problems.problem("unavailable", detail, parts=parts))
    return JSONResponse({"status": "ready", "parts": parts})


@router.get("/problems/{code}", dependencies=[anybody()], responses=problems.documented("not_found"))
async def explain_problem(code: str) -> ProblemKind:
    """Explain a kind of problem, and what to do about it."""
    if code not in problems.KINDS:
        raise NotFound("kind of problem", code)
    kind = problems.KINDS[code]
    return ProblemKind(code=code, status=kind.status, title=kind.title, advice=kind.advice)


def usable(ports: ApiPorts, name: DefinitionName) -> Definition | None:
    """Return an application on offer; None where its file is broken, or gone."""
    try:
        return ports.definitions.get(name)
    except (DefinitionInvalid, NotFound) as error:
        # One broken or vanished file does not take the others off the list.
        log.warning("definition_unusable", definition=name, error=str(error))
        return None


async def _state(name: str, check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 whatever a check raises, it means the same
        log.warning("not_ready", part=name, error=type(error).__name__)
        return "unreachable"
    return "ok"
