"""What each route asks of its caller. A route says so where it is declared; an app with one that doesn't is not made.

    router = APIRouter(prefix="/v1/sessions", dependencies=[allow(Scope.CHAT)])

    @router.get("", dependencies=[allow(Scope.OPERATE)])   # the higher of the two counts

A route with `{session_id}` in its path only ever runs for a session of the caller's tenant: another tenant's is not
found, just as one that never was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from tertulia.api.ports import ApiPorts
from tertulia.api.problems import documented
from tertulia.domain import access
from tertulia.domain.access import HOUSE, Scope
from tertulia.domain.conversation import CANDIDATE
from tertulia.domain.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from tertulia.domain.ids import ID_PATTERN, SessionId, TenantId, is_identifier
from tertulia.domain.turns import SessionRecord

# Pages and files that tell nothing of anybody; the framework's own, so they can't declare it themselves.
_OF_THE_FRAMEWORK = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect", "/docs/static"})


@dataclass(frozen=True, slots=True)
class Guard:
    """What a route asks of its caller, and the dependency that asks it.

    Attributes:
        scope: What the caller's key must include; None: no key is asked for.
        house: Whether it must be a key of the house, for what all tenants share.
        signed: Whether the route itself checks a signature instead.
    """

    scope: Scope | None
    house: bool = False
    signed: bool = False

    async def __call__(self, request: Request) -> None:
        """Let the caller in, and remember who it is.

        Raises:
            Unauthenticated: It shows nothing that is valid.
            RateLimited: It calls too often, whatever for.
            Forbidden: Its key does not reach so far.
            NotFound: The session in the path is not its own.
        """
        # Of the guards of a router and its route the first one asks for both.
        guard = strictest(request.scope["route"].dependant) or self
        if guard.scope is None or hasattr(request.state, "caller"):
            return
        ports: ApiPorts = request.app.state.ports
        caller = await ports.doorkeeper.caller(request, ports.now())
        request.state.headers = ports.doorkeeper.count(caller)
        if not caller.scope.includes(guard.scope):
            raise Forbidden(f"needs a key of scope {guard.scope}; this one has {caller.scope}")
        if guard.house and not caller.is_of_house:
            raise Forbidden(f"concerns all tenants, so it needs a key of the tenant {HOUSE!r}")
        if caller.session_id is not None and "session_id" not in request.path_params:
            raise Forbidden("a session's token opens the calls of that session only")
        request.state.still_allowed = partial(ports.doorkeeper.caller, request)
        if "session_id" in request.path_params:
            request.state.session = await _own_session_in_path(ports, caller, request.path_params["session_id"])
        request.state.caller = caller


def strictest(dependant: Dependant) -> Guard | None:
    """Return what the guards of a route come to together; None where it has none."""
    found = [dependency.call for dependency in dependant.dependencies if isinstance(dependency.call, Guard)]
    if not found:
        return None
    scopes = [guard.scope for guard in found if guard.scope is not None]
    return Guard(
        max(scopes, key=list(Scope).index, default=None),
        house=any(guard.house for guard in found),
        signed=any(guard.signed for guard in found),
    )


def allow(scope: Scope) -> Any:
    """Declare a route for keys of a scope, or of one that includes it."""
    return Depends(Guard(scope))


def allow_house(scope: Scope) -> Any:
    """Declare a route that concerns all tenants: for keys of the house of that scope."""
    return Depends(Guard(scope, house=True))


def anybody() -> Any:
    """Declare a route that tells nothing of anybody."""
    return Depends(Guard(None))


def signed() -> Any:
    """Declare a route that checks a signature itself, as webhooks do."""
    return Depends(Guard(None, signed=True))


async def _caller(request: Request) -> access.Caller:
    # Set by the guard, and by nothing else: a route without one fails here rather than show somebody's data.
    try:
        caller: access.Caller = request.state.caller
    except AttributeError as error:
        raise Unauthenticated from error
    return caller


async def _tenant(request: Request) -> TenantId:
    return (await _caller(request)).tenant


async def _session(request: Request) -> SessionRecord:
    session: SessionRecord = request.state.session
    return session


Caller = Annotated[access.Caller, Depends(_caller)]
Tenant = Annotated[TenantId, Depends(_tenant)]
# The session in the path as it was stored when the request came.
OwnSession = Annotated[SessionRecord, Depends(_session)]


async def own_session(ports: ApiPorts, caller: access.Caller, session_id: SessionId) -> SessionRecord:
    """Read a session that a caller names.

    Raises:
        NotFound: There is none, it is another tenant's, or not the one that the caller's token is for.
        Forbidden: It is a recruiter's, and the caller's key does not reach so far.
    """
    record = await ports.records.get(session_id)
    elsewhere = caller.session_id not in {None, session_id}
    if record is None or elsewhere or record.tenant != caller.tenant:
        raise NotFound("session", session_id)
    must_serve(caller, record.role)
    return record


def must_serve(caller: access.Caller, role: str) -> None:
    """Let callers touch only sessions of people who may do no more than they.

    Raises:
        Forbidden: A session in this role does things that the caller's key may not.
    """
    if role != CANDIDATE and caller.session_id is None and not caller.scope.includes(Scope.OPERATE):
        raise Forbidden(f"a session of a {role!r} needs a key of scope {Scope.OPERATE}; this one has {caller.scope}")


async def _own_session_in_path(ports: ApiPorts, caller: access.Caller, session_id: str) -> SessionRecord:
    if not is_identifier(session_id):
        raise InvalidInput(f"must match {ID_PATTERN}", field="path.session_id")
    return await own_session(ports, caller, SessionId(session_id))


# --- what is declared -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declared:
    """A route with its guard.

    Attributes:
        operation_id: Its name in OpenAPI.
    """

    method: str
    path: str
    operation_id: str
    guard: Guard


def declared(app: FastAPI) -> Sequence[Declared]:
    """List the API's routes with what each asks of its caller.

    Raises:
        TypeError: A route does not say.
    """
    return [
        Declared(method, str(route.path).replace(":text}", "}"), str(route.name), _guard(route))
        for route in iter_route_contexts(app.routes)
        if route.path not in _OF_THE_FRAMEWORK
        for method in sorted(route.methods or ())
    ]


def _guard(route: RouteContext) -> Guard:
    guard = strictest(route.dependant) if isinstance(route.original_route, APIRoute) else None
    if guard is None:
        raise TypeError(f"{route.path} does not say who may call it (tertulia/api/access.py)")
    return guard


def describe(schema: dict[str, Any], routes: Sequence[Declared]) -> None:
    """Tell in an OpenAPI description what each call asks of its caller, and the refusals that follow."""
    schema["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key, made by `tertulia keys create`; or for the calls of one session its token",
        },
        "token": {
            "type": "apiKey",
            "in": "query",
            "name": "access_token",
            "description": "A session's token, where a browser can send no headers",
        },
    }
    refusals = documented("unauthenticated", "forbidden", "rate_limited")
    for route in routes:
        operation = schema["paths"][route.path][route.method.lower()]
        guard = route.guard
        operation["security"] = [] if guard.scope is None else [{"key": [guard.scope.value]}]
        if guard.scope is Scope.CHAT and route.method == "GET" and "{session_id}" in route.path:
            operation["security"].append({"token": []})
        if guard.scope is not None:
            for status in (401, 403, 429):
                operation["responses"].setdefault(str(status), refusals[status])
