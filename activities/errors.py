"""How the product's errors cross Temporal, in both directions, and which of them are worth a retry."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity, exceptions
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, TimeoutType
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from tertulia.domain import deliveries
from tertulia.domain.errors import (
    ActionRefused,
    ChannelFailure,
    DefinitionInvalid,
    FailureClass,
    InvalidInput,
    NotAdmitted,
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
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import gates, routing
from tertulia.domain.providers.retries import Ledger

# Those that carry nothing but their message.
_PLAIN: Mapping[str | None, type[Refused]] = {
    error.code: error for error in (Refused, SessionClosed, SessionMoved, TurnInProgress, TooManyWaiting)
}


def to_application_error(error: TertuliaError, made: Ledger | None = None, *, final: bool = False) -> ApplicationError:
    """Encode an error so that Temporal knows whether to retry it and a client can tell what it was.

    Args:
        made: What the attempts of the call came to, where a provider was called.
        final: Whether it is not to be retried, whatever it is.
    """
    return ApplicationError(
        str(error),
        *_details(error),
        *([made] if made else []),
        type=error.code,
        non_retryable=final or not _is_worth_a_retry(error),
        next_retry_delay=_retry_after(error),
        category=ApplicationErrorCategory.UNSPECIFIED
        if isinstance(error, Unavailable)
        else ApplicationErrorCategory.BENIGN,
    )


def _is_worth_a_retry(error: TertuliaError) -> bool:
    match error:
        case ProviderFailure():
            return routing.try_again_here(error)
        case ChannelFailure():
            return deliveries.is_worth_a_retry(error)
        case _:
            return isinstance(error, Unavailable)


def _retry_after(error: TertuliaError) -> timedelta | None:
    if isinstance(error, ProviderFailure) and error.retry_after is not None:
        # Not before the gate that the failure has closed is open again, even if that waits the longest.
        return gates.wait(error.retry_after, 1)
    return error.retry_after if isinstance(error, ChannelFailure) else None


def _details(error: TertuliaError) -> tuple[Any, ...]:
    match error:
        case ProviderFailure():
            return (error.failure, error.detail)
        case ChannelFailure():
            return (error.problem, error.detail)
        case NotAdmitted():
            return (error.provider, error.reason, error.retry_at)
        case Unavailable():
            return (error.part, error.problem)
        case TransitionRefused() | ActionRefused():
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
        case ActionRefused.code:
            return ActionRefused(error.message, error.details[0])
        case NotFound.code:
            return NotFound(*error.details)
        case InvalidInput.code:
            return InvalidInput(error.details[0], field=error.details[1])
        case DefinitionInvalid.code:
            return DefinitionInvalid(error.details[0])
        case Unavailable.code:
            return Unavailable(error.details[0], error.details[1])
        case code:
            plain = _PLAIN.get(code)
            return plain(error.message) if plain else None


def failure_of(error: BaseException | None) -> tuple[FailureClass, str]:
    """Read the class of failure and the provider's words from the cause of a failed activity.

    A cause that is not a provider's failure is a lost worker, a time limit of Temporal's, or a fault of ours.
    """
    if isinstance(error, ApplicationError) and error.type == ProviderFailure.code:
        return FailureClass(error.details[0]), str(error.details[1])
    if is_lost_worker(error):
        return FailureClass.LOST, "the worker fell silent"
    if isinstance(error, exceptions.TimeoutError):
        return FailureClass.TIMEOUT, "no end in time"
    return FailureClass.INTERNAL, (isinstance(error, ApplicationError) and error.type) or type(error).__name__


def refusal_of(error: BaseException | None) -> NotAdmitted | None:
    """Read why nothing was sent from the cause of a failed activity; None where something was."""
    if not isinstance(error, ApplicationError) or error.type != NotAdmitted.code:
        return None
    provider, reason, retry_at = error.details[:3]
    return NotAdmitted(
        ProviderName(provider), reason, retry_at=None if retry_at is None else datetime.fromisoformat(retry_at)
    )


def made_by(error: BaseException | None) -> Ledger:
    """Read what the attempts of a failed call came to; of one whose worker died, what its heartbeats have told."""
    match error:
        case ApplicationError(details=[*_, dict() as made]):
            return Ledger.model_validate(made)
        case exceptions.TimeoutError(last_heartbeat_details=[dict() as made, *_]):
            return Ledger.model_validate(made)
        case _:
            return Ledger()


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
            if isinstance(error, Unavailable | ChannelFailure):
                activity.logger.warning("%s", error)
            raise to_application_error(error) from error
