"""Refusals in the shape of that protocol."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from tertulia.api import problems
from tertulia.api.openai.views import ErrorAnswer, ErrorBody
from tertulia.domain.errors import (
    FailureClass,
    InvalidInput,
    NotAdmitted,
    ProviderFailure,
    TertuliaError,
    Unauthenticated,
    Unavailable,
)
from tertulia.domain.providers.attempts import Refusal

# What follows from a provider's failure, where nobody else could answer either: status, type and code.
_OF_FAILURES = {
    FailureClass.BAD_REQUEST: (400, "invalid_request_error", None),
    FailureClass.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded"),
    FailureClass.CONTENT_POLICY: (400, "invalid_request_error", "content_policy_violation"),
    FailureClass.RATE_LIMIT: (429, "rate_limit_error", "rate_limit_exceeded"),
    FailureClass.QUOTA: (429, "rate_limit_error", "rate_limit_exceeded"),
    FailureClass.TIMEOUT: (504, "server_error", "timeout"),
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_of(error: TertuliaError) -> tuple[int, ErrorBody]:
    """Tell a client what went wrong, with its status."""
    match error:
        case ProviderFailure():
            status, kind, code = _OF_FAILURES.get(error.failure, (502, "server_error", error.failure.value))
            # The provider's words may quote what was asked.
            return status, ErrorBody(message=f"no provider could answer ({error.failure})", type=kind, code=code)
        case NotAdmitted(reason=Refusal.TENANT_BUDGET_SPENT):
            return 429, ErrorBody(message=error.reason, type="insufficient_quota", code="insufficient_quota")
        case NotAdmitted() | Unavailable():
            return 503, ErrorBody(message="nobody can be asked now", type="server_error", code=error.code)
        case InvalidInput():
            return 400, ErrorBody(
                message=str(error), type="invalid_request_error", param=error.field, code="invalid_value"
            )
        case _:
            found = problems.problem_of(error)
            return found.status, _body(found.status, found.detail, found.code)


def refused(error: TertuliaError) -> JSONResponse:
    """Answer with a refusal."""
    status, body = error_of(error)
    return _response(status, body, _headers(error))


def _headers(error: TertuliaError) -> dict[str, str]:
    match error:
        case ProviderFailure():
            # The fallback has tried what could be tried, so the client's own retries would only add load.
            return {"x-should-retry": "false"}
        case Unauthenticated():
            # RFC 6750: what would have been taken.
            return {"www-authenticate": "Bearer"}
        case _:
            wait = problems.problem_of(error).retry_after
            return {} if wait is None else {"retry-after": str(wait)}


class OpenAIRoute(APIRoute):
    """A route whose every refusal has the shape of that protocol."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except TertuliaError as error:
                return refused(error)
            except RequestValidationError as error:
                return _not_valid(error)
            except HTTPException as error:
                words = HTTPStatus(error.status_code).phrase
                return _response(error.status_code, _body(error.status_code, words, None))

        return handle_or_refuse


def documented() -> dict[int | str, dict[str, Any]]:
    """Describe the refusals for OpenAPI."""
    described = {
        400: "Something given can't be used",
        401: "No key, or not a valid one",
        403: "The key does not reach so far",
        404: "There is no such model or session",
        409: "Not possible as things stand",
        413: "The body is too large",
        422: "Not used: what can't be used is a 400",
        429: "Too much at a time, or the budget is spent",
        502: "No provider could answer",
        503: "Nobody can be asked now",
        504: "No answer in time",
    }
    return {status: {"model": ErrorAnswer, "description": words} for status, words in described.items()}


def _not_valid(error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    # Deeper parts may be keys that the client chose.
    place = ".".join(str(part) for part in first["loc"][1:4])
    body = ErrorBody(
        message=f"{place}: {first['msg']}" if place else str(first["msg"]),
        type="invalid_request_error",
        param=place or None,
        code="invalid_value",
    )
    return _response(400, body)


def _body(status: int, message: str, code: str | None) -> ErrorBody:
    kind = _TYPES.get(status, "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error")
    return ErrorBody(message=message, type=kind, code=code)


def _response(status: int, body: ErrorBody, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(ErrorAnswer(error=body).model_dump(mode="json"), status_code=status, headers=headers)
