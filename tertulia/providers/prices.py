"""What providers charge: as configured, else as published in the price list that comes with genai-prices."""

from collections.abc import Mapping

import genai_prices
from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation

from tertulia.domain.providers import costs
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.domain.providers.costs import Prices

# Their names in the list. An OpenAI-compatible server is looked up by its address.
_LISTED: Mapping[ProviderKind, str] = {
    ProviderKind.OPENROUTER: "openrouter",
    ProviderKind.GEMINI: "google",
    ProviderKind.GROQ: "groq",
    ProviderKind.ANTHROPIC: "anthropic",
}


def prices_of(config: ProviderConfig) -> Prices | None:
    """Return what a provider charges; None where nobody knows (`openrouter/auto`, a server of one's own)."""
    return costs.prices_of(config, _published(config))


def _published(config: ProviderConfig) -> Prices | None:
    """Look the model up as of now; of prices that rise with the prompt's length, the lowest."""
    try:
        price = _calculated(config, Usage()).model_price
    except LookupError:
        return None
    # A model that is listed without prices, or is paid for by the minute, is not free.
    if price.input_mtok is None or price.output_mtok is None:
        return None
    return Prices(
        input=_calculated(config, Usage(input_tokens=1)).total_price,
        output=_calculated(config, Usage(output_tokens=1)).total_price,
        cached_input=_calculated(config, Usage(input_tokens=1, cache_read_tokens=1)).total_price,
        cache_write=_calculated(config, Usage(input_tokens=1, cache_write_tokens=1)).total_price,
        source=f"genai-prices {genai_prices.__version__}",
    )


def _calculated(config: ProviderConfig, usage: Usage) -> PriceCalculation:
    model = config.model.removeprefix("models/")
    if listed := _LISTED.get(config.kind):
        return calc_price(usage, model, provider_id=listed)
    return calc_price(usage, model, provider_api_url=config.base_url)
