"""What a wire must be able to write, so that every behaviour can be played on it."""

from collections.abc import Mapping
from typing import Any, Protocol

from tertulia.domain.providers.completions import CompletionRequest, Usage
from tertulia.embedded.simulator.behaviours import Quota


class Wire(Protocol):
    """One answer in the making, in a provider's format.

    Attributes:
        media_type: Of the answer where it is streamed.
        asked: What the request asks for.
    """

    media_type: str
    model: str
    streams: bool
    asked: CompletionRequest

    def information(self) -> dict[str, Any] | None:
        """Answer a call that costs nothing; None where the wire has no such call."""
        ...

    def opening(self, usage: Usage | None) -> bytes:
        """Write what comes ahead of the first piece."""
        ...

    def comment(self) -> bytes:
        """Write a sign of life that is no content."""
        ...

    def piece(self, text: str) -> bytes:
        """Write one piece of the answer."""
        ...

    def finish(self, reason: str, usage: Usage | None) -> bytes:
        """Write the terminal marker; `reason` is of OpenAI's vocabulary, or one of the wire's own."""
        ...

    def trailer(self, usage: Usage | None, *, done: bool) -> bytes:
        """Write what follows the terminal marker."""
        ...

    def whole(self, text: str, finish: str, usage: Usage | None) -> dict[str, Any]:
        """Write the answer to a request that does not ask for a stream."""
        ...

    def malformed(self) -> bytes:
        """Write what breaks the JSON: of one chunk, or of the whole where the answer is not streamed."""
        ...

    def error(self, code: int | str, message: str, quota: Quota | None = None) -> dict[str, Any]:
        """Write the error object, with the quota where the wire tells it there."""
        ...

    def envelope(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Write the body around an error object."""
        ...

    def error_event(self, code: int | str, message: str) -> bytes:
        """Write an error inside the stream."""
        ...

    def quota_headers(self, quota: Quota) -> dict[str, str]:
        """Write the headers that tell of a quota that is used up."""
        ...
