"""Which class speaks to which kind of provider."""

from dataclasses import dataclass
from typing import assert_never

import httpx

from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.ports import Completer
from tertulia.providers.anthropic import AnthropicMessages
from tertulia.providers.attempt import Clocks
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.gemini import GeminiContent
from tertulia.providers.offline import Offline
from tertulia.providers.ollama import OllamaChat
from tertulia.providers.openai import OpenAIChat


@dataclass(frozen=True, slots=True)
class Completers:
    """Makes what asks a provider, with the HTTP client that befits its address.

    Attributes:
        trusted: Addresses of the environment's providers, which may lie anywhere.
        http: For those.
        guarded: For all other ones, which are given at runtime.
    """

    trusted: frozenset[str]
    http: httpx.AsyncClient
    guarded: httpx.AsyncClient

    def __call__(self, config: ProviderConfig) -> Completer:
        """Make what asks one provider."""
        return make_completer(config, self.http if config.base_url in self.trusted else self.guarded)


def make_completer(config: ProviderConfig, http: httpx.AsyncClient) -> Completer:
    """Make what asks a provider.

    Args:
        config: Its configuration; must be one that can be asked.
        http: Shared; belongs to whoever opened it.
    """
    endpoint = Endpoint(config.base_url.rstrip("/"), config.model, config.api_key, Clocks(total=config.timeout_s))
    match config.kind:
        case ProviderKind.OPENAI | ProviderKind.OPENROUTER | ProviderKind.GROQ:
            return OpenAIChat(http, endpoint, config.kind)
        case ProviderKind.GEMINI:
            return GeminiContent(http, endpoint)
        case ProviderKind.ANTHROPIC:
            return AnthropicMessages(http, endpoint)
        case ProviderKind.OLLAMA:
            return OllamaChat(http, endpoint, config.context_window)
        case ProviderKind.OFFLINE:
            return Offline()
        case _:
            assert_never(config.kind)
