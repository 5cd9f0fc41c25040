"""What the workflow learns from a provider call that has failed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from temporalio import exceptions
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, TimeoutType

from activities.errors import failure_of, is_unavailable, made_by, refusal_of, to_application_error
from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, TertuliaError, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.retries import Ledger

MADE = Ledger(attempts=3, failed=2, wasted_usd=Decimal("0.0123"))


async def _across(error: TertuliaError) -> BaseException:
    failure = Failure()
    await pydantic_data_converter.encode_failure(to_application_error(error, MADE), failure)
    return await pydantic_data_converter.decode_failure(failure)


async def test_a_failure_arrives_with_what_the_attempts_came_to() -> None:
    arrived = await _across(ProviderFailure(FailureClass.OVERLOADED, "busy"))
    assert (failure_of(arrived), made_by(arrived)) == ((FailureClass.OVERLOADED, "busy"), MADE)


async def test_a_refusal_arrives_with_its_time_and_is_not_retried() -> None:
    retry_at = datetime(2026, 3, 14, 12, tzinfo=UTC)
    arrived = await _across(NotAdmitted(ProviderName("first"), "no room", retry_at=retry_at))
    refusal = refusal_of(arrived)
    assert refusal is not None
    assert (refusal.provider, refusal.reason, refusal.retry_at) == ("first", "no room", retry_at)
    assert isinstance(arrived, ApplicationError)
    assert (arrived.non_retryable, made_by(arrived)) == (True, MADE)


async def test_storage_that_is_away_is_no_providers_failure() -> None:
    arrived = await _across(Unavailable("Postgres", "no answer"))
    assert is_unavailable(arrived)
    assert (refusal_of(arrived), made_by(arrived)) == (None, MADE)


def test_a_retry_comes_after_the_gate_has_opened_wherever_in_its_spread_that_is() -> None:
    error = to_application_error(ProviderFailure(FailureClass.RATE_LIMIT, "slow", retry_after=timedelta(seconds=5)))
    assert error.next_retry_delay == timedelta(seconds=5.5)


def test_a_silent_worker_is_lost_and_what_its_heartbeats_told_is_kept() -> None:
    silent = exceptions.TimeoutError(
        "silent", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[MADE.model_dump(mode="json")]
    )
    assert failure_of(silent)[0] is FailureClass.LOST
    assert made_by(silent) == MADE


def test_a_fault_of_ours_blames_no_provider_and_tells_no_more_than_its_kind() -> None:
    fault = ApplicationError("a secret", type="KeyError")
    assert (failure_of(fault), made_by(fault)) == ((FailureClass.INTERNAL, "KeyError"), Ledger())
