"""What the ledger tells of the providers."""

from decimal import Decimal

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.reports import Metrics, Percentiles

from .examples import at
from .provider_examples import GEMINI, GROQ, LEASE, Stores, answered, attempt, failed

USAGE = {"input_uncached": 10, "input_cached": 20, "input_cache_write": 30, "output_visible": 4, "output_reasoning": 1}


async def test_nothing_is_told_of_providers_that_nobody_asked(stores: Stores) -> None:
    assert await stores.metrics.metrics(at(0), at(9)) == {}


async def test_a_window_counts_what_ended_in_it(stores: Stores) -> None:
    await stores.ended(attempt("before"), answered("9"), 0.9)
    await stores.ended(attempt("a1"), answered("0.25", usage=USAGE, latency_ms=100, ttft_ms=10), 1)
    await stores.ended(attempt("a2", is_retry=True), answered("0.5", usage=USAGE, latency_ms=300, ttft_ms=30), 2)
    await stores.ended(attempt("a3"), failed(cost_usd="0.125", cost_at_most_usd="1", usage=USAGE), 3)
    await stores.ended(attempt("a4", reserve="2", is_retry=True), failed(FailureClass.TIMEOUT), 4)
    await stores.ended(attempt("a5"), failed(FailureClass.CANCELLED), 4.5)
    await stores.ended(attempt("after"), answered("9"), 5)
    await stores.attempts.admit(attempt("g1", GEMINI))

    metrics = await stores.metrics.metrics(at(1), at(5))

    assert metrics[GROQ] == Metrics(
        attempts=5,
        answered=2,
        failures={FailureClass.SERVER: 1, FailureClass.TIMEOUT: 1, FailureClass.CANCELLED: 1},
        retries=2,
        ttft_ms=Percentiles(p50=20, p95=29, p99=29.8),
        latency_ms=Percentiles(p50=200, p95=290, p99=298),
        latency_total_ms=400,
        input_tokens=180,
        cached_tokens=60,
        output_tokens=15,
        cost_usd=Decimal("0.875"),
        cost_at_most_usd=Decimal("3.75"),
        wasted_usd=Decimal("0.125"),
        consecutive_failures=0,
        in_flight=0,
    )
    assert (metrics[GEMINI].attempts, metrics[GEMINI].in_flight, metrics[GEMINI].latency_ms) == (0, 1, None)
    assert not metrics[GEMINI].failures


async def test_failures_in_a_row_are_those_since_the_last_answer_that_were_not_ours(stores: Stores) -> None:
    outcomes = [failed(), answered(), failed(), failed(FailureClass.CANCELLED), failed(FailureClass.RATE_LIMIT)]
    for minute, outcome in enumerate(outcomes):
        await stores.ended(attempt(f"a{minute}"), outcome, minute)
    await stores.ended(attempt("g1", GEMINI), failed(), 1)

    metrics = await stores.metrics.metrics(at(90), at(99))

    assert {provider: found.consecutive_failures for provider, found in metrics.items()} == {GROQ: 2, GEMINI: 1}


async def test_lost_attempts_are_failures_that_may_have_cost_what_they_reserved(stores: Stores) -> None:
    await stores.attempts.admit(attempt(reserve="0.75"))
    await stores.attempts.sweep(at(0) + LEASE)

    metrics = (await stores.metrics.metrics(at(0), at(1)))[ProviderName("groq")]

    assert metrics.failures == {FailureClass.LOST: 1}
    assert (metrics.cost_usd, metrics.cost_at_most_usd) == (Decimal(0), Decimal("0.75"))
