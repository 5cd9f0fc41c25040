"""What a provider is, as it is configured, and which changes to the set of providers are allowed."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import ProviderName

PROVIDER_NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"

Name = Annotated[str, StringConstraints(pattern=PROVIDER_NAME_PATTERN)]
Price = Annotated[Decimal, Field(ge=0, le=100_000, allow_inf_nan=False)]


class ProviderKind(StrEnum):
    """Which wire a provider speaks, with which peculiarities."""

    OPENAI = "openai"  # any OpenAI-compatible server
    OPENROUTER = "openrouter"
    GROQ = "groq"
    GEMINI = "gemini"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    OFFLINE = "offline"  # rules of ours; no server, no key


class LoadBalanceStrategy(StrEnum):
    """How the next provider is chosen among those of one priority."""

    ROUND_ROBIN = "round_robin"
    LEAST_LOAD = "least_load"
    FASTEST_RESPONSE = "fastest_response"
    COST_OPTIMIZED = "cost_optimized"


class Feature(StrEnum):
    """What a request may need of a provider beyond plain text."""

    JSON_SCHEMA = "json_schema"
    TOOLS = "tools"


class ProviderConfig(BaseModel):
    """One model at one provider, and how it is to be used.

    Attributes:
        api_key: Left out of every dump; None where the server needs none.
        timeout_s: Longest time for one attempt, seconds.
        max_retries: Further attempts at this provider after the first one failed, before the next one is asked.
        enabled: False takes it out of the selection and keeps its configuration.
        priority: 1 is asked first; providers of one priority share the load.
        weight: Share of the load among providers of one priority.
        cost_per_token: USD a token, in and out alike; the two prices below go before it.
        input_price: USD a million tokens of the prompt; None for the published price, where there is one.
        output_price: USD a million tokens of the answer.
        cached_input_price: USD a million tokens of the prompt that the provider read from its cache; None: as input.
        max_concurrent: Calls under way at a time, over all workers.
        context_window: Tokens of prompt and answer together; None where unknown.
        features: What it can do beyond plain text.
        daily_budget_usd: Spent at most, each day from midnight UTC.
        unusable: Why it can't be asked at all (no key, say); None where it can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    kind: ProviderKind = ProviderKind.OPENAI
    base_url: str = Field("", max_length=2048)
    model: str = Field("default", min_length=1, max_length=256)
    api_key: SecretStr | None = Field(None, exclude=True, repr=False)
    timeout_s: float = Field(30.0, gt=0, le=600, allow_inf_nan=False)
    max_retries: int = Field(3, ge=0, le=10)
    enabled: bool = True
    priority: int = Field(1, ge=1, le=100)
    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)
    cost_per_token: Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    input_price: Price | None = None
    output_price: Price | None = None
    cached_input_price: Price | None = None
    max_concurrent: int = Field(10, ge=1, le=1000)
    context_window: int | None = Field(None, ge=1)
    features: frozenset[Feature] = frozenset({Feature.JSON_SCHEMA, Feature.TOOLS})
    daily_budget_usd: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] | None = None
    unusable: str | None = None

    @property
    def provider(self) -> ProviderName:
        return ProviderName(self.name)

    @property
    def key_fingerprint(self) -> str | None:
        """Tell keys apart without showing them: the first 12 hex digits of the SHA-256; None where there is no key."""
        if self.api_key is None:
            return None
        return hashlib.sha256(self.api_key.get_secret_value().encode()).hexdigest()[:12]


Providers = Mapping[ProviderName, ProviderConfig]


def added(providers: Providers, config: ProviderConfig) -> Providers:
    """Return the providers with one more.

    Raises:
        InvalidInput: The name is in use.
    """
    if config.provider in providers:
        raise InvalidInput(
            f"a provider {config.name!r} exists already; change it, or choose another name", field="name"
        )
    return {**providers, config.provider: config}


def updated(providers: Providers, name: ProviderName, patch: Mapping[str, Any]) -> Providers:
    """Return the providers with one of them changed.

    Args:
        patch: New values by field, as in a JSON merge patch (RFC 7396): None puts a field back to its default.

    Raises:
        NotFound: There is none of that name.
        InvalidInput: A field is unknown or a value can't be used; names each. The name itself can't be changed.
    """
    config = find(providers, name)
    if patch.get("name", name) != name:
        raise InvalidInput("can't be changed; add another provider and remove this one", field="name")
    fields = {**dict(config), **patch}
    changed = checked({field: value for field, value in fields.items() if value is not None})
    return {**providers, name: changed}


def removed(providers: Providers, name: ProviderName) -> Providers:
    """Return the providers without one of them.

    Raises:
        NotFound: There is none of that name.
        InvalidInput: It is the last one that can be asked.
    """
    find(providers, name)
    rest = {other: config for other, config in providers.items() if other != name}
    if not any(config.enabled and config.unusable is None for config in rest.values()):
        raise InvalidInput("the last provider that can be asked can't be removed; add another one first", field="name")
    return rest


def find(providers: Providers, name: ProviderName) -> ProviderConfig:
    """Return a provider's configuration.

    Raises:
        NotFound: There is none of that name.
    """
    if name not in providers:
        raise NotFound("provider", name)
    return providers[name]


def checked(fields: Mapping[str, Any]) -> ProviderConfig:
    """Make a configuration of plain values.

    Raises:
        InvalidInput: Names every field that can't be used, one a line, and never quotes a value.
    """
    try:
        return ProviderConfig.model_validate(dict(fields))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        raise InvalidInput("\n".join(problems)) from None
