"""Where each kind of provider is found, and what it is asked where no model is named."""

from collections.abc import Mapping
from dataclasses import dataclass

from tertulia.domain.providers.configs import ProviderKind


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """What need not be configured of a provider.

    Attributes:
        model: Asked where none is named.
        context_window: Of that model, in tokens, as published; None where it varies.
        needs_key: Whether it can be asked only with a key.
    """

    base_url: str
    model: str
    context_window: int | None = None
    needs_key: bool = True


# All kinds but plain OpenAI-compatible servers, which can be anywhere.
KNOWN: Mapping[ProviderKind, KnownProvider] = {
    # Chooses the model anew for each request.
    ProviderKind.OPENROUTER: KnownProvider("https://openrouter.ai/api/v1", "openrouter/auto"),
    ProviderKind.GEMINI: KnownProvider(
        "https://generativelanguage.googleapis.com/v1beta", "gemini-flash-latest", context_window=1_000_000
    ),
    ProviderKind.GROQ: KnownProvider("https://api.groq.com/openai/v1", "openai/gpt-oss-120b", context_window=131_072),
    ProviderKind.ANTHROPIC: KnownProvider("https://api.anthropic.com", "claude-haiku-4-5", context_window=200_000),
    # Its machine decides how much of the model's window is used.
    ProviderKind.OLLAMA: KnownProvider("http://localhost:11434", "llama3.2", needs_key=False),
    ProviderKind.OFFLINE: KnownProvider("", "offline", needs_key=False),
}
