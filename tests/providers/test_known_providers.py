"""The providers that are known by name, each on its own wire."""

import httpx
import pytest

from tertulia.config import Settings, load_settings
from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import ChatMessage, Completion, CompletionRequest
from tertulia.embedded.simulator import BlackHole, ProviderSimulator
from tertulia.providers.completers import make_completer

REQUEST = CompletionRequest(messages=(ChatMessage(role="user", text="Good morning"),))


def load(name: str, **environ: str) -> Settings:
    only = {"ENABLE_PROVIDER_SYSTEM": "false", "PRIMARY_PROVIDER": name}
    return load_settings({**only, **environ})


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("openrouter", "/chat/completions"),
        ("groq", "/chat/completions"),
        ("gemini", "/models/gemini-flash-latest:streamGenerateContent"),
        ("anthropic", "/v1/messages"),
        ("ollama", "/api/chat"),
        ("mine", "/chat/completions"),
    ],
)
async def test_a_provider_is_asked_on_its_own_wire(
    simulator: ProviderSimulator, http: httpx.AsyncClient, name: str, path: str
) -> None:
    variable = name.upper()
    settings = load(name, **{f"{variable}_BASE_URL": simulator.url, f"{variable}_API_KEY": "plain0123456789"})
    completer = make_completer(settings.providers[0], http)
    *_, completion = [item async for item in completer.stream(REQUEST)]
    assert isinstance(completion, Completion)
    assert completion.text == "You said: Good morning"
    assert simulator.log[0].path == path
    assert simulator.log[0].key is not None


@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("openrouter", "https://openrouter.ai/api/v1"),
        ("groq", "https://api.groq.com/openai/v1"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta"),
        ("anthropic", "https://api.anthropic.com"),
    ],
)
def test_a_provider_in_the_cloud_needs_a_key(name: str, base_url: str) -> None:
    without, with_key = load(name).providers[0], load(name, **{f"{name.upper()}_API_KEY": "k"}).providers[0]
    assert without.unusable == f"no key ({name.upper()}_API_KEY is not set)"
    assert (with_key.unusable, with_key.base_url) == (None, base_url)


def test_ollama_needs_no_key() -> None:
    ollama = load("ollama").providers[0]
    assert (ollama.unusable, ollama.base_url) == (None, "http://localhost:11434")


async def test_ollama_is_told_how_long_its_window_is_where_that_is_configured(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    for window in ({}, {"OLLAMA_CONTEXT_WINDOW": "8192"}):
        config = load("ollama", OLLAMA_BASE_URL=simulator.url, **window).providers[0]
        _ = [item async for item in make_completer(config, http).stream(REQUEST)]
    assert [exchange.body["options"].get("num_ctx") for exchange in simulator.log] == [None, 8192]


async def test_an_attempt_takes_no_longer_than_its_configuration_allows(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    simulator.always("default", BlackHole())
    config = load("mine", MINE_BASE_URL=simulator.url, MINE_TIMEOUT="0.1").providers[0]
    with pytest.raises(ProviderFailure) as raised:
        _ = [item async for item in make_completer(config, http).stream(REQUEST)]
    assert raised.value.failure is FailureClass.TIMEOUT
