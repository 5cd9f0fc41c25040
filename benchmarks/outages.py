"""Ten minutes of three faulty providers in virtual time: how many turns are served, how late, at what waste.

`drive` asks a question every two seconds of whoever is given, so that the provider service and a peer meet the same
faults at the same moments. This module and what it imports run in the peer's environment, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from benchmarks.measuring import percentile
from tertulia.domain.providers.completions import ChatMessage, CompletionRequest
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.costs import Prices
from tests.provider_service.fleet import Fault, ScriptedProvider, Spell

SECONDS = 600
EVERY_S = 2.0
# What a person waits at most.
PATIENCE_S = 60.0

REQUEST = CompletionRequest(messages=(ChatMessage(role="user", text="How long is the notice period? " * 8),))


def fleet() -> tuple[ScriptedProvider, ScriptedProvider, ScriptedProvider]:
    """Make three providers, cheapest first, of which each has bad minutes and none is ever enough by itself."""
    return (
        _provider(
            "first",
            1,
            "0.5",
            Spell(Fault.DOWN, 60, 120),
            Spell(Fault.RATE_LIMITED, 180, 210, hint_s=15),
            Spell(Fault.SILENT, 270, 330),
            Spell(Fault.CUTS, 390, 420, after=15),
            Spell(Fault.OUT_OF_QUOTA, 480, 600),
        ),
        _provider(
            "second",
            2,
            "1",
            Spell(Fault.OVERLOADED, 40, 80),
            Spell(Fault.SLOW, 300, 360),
            Spell(Fault.BROKEN, 400, 440),
            Spell(Fault.STALLS, 500, 520),
        ),
        _provider("third", 3, "5", Spell(Fault.DOWN, 70, 75), Spell(Fault.RATE_LIMITED, 500, 530, hint_s=20)),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        turns: Questions asked.
        served: Those that were answered within a minute.
        p99_s: Of the time until the answer; an unanswered one counts for the whole minute.
        attempts_per_turn: Calls that reached a provider.
        wasted_share: Of the money billed, the share that bought no answer.
    """

    turns: int
    served: int
    p50_s: float
    p99_s: float
    attempts_per_turn: float
    wasted_share: float


async def drive(providers: Sequence[ScriptedProvider], ask: Callable[[], Awaitable[object]]) -> Outcome:
    """Ask a question every two seconds for ten minutes, each beside those still under way."""
    turns = [asyncio.create_task(_turn(number * EVERY_S, ask)) for number in range(int(SECONDS / EVERY_S))]
    waits = await asyncio.gather(*turns)
    served = [wait for wait in waits if wait is not None]
    everything = [PATIENCE_S if wait is None else wait for wait in waits]
    billed = sum((provider.billed for provider in providers), Decimal(0))
    return Outcome(
        turns=len(turns),
        served=len(served),
        p50_s=percentile(everything, 50),
        p99_s=percentile(everything, 99),
        attempts_per_turn=sum(len(provider.began) for provider in providers) / len(turns),
        wasted_share=float(_wasted(providers) / billed),
    )


async def _turn(at_s: float, ask: Callable[[], Awaitable[object]]) -> float | None:
    await asyncio.sleep(at_s)
    clock = asyncio.get_running_loop().time
    asked = clock()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ask()
    except Exception:  # noqa: BLE001 whatever the reason, nobody was served
        return None
    return clock() - asked


def _wasted(providers: Sequence[ScriptedProvider]) -> Decimal:
    return sum(
        (
            call.usage.input_uncached * provider.prices.input + call.usage.output_visible * provider.prices.output
            for provider in providers
            for call in provider.served
            if not call.answered
        ),
        Decimal(0),
    )


def _provider(name: str, priority: int, usd_per_million: str, *spells: Spell) -> ScriptedProvider:
    price = Decimal(usd_per_million) / 1_000_000
    config = ProviderConfig(
        name=name, priority=priority, input_price=Decimal(usd_per_million), output_price=4 * Decimal(usd_per_million)
    )
    prices = Prices(input=price, output=4 * price, cached_input=price, cache_write=price, source="configured")
    return ScriptedProvider(config, prices, spells)
