"""What providers charge: as configured, as published, nothing, or nobody knows."""

from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest

from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.known import KNOWN
from tertulia.providers.prices import prices_of

MILLION = 1_000_000


def of(kind: ProviderKind, model: str | None = None, **fields: Any) -> Prices | None:
    known = KNOWN.get(kind)
    address = {"base_url": known.base_url, "model": known.model} if known else {}
    asked = {} if model is None else {"model": model}
    return prices_of(ProviderConfig(name="p", kind=kind, **{**address, **asked, **fields}))


@pytest.mark.parametrize("kind", [ProviderKind.GEMINI, ProviderKind.GROQ, ProviderKind.ANTHROPIC])
def test_the_usual_model_of_a_provider_has_published_prices(kind: ProviderKind) -> None:
    prices = of(kind)
    assert prices is not None
    # An order of magnitude: what it is exactly changes with the list.
    assert Decimal("0.01") < prices.input * MILLION <= prices.output * MILLION < Decimal(100)
    assert 0 < prices.cached_input <= prices.input <= prices.cache_write
    assert prices.source == f"genai-prices {version('genai-prices')}"


def test_a_price_is_exact() -> None:
    prices = of(ProviderKind.ANTHROPIC, "claude-3-5-haiku-20241022")
    assert prices is not None
    assert (prices.input, prices.output) == (Decimal("0.0000008"), Decimal("0.000004"))
    assert (prices.cached_input, prices.cache_write) == (Decimal("0.00000008"), Decimal("0.000001"))


def test_an_openai_compatible_server_is_looked_up_by_its_address() -> None:
    listed = of(ProviderKind.OPENAI, "gpt-4o-mini", base_url="https://api.openai.com/v1")
    elsewhere = of(ProviderKind.OPENAI, "gpt-4o-mini", base_url="https://models.example.com/v1")
    assert listed is not None
    assert listed.input == Decimal("0.00000015")
    assert elsewhere is None


def test_a_model_may_be_named_in_geminis_way() -> None:
    assert of(ProviderKind.GEMINI, "models/gemini-2.5-flash") == of(ProviderKind.GEMINI, "gemini-2.5-flash") is not None


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (ProviderKind.OPENROUTER, "openrouter/auto"),
        (ProviderKind.GROQ, "no-such-model"),
        # Paid for by the hour.
        (ProviderKind.GROQ, "whisper-large-v3"),
        (ProviderKind.OPENAI, "m"),
    ],
)
def test_what_nobody_publishes_is_unknown(kind: ProviderKind, model: str) -> None:
    assert of(kind, model) is None


@pytest.mark.parametrize("kind", [ProviderKind.OLLAMA, ProviderKind.OFFLINE])
def test_what_runs_on_ones_own_machine_is_free(kind: ProviderKind) -> None:
    prices = of(kind)
    assert prices is not None
    assert prices.free


def test_configured_prices_go_before_published_ones() -> None:
    prices = of(ProviderKind.ANTHROPIC, input_price=Decimal("0.5"), output_price=Decimal(2))
    assert prices is not None
    assert (prices.input, prices.output) == (Decimal("0.0000005"), Decimal("0.000002"))
    assert prices.source == "configured"
