"""What a request demands of a provider, as far as the request itself shows."""

from tertulia.domain.providers.completions import CompletionRequest
from tertulia.domain.providers.configs import Feature
from tertulia.domain.providers.routing import Demand
from tertulia.domain.providers.token_estimates import prompt_tokens


def demand_of(request: CompletionRequest) -> Demand:
    """Estimate the size of a request, and name what it needs beyond plain text."""
    needed = {Feature.JSON_SCHEMA: request.json_schema is not None or request.json_object, Feature.TOOLS: request.tools}
    return Demand(
        input_tokens=prompt_tokens(request),
        max_tokens=request.max_tokens,
        needs=frozenset(feature for feature, wanted in needed.items() if wanted),
    )
