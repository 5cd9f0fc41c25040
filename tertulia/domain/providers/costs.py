"""What an attempt cost: exactly where the provider said so, else at least and at most. All in USD, as Decimal."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import Completion, Usage
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind

# Best first: the provider's own number, its counts at our price, our counts at our price.
CostSource = Literal["charged", "priced", "estimated", "unknown", "free"]

_MILLION = Decimal(1_000_000)
_NOTHING = Decimal(0)

# These failures end an attempt before anything is generated, and nobody bills for that.
_UNBILLED = frozenset(
    {
        FailureClass.CONNECT,
        FailureClass.OVERLOADED,
        FailureClass.RATE_LIMIT,
        FailureClass.QUOTA,
        FailureClass.BILLING,
        FailureClass.AUTH,
        FailureClass.CONTEXT_LENGTH,
        FailureClass.BAD_REQUEST,
        FailureClass.CONFIG,
    }
)


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per token.

    Attributes:
        cached_input: For what the provider reads from its cache.
        cache_write: For what it writes there.
        source: Where the prices come from, kept with each cost.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    source: str

    @property
    def free(self) -> bool:
        return not (self.input or self.output or self.cached_input or self.cache_write)


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt cost.

    Attributes:
        usd: Exactly, or at least; None where nothing is known.
        at_most: None where no bound is known.
    """

    usd: Decimal | None
    at_most: Decimal | None
    source: CostSource


_FREE = Cost(_NOTHING, _NOTHING, "free")
_UNKNOWN = Cost(None, None, "unknown")


def prices_of(config: ProviderConfig, published: Prices | None) -> Prices | None:
    """Return what a provider charges: as configured, else as published; None where neither says.

    Args:
        published: The price list's entry for its model, where there is one.
    """
    if config.kind in (ProviderKind.OLLAMA, ProviderKind.OFFLINE):
        published = Prices(_NOTHING, _NOTHING, _NOTHING, _NOTHING, "own machine")
    given_input, given_output = (
        config.cost_per_token if price is None else price / _MILLION
        for price in (config.input_price, config.output_price)
    )
    given_cached = None if config.cached_input_price is None else config.cached_input_price / _MILLION
    if given_input is None and given_output is None and given_cached is None:
        return published
    input_price = given_input if given_input is not None else published.input if published else None
    output_price = given_output if given_output is not None else published.output if published else None
    if input_price is None or output_price is None:
        return None
    return Prices(
        input=input_price,
        output=output_price,
        cached_input=given_cached if given_cached is not None else input_price,
        cache_write=input_price,
        source="configured",
    )


def cost(usage: Usage, prices: Prices) -> Decimal:
    """Price what was used. Reasoning is billed as output."""
    return (
        usage.input_uncached * prices.input
        + usage.input_cached * prices.cached_input
        + usage.input_cache_write * prices.cache_write
        + (usage.output_visible + usage.output_reasoning) * prices.output
    )


def estimate(input_tokens: int, output_tokens: int, prices: Prices | None) -> Decimal:
    """Return what a call may cost with nothing cached; 0 where no price is known."""
    if prices is None:
        return _NOTHING
    return input_tokens * max(prices.input, prices.cache_write) + output_tokens * prices.output


def cost_of_answer(completion: Completion, prices: Prices | None, reserved: Decimal) -> Cost:
    """Return what an answer cost.

    Args:
        reserved: What it was expected to cost at most.
    """
    usage = completion.usage
    if completion.charged_usd is not None:
        return Cost(completion.charged_usd, completion.charged_usd, "charged")
    if prices is None:
        return _UNKNOWN
    if prices.free:
        return _FREE
    priced = cost(usage, prices)
    if usage.source == "reported":
        return Cost(priced, priced, "priced")
    return Cost(priced, max(priced, reserved), "estimated")


def cost_of_failure(failure: ProviderFailure, prices: Prices | None, reserved: Decimal) -> Cost:
    """Return what a failed attempt cost. One that failed under way may have been billed up to what was reserved.

    Args:
        reserved: What it was expected to cost at most.
    """
    if failure.charged_usd is not None:
        return Cost(failure.charged_usd, failure.charged_usd, "charged")
    if failure.usage is None and failure.failure in _UNBILLED:
        return _FREE
    if prices is None:
        return _UNKNOWN
    if prices.free:
        return _FREE
    least = cost(failure.usage or Usage(), prices)
    return Cost(least, max(least, reserved), "estimated")
