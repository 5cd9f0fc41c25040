"""Where a model is asked, as whom, and how long it may take. The same for every wire."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest
from tertulia.providers.attempt import Clocks
from tertulia.providers.calls import Call


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one provider.

    Attributes:
        base_url: Up to where the paths of the wire begin, without a slash at the end.
        api_key: None where the server needs none.
        headers: Sent with every call (OpenRouter's attribution, say).
    """

    base_url: str
    model: str
    api_key: SecretStr | None = None
    clocks: Clocks = field(default_factory=Clocks)
    headers: Mapping[str, str] = field(default_factory=dict)

    def credential(self, header: str, scheme: str = "") -> dict[str, str]:
        """Write the header that carries the key; none where there is no key."""
        return {header: scheme + self._key} if self._key else {}

    def ask(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any], request: CompletionRequest) -> Call:
        """Describe the call that asks for an answer. No error will quote the key or what people wrote."""
        written = (text for message in request.messages for text in (message.text, *_arguments(message)))
        secrets = (self._key, *written)
        return Call("POST", self.base_url + path, self._sent(headers), json.dumps(body).encode(), secrets)

    def look_up(self, path: str, headers: Mapping[str, str]) -> Call:
        """Describe a call that costs nothing."""
        return Call("GET", self.base_url + path, self._sent(headers), secrets=(self._key,))

    @property
    def _key(self) -> str:
        return self.api_key.get_secret_value().strip() if self.api_key else ""

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "accept": "text/event-stream, application/x-ndjson, application/json",
            **self.headers,
            **headers,
            # What is compressed can't be shown before the compressor has filled its block.
            "accept-encoding": "identity",
        }


def _arguments(message: ChatMessage) -> tuple[str, ...]:
    return tuple(call.arguments for call in message.tool_calls)
