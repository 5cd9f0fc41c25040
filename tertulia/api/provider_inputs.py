"""What operators may send about providers and budgets."""

import re
from copy import copy
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Path
from pydantic import AfterValidator, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from tertulia.api.inputs import MAX_NUMBER, Given, Line, Note
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ID_PATTERN, ProviderName, TenantId
from tertulia.domain.providers.configs import (
    PROVIDER_NAME_PATTERN,
    Feature,
    Name,
    Price,
    ProviderConfig,
    ProviderKind,
    checked,
)
from tertulia.domain.providers.known import KNOWN
from tertulia.domain.providers.routing import Demand

ProviderInPath = Annotated[ProviderName, Path(pattern=PROVIDER_NAME_PATTERN, description="The provider's name")]
TenantInPath = Annotated[TenantId, Path(pattern=ID_PATTERN, description="The tenant's id")]

# --- configurations ---------------------------------------------------------------------------------------------------

# Ledgers add it up in numbers of finite length.
_Budget = Annotated[Decimal, Field(gt=0, le=1_000_000_000, max_digits=16, decimal_places=6, allow_inf_nan=False)]


def _address(text: str) -> str:
    if not _is_address(text):
        raise PydanticCustomError("address", "must begin with http:// or https:// and name a host")
    if any(sign in text for sign in "@?#"):
        raise PydanticCustomError("address", "must have no user, query or fragment; a key goes into api_key")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and " " not in text
    except ValueError:
        return False


def _key(key: SecretStr) -> SecretStr:
    # It becomes the value of a header.
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", key.get_secret_value()):
        raise PydanticCustomError("key", "must be 1 to 4096 printable ASCII characters without spaces")
    return key


def _as_configured(name: str) -> Any:
    """Give a field the bounds that it has in a configuration."""
    field = copy(ProviderConfig.model_fields[name])
    field.default = None
    return field


class ChangeProvider(Given):
    """A JSON merge patch (RFC 7396): what is left out stays, and null puts a field back to its default.

    Attributes:
        base_url: Where it listens. For another host the key has to be given again.
        api_key: Written only; read it is a fingerprint.
        timeout_s: Longest time for one attempt, seconds.
        max_retries: Further attempts at this provider after the first one failed, before the next one is asked.
        enabled: False takes it out of the selection and keeps its configuration.
        priority: 1 is asked first; providers of one priority share the load.
        weight: Share of the load among providers of one priority.
        cost_per_token: USD a token, in and out alike; the prices below go before it.
        input_price: USD a million tokens of the prompt.
        output_price: USD a million tokens of the answer.
        cached_input_price: USD a million tokens of the prompt that the provider read from its cache.
        max_concurrent: Calls under way at a time, over all workers.
        context_window: Tokens of prompt and answer together.
        features: What it can do beyond plain text.
        daily_budget_usd: Spent at most, each day from midnight UTC.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 2, "daily_budget_usd": "5.00"}]})

    kind: ProviderKind | None = None
    base_url: Annotated[Line, AfterValidator(_address)] | None = _as_configured("base_url")
    model: Line | None = _as_configured("model")
    api_key: Annotated[SecretStr, AfterValidator(_key)] | None = None
    timeout_s: float | None = _as_configured("timeout_s")
    max_retries: int | None = _as_configured("max_retries")
    enabled: bool | None = None
    priority: int | None = _as_configured("priority")
    weight: float | None = _as_configured("weight")
    cost_per_token: Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    input_price: Price | None = None
    output_price: Price | None = None
    cached_input_price: Price | None = None
    max_concurrent: int | None = _as_configured("max_concurrent")
    context_window: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    features: frozenset[Feature] | None = None
    daily_budget_usd: _Budget | None = None

    def patch(self, config: ProviderConfig) -> dict[str, Any]:
        """Return what is to be changed in a configuration, by field; None where it goes back to its default.

        Raises:
            InvalidInput: It would be without an address, or send the stored key to another host.
        """
        patch = _completed(self._given(), self.kind or config.kind)
        address = patch.get("base_url", config.base_url)
        if config.api_key is not None and "api_key" not in patch and _host(address) != _host(config.base_url):
            raise InvalidInput("is on another host; give its api_key as well, or null", field="body.base_url")
        return patch

    def _given(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self.model_fields_set}


def _completed(fields: dict[str, Any], kind: ProviderKind) -> dict[str, Any]:
    """Fill in what goes back to its default, where the kind of provider has one of its own."""
    known = KNOWN.get(kind)
    if known is not None:
        defaults = {"base_url": known.base_url, "model": known.model, "context_window": known.context_window}
        fields = fields | {field: defaults[field] for field in defaults if fields.get(field, ...) is None}
    if fields.get("base_url", ...) is None:
        raise InvalidInput("is needed: a server of this kind can be anywhere", field="body.base_url")
    return fields


def _host(address: str) -> tuple[str, str]:
    url = urlsplit(address)
    return url.scheme, url.netloc


class AddProvider(ChangeProvider):
    """A provider to add; what is left out, or null, is as by default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "fast", "kind": "groq", "api_key": "gsk_...", "priority": 2},
                {"name": "ours", "base_url": "http://10.0.0.7:8000/v1", "model": "llama-3.3-70b"},
            ]
        }
    )

    name: Name

    def config(self) -> ProviderConfig:
        """Return the configuration.

        Raises:
            InvalidInput: It has no address, or lacks a key.
        """
        kind = self.kind or ProviderKind.OPENAI
        fields = _completed({"base_url": None, "model": None, "context_window": None, **self._given()}, kind)
        known = KNOWN.get(kind)
        if known and known.needs_key and self.api_key is None and _host(fields["base_url"]) == _host(known.base_url):
            raise InvalidInput("is needed: nobody is answered there without one", field="body.api_key")
        return checked({field: value for field, value in fields.items() if value is not None})


class Maintenance(Given):
    """Why a provider is taken out of service."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "new key on Monday"}]})

    note: Annotated[Note, Field(min_length=1)] = "by hand"


class SetBudget(Given):
    """What a tenant may spend each day from midnight UTC, USD."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"daily_usd": "20.00"}]})

    daily_usd: _Budget


# --- questions --------------------------------------------------------------------------------------------------------


class PageOfHistory(Given):
    """How much of a history."""

    limit: int = Field(50, ge=1, le=500)


class Question(Given):
    """What is to be asked of a provider."""

    input_tokens: int = Field(0, ge=0, le=MAX_NUMBER, description="Tokens of the prompt")
    max_tokens: int = Field(1024, ge=1, le=MAX_NUMBER, description="Tokens of the answer at most")
    needs: frozenset[Feature] = Field(frozenset(), description="What it must be able to do beyond plain text")

    def demand(self) -> Demand:
        """Return it as the selection takes it."""
        return Demand(input_tokens=self.input_tokens, max_tokens=self.max_tokens, needs=self.needs)
