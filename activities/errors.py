"""How the product's errors cross Temporal, in both directions, and which of them are worth a retry."""

from collections.abc import Mapping
from typing import Any

from temporalio import activity, exceptions
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, TimeoutType
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from tertulia.domain import routing
from tertulia.domain.errors import (
    DefinitionInvalid,
    FailureClass,
    InvalidInput,
    NotFound,
    ProviderFailure,
    Refused,
    SessionClosed,
    SessionMoved,
    TertuliaError,
    TooManyWaiting,
    TransitionRefused,
    TurnInProgress,
    Unavailable,
)

# Those that carry nothing but their message.
_PLAIN: Mapping[str | None, type[Refused]] = {
    error.code: error for error in (Refused, SessionClosed, SessionMoved, TurnInProgress, TooManyWaiting)
}


def to_application_error(error: TertuliaError) -> ApplicationError:
    """Encode an error so that Temporal knows whether to retry it and a client can tell what it was."""
    match error:
        case ProviderFailure():
            return ApplicationError(
                str(error),
                error.failure,
                error.detail,
                type=error.code,
                non_retryable=not routing.try_again_here(error),
                next_retry_delay=error.retry_after,
                category=ApplicationErrorCategory.BENIGN,
            )
        case Unavailable():
            return ApplicationError(str(error), error.part, error.problem, type=error.code)
        case _:
            return ApplicationError(
                str(error),
                *_details(error),
                type=error.code,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )


def _details(error: TertuliaError) -> tuple[Any, ...]:
    match error:
        case TransitionRefused():
            return (list(error.allowed),)
        case NotFound():
            return (error.kind, error.name)
        case DefinitionInvalid():
            return (list(error.places),)
        case InvalidInput():
            return (error.problem, error.field)
        case _:
            return ()


def from_application_error(error: ApplicationError) -> TertuliaError | None:
    """Decode what `to_application_error` encoded; None for an error that is not one of ours."""
    match error.type:
        case TransitionRefused.code:
            return TransitionRefused(error.message, error.details[0])
        case NotFound.code:
            return NotFound(*error.details)
        case InvalidInput.code:
            return InvalidInput(error.details[0], field=error.details[1])
        case DefinitionInvalid.code:
            return DefinitionInvalid(error.details[0])
        case Unavailable.code:
            return Unavailable(*error.details)
        case code:
            plain = _PLAIN.get(code)
            return plain(error.message) if plain else None


def failure_of(error: BaseException | None) -> tuple[FailureClass, str]:
    """Read the class of failure and the provider's words from the cause of a failed activity.

    A cause that is not a provider's failure (a heartbeat that stopped, a time limit of Temporal's) is a timeout.
    """
    if isinstance(error, ApplicationError) and error.type == ProviderFailure.code:
        return FailureClass(error.details[0]), str(error.details[1])
    return FailureClass.TIMEOUT, type(error).__name__


def is_unavailable(error: BaseException | None) -> bool:
    """Tell whether the cause of a failed activity is a part of ours that is away, rather than what was asked."""
    return isinstance(error, ApplicationError) and error.type == Unavailable.code


def is_lost_worker(error: BaseException | None) -> bool:
    """Tell whether an activity failed because its worker fell silent."""
    return isinstance(error, exceptions.TimeoutError) and error.type is TimeoutType.HEARTBEAT


class ErrorTranslation(Interceptor):
    """Lets activities raise the product's own errors; installed once, on the worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Translating(next)


class _Translating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            return await self.next.execute_activity(input)
        except TertuliaError as error:
            if isinstance(error, Unavailable):
                activity.logger.warning("%s", error)
            raise to_application_error(error) from error
