"""One attempt: admitted, asked, settled, whatever happens."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from tertulia.domain.errors import FailureClass, NotAdmitted, NotFound, ProviderFailure, Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.state import NOTHING_DECIDED
from tertulia.domain.turns import AttemptKey, AttemptOutcome
from tests.provider_service.fleet import TOKEN, Fault, Spell
from tests.provider_service.virtual_time import now, told
from tests.provider_service.world import World, provider, question, world

ONE = ProviderName("one")
ALWAYS = 1e9


def key(number: int = 1, *, name: str = "one", is_retry: bool = False) -> AttemptKey:
    return AttemptKey(
        attempt_id=f"run/{number}",
        session_id=None,
        turn=0,
        ask=1,
        provider=ProviderName(name),
        attempt=number,
        is_retry=is_retry,
    )


def outcomes(played: World) -> Sequence[AttemptOutcome | None]:
    return [row.outcome for row in played.rows]


def only_outcome(played: World) -> AttemptOutcome:
    (outcome,) = outcomes(played)
    assert outcome is not None
    return outcome


@told
async def test_an_answer_is_streamed_and_its_cost_is_in_the_ledger() -> None:
    async with world(provider("one", answer_tokens=3), workers=1) as played:
        heard: list[str] = []
        made = await played.workers[0].service.attempt(key(), question(400), on_text=heard.append)

        assert heard == [TOKEN] * 3
        assert made.completion.text == TOKEN * 3
        assert made.outcome == only_outcome(played)
        assert made.outcome.cost_usd == made.outcome.cost_at_most_usd == played.billed == Decimal("0.000112")
        assert made.outcome.cost_source == "priced"
        assert made.outcome.ttft_ms is not None
        assert 500 < made.outcome.ttft_ms < made.outcome.latency_ms
        assert not played.attempts.under_way()


@told
async def test_an_answer_of_a_healthy_provider_changes_no_state() -> None:
    async with world(provider("one"), workers=1) as played:
        await played.workers[0].service.attempt(key(), question())

        assert played.states.states == {}


@told
async def test_a_failed_attempt_says_what_it_cost() -> None:
    async with world(provider("one", Spell(Fault.CUTS, 0, ALWAYS, after=5)), workers=1) as played:
        with pytest.raises(ProviderFailure) as raised:
            await played.workers[0].service.attempt(key(), question(400))

        cost, outcome = raised.value.cost, only_outcome(played)
        assert cost is not None
        assert outcome.failure is FailureClass.TRUNCATED
        assert (cost.usd, cost.at_most) == (outcome.cost_usd, outcome.cost_at_most_usd)
        assert cost.usd == played.billed > 0


@told
async def test_a_cancelled_attempt_is_settled_and_says_nothing_about_the_provider() -> None:
    async with world(provider("one", answer_tokens=64, token_s=1), workers=1) as played:
        asking = asyncio.create_task(played.workers[0].service.attempt(key(), question(400)))
        await asyncio.sleep(5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        outcome = only_outcome(played)
        assert outcome.failure is FailureClass.CANCELLED
        assert outcome.cost_usd == played.billed > 0
        assert played.states.states.get(ONE, NOTHING_DECIDED) == NOTHING_DECIDED
        assert not played.attempts.under_way()


@told
async def test_an_attempt_cancelled_while_it_takes_its_place_gives_it_back() -> None:
    async with world(provider("one"), workers=1) as played:
        asking = asyncio.create_task(played.workers[0].service.attempt(key(), question()))
        await asyncio.sleep(0.0015)
        assert played.attempts.under_way()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert only_outcome(played).failure is FailureClass.CANCELLED
        assert played["one"].began == []


@told
async def test_without_storage_nothing_is_sent_and_what_is_known_is_stale() -> None:
    async with world(provider("one"), workers=1) as played:
        service = played.workers[0].service
        played.workers[0].line.is_cut = True

        with pytest.raises(Unavailable):
            await service.attempt(key(), question())

        assert played["one"].began == []
        status = await service.get_provider_status()
        assert status.stale
        assert [report.config.name for report in status.providers] == ["one"]


@told
async def test_an_answer_that_comes_while_storage_is_away_is_given_and_settled_when_it_is_back() -> None:
    async with world(provider("one"), workers=1) as played:
        asking = asyncio.create_task(played.workers[0].service.attempt(key(), question()))
        await asyncio.sleep(0.1)
        played.workers[0].line.is_cut = True
        made = await asking
        assert outcomes(played) == [None]

        played.workers[0].line.is_cut = False
        await asyncio.sleep(6)

        assert only_outcome(played) == made.outcome


@told
async def test_a_fault_of_ours_is_nobodys_failure_and_quotes_nothing() -> None:
    async with world(provider("one"), workers=1) as played:

        def fail(text: str) -> None:
            raise ValueError(text)

        with pytest.raises(ProviderFailure) as raised:
            await played.workers[0].service.attempt(key(), question(), on_text=fail)

        assert (raised.value.failure, raised.value.detail) == (FailureClass.INTERNAL, "ValueError")
        assert raised.value.__cause__ is None
        assert only_outcome(played).failure is FailureClass.INTERNAL
        assert played.states.states.get(ONE, NOTHING_DECIDED) == NOTHING_DECIDED


@told
async def test_a_provider_that_takes_longer_than_its_time_is_left() -> None:
    async with world(provider("one", Spell(Fault.SILENT, 0, ALWAYS), timeout_s=7), workers=1) as played:
        with pytest.raises(ProviderFailure) as raised:
            await played.workers[0].service.attempt(key(), question())

        assert raised.value.failure is FailureClass.TIMEOUT
        assert 7000 <= only_outcome(played).latency_ms <= 8000


@told
async def test_a_provider_that_nobody_knows_is_not_asked() -> None:
    async with world(provider("one"), workers=1) as played:
        with pytest.raises(NotFound):
            await played.workers[0].service.attempt(key(name="two"), question())


@told
async def test_no_more_calls_are_under_way_than_a_provider_takes() -> None:
    async with world(provider("one", max_concurrent=2), workers=2) as played:
        first, second = (worker.service for worker in played.workers)
        running = [asyncio.create_task(first.attempt(key(number), question())) for number in (1, 2)]
        await asyncio.sleep(0.1)

        with pytest.raises(NotAdmitted) as raised:
            await second.attempt(key(3), question())

        assert raised.value.retry_at is not None
        assert raised.value.retry_at > now()
        await asyncio.gather(*running)
        await second.attempt(key(4), question())
        assert len(played["one"].served) == 3


@told
async def test_a_question_that_does_not_fit_is_not_sent() -> None:
    async with world(provider("one", context_window=100), workers=1) as played:
        with pytest.raises(NotAdmitted):
            await played.workers[0].service.attempt(key(), question(400))

        assert played.rows == []


@told
async def test_a_long_call_keeps_its_place_and_a_dead_workers_is_given_to_others() -> None:
    slow = provider("one", max_concurrent=1, answer_tokens=40, token_s=1, timeout_s=60)
    async with world(slow, workers=2) as played:
        running = asyncio.create_task(played.workers[0].service.attempt(key(1), question()))
        await asyncio.sleep(30)
        with pytest.raises(NotAdmitted):
            await played.workers[1].service.attempt(key(2), question())

        await played.workers[0].kill()
        running.cancel()
        await asyncio.sleep(21)

        assert only_outcome(played).failure is FailureClass.LOST
        await played.workers[1].service.attempt(key(3), question())


@told
async def test_shutdown_waits_for_calls_cancels_the_rest_and_settles_all() -> None:
    async with world(provider("one", token_s=1, answer_tokens=40, timeout_s=60), provider("two"), workers=1) as played:
        service = played.workers[0].service
        slow = asyncio.create_task(service.attempt(key(1), question()))
        quick = asyncio.create_task(service.attempt(key(2, name="two"), question()))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(service.shutdown(timedelta(seconds=10)))
        await asyncio.sleep(0.1)

        with pytest.raises(Unavailable):
            await service.attempt(key(3), question())
        await stopping

        assert (await quick).outcome.failure is None
        with pytest.raises(Unavailable):
            await slow
        assert [outcome and outcome.failure for outcome in outcomes(played)] == [FailureClass.CANCELLED, None]


@told
async def test_what_was_only_just_admitted_at_the_end_of_a_shutdown_is_not_sent() -> None:
    async with world(provider("one"), workers=1) as played:
        service = played.workers[0].service
        asking = asyncio.create_task(service.attempt(key(), question()))
        await asyncio.sleep(0.0005)
        await service.shutdown(timedelta(0))

        with pytest.raises(Unavailable):
            await asking
        assert only_outcome(played).failure is FailureClass.CANCELLED
        assert played["one"].began == []


@told
async def test_retries_of_all_questions_together_are_few_while_a_provider_fails() -> None:
    async with world(provider("one", Spell(Fault.CUTS, 0, ALWAYS)), workers=1) as played:
        service = played.workers[0].service
        for number in range(3):
            with pytest.raises(ProviderFailure):
                await service.attempt(key(number, is_retry=True), question())

        with pytest.raises(NotAdmitted):
            await service.attempt(key(4, is_retry=True), question())
        assert len(played["one"].began) == 3
