"""The error tree as problem+json (RFC 9457). No problem says more of a request than the names of its fields."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from tertulia.api.views import FieldProblem, Problem
from tertulia.domain.errors import (
    ActionRefused,
    DefinitionInvalid,
    InvalidInput,
    NotFound,
    RateLimited,
    TertuliaError,
    TransitionRefused,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: its HTTP status, its title, and what to do about it."""

    status: HTTPStatus
    title: str
    advice: str
    retry_after: timedelta | None = None


# Codes of the error tree first (`tertulia/domain/errors.py`), then those of HTTP itself.
KINDS: Mapping[str, Kind] = {
    "invalid_input": Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "Something given can't be used", "Change what `errors` names and send again."
    ),
    "definition_invalid": Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The definition can't be used",
        "Correct the definition's file; `tertulia doctor` names the places.",
    ),
    "not_found": Kind(HTTPStatus.NOT_FOUND, "There is no such thing", "Check the address and the ids in it."),
    "unauthenticated": Kind(
        HTTPStatus.UNAUTHORIZED,
        "Who calls is not known",
        "Send `Authorization: Bearer <key>`; `tertulia keys create` makes one.",
    ),
    "forbidden": Kind(
        HTTPStatus.FORBIDDEN, "Not with this key", "Use a key of the scope and tenant that `detail` names."
    ),
    "rate_limited": Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "Wait for as long as `Retry-After` says, then send again."
    ),
    "refused": Kind(HTTPStatus.CONFLICT, "Not possible as things stand", "Read the current state, then decide."),
    "session_closed": Kind(HTTPStatus.CONFLICT, "The session has ended", "Start another session."),
    "session_moved": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The session goes on in a new run",
        "Send the same message again, under its id.",
        timedelta(seconds=1),
    ),
    "turn_in_progress": Kind(
        HTTPStatus.CONFLICT,
        "A turn is running",
        "Wait for its reply, then send again.",
        timedelta(seconds=1),
    ),
    "too_many_waiting": Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many messages are waiting",
        "Wait for replies, then send again.",
        timedelta(seconds=2),
    ),
    "transition_refused": Kind(
        HTTPStatus.CONFLICT, "The definition has no such transition", "Choose one of the states in `allowed`."
    ),
    "action_refused": Kind(
        HTTPStatus.CONFLICT, "Not while the session stands so", "Do one of what `allowed` names, then try again."
    ),
    "unavailable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A part can't be reached",
        "Try again after a while, under the same id: nothing is done twice.",
        timedelta(seconds=5),
    ),
    "provider_failure": Kind(
        HTTPStatus.BAD_GATEWAY, "A provider failed", "Try again later, or see /v1/providers/status."
    ),
    "not_admitted": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No provider may be asked now",
        "Try again later; /v1/providers/decision says why.",
        timedelta(seconds=5),
    ),
    "channel_failure": Kind(
        HTTPStatus.BAD_GATEWAY, "A messenger failed", "Try again later, or see the session's deliveries."
    ),
    "not_authentic": Kind(
        HTTPStatus.UNAUTHORIZED,
        "Not the platform's call",
        "Sign it, or give the secret that the webhook is set up with.",
    ),
    "error": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong", "Tell the operator."),
    "unexpected": Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "Tell the operator when it happened; the log says what.",
    ),
    "malformed_body": Kind(HTTPStatus.BAD_REQUEST, "The body can't be read", "Send JSON in UTF-8."),
    "body_too_large": Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "Send less than 1 MiB, or a file of at most 5 MiB.",
    ),
    "unsupported_media_type": Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a JSON body", "Send it with `Content-Type: application/json`."
    ),
    "method_not_allowed": Kind(
        HTTPStatus.METHOD_NOT_ALLOWED, "Not a call of this address", "Use a method that the header `Allow` names."
    ),
}

_OF_BODIES = ("malformed_body", "body_too_large", "unsupported_media_type")
_CODE_OF_STATUS = {
    HTTPStatus.BAD_REQUEST: "malformed_body",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


def problem(code: str, detail: str | None = None, **data: Any) -> Problem:
    """Describe a refusal; `data` are the further fields of Problem."""
    kind = KINDS[code]
    return Problem(
        type=f"/problems/{code}",
        title=kind.title,
        status=kind.status,
        detail=detail or kind.advice,
        code=code,
        retry_after=None if kind.retry_after is None else int(kind.retry_after.total_seconds()),
        **data,
    )


def problem_of(error: TertuliaError) -> Problem:
    """Describe an error of the tree."""
    code = error.code if error.code in KINDS else TertuliaError.code
    match error:
        case DefinitionInvalid():
            # Its words are files of the server.
            return problem(code)
        case InvalidInput(field=str(field)):
            return problem(code, str(error), errors=(FieldProblem(field=field, problem=error.problem),))
        case NotFound():
            return problem(code, f"there is no such {error.kind}")
        case TransitionRefused() | ActionRefused():
            return problem(code, str(error), allowed=error.allowed)
        case RateLimited():
            waits = max(1, math.ceil(error.retry_after.total_seconds()))
            return problem(code, str(error)).model_copy(update={"retry_after": waits})
        case _:
            return problem(code, str(error))


def response(of: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with a problem."""
    waits = {} if of.retry_after is None else {"Retry-After": str(of.retry_after)}
    return JSONResponse(
        of.model_dump(mode="json", exclude_none=True),
        status_code=of.status,
        headers={**waits, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def documented(*codes: str, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for OpenAPI, by status; what every call may answer is always among them.

    Args:
        body: Whether the call has a body, which may be refused for itself.
    """
    described: dict[int | str, dict[str, Any]] = {}
    for code in ("invalid_input", "unavailable", *codes, *(_OF_BODIES if body else ())):
        kind = KINDS[code]
        known = described.get(kind.status.value)
        described[kind.status.value] = {
            "description": f"{known['description']} · {kind.title}" if known else kind.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return described


def install(app: FastAPI) -> None:
    """Let every refusal of an app be a problem."""
    app.add_exception_handler(TertuliaError, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TertuliaError)
    # RFC 6750: what would have been taken.
    challenge = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    return response(problem_of(error), challenge)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(HTTPStatus(error.status_code), "error")
    described = problem(code).model_copy(update={"status": error.status_code})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return response(described, {"Allow": ", ".join(_methods(request))})
    return response(described, error.headers)


def _methods(request: Request) -> Sequence[str]:
    """List the methods of an address. The framework's own answer knows only those of the first route that fits."""
    scopes = {method: {**request.scope, "method": method} for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}
    routes = request.app.routes
    return [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(found["type"] == "json_invalid" for found in errors):
        return response(problem("malformed_body"))
    if isinstance(error.body, bytes) and "json" not in request.headers.get("content-type", ""):
        return response(problem("unsupported_media_type"))
    fields = tuple(_field_problem(found) for found in errors)
    return response(problem("invalid_input", "; ".join(f"{f.field}: {f.problem}" for f in fields), errors=fields))


def _field_problem(found: Mapping[str, Any]) -> FieldProblem:
    location: Sequence[str | int] = found["loc"]
    if found["type"] == "extra_forbidden":
        # The last part is the client's own word.
        return FieldProblem(field=str(location[0]), problem="has a field that is not known here")
    # Deeper parts may be keys that the client chose.
    return FieldProblem(field=".".join(str(part) for part in location[:2]), problem=found["msg"])
