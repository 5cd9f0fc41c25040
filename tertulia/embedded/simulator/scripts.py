"""What the simulator is to do, and what it has done."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tertulia.domain.providers.completions import CompletionRequest
from tertulia.embedded.simulator.behaviours import Behaviour

Scripted = Behaviour | Callable[[CompletionRequest], Behaviour]


@dataclass(slots=True)
class Exchange:
    """One request and what became of it.

    Attributes:
        connection: Counted from 1; the same for requests that shared a connection.
        headers: Without the key.
        key: Fingerprint of the key: the first 12 hexadecimal digits of its SHA-256; None without a key.
        did: The kind of behaviour.
        input_tokens: Billed for the prompt, once its answer has begun.
        output_tokens: Billed for the answer, as far as it was sent.
        outcome: `running`, `served` as planned, or `abandoned` by the client.
    """

    number: int
    at: datetime
    connection: int
    method: str
    path: str
    model: str
    headers: dict[str, str]
    key: str | None
    body: dict[str, Any]
    did: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    outcome: str = "running"


class Scripts:
    """Behaviours by target: a model's name, or a path for calls that name no model."""

    def __init__(self, default: Scripted) -> None:
        self._default = default
        self._next: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._always: dict[str, Scripted] = {}

    def extend(self, target: str, behaviours: Iterable[Scripted]) -> None:
        """Add behaviours for the next requests to a target, one each."""
        self._next[target].extend(behaviours)

    def always(self, target: str, behaviour: Scripted) -> None:
        """Set the behaviour for requests to a target that no script covers."""
        self._always[target] = behaviour

    def clear(self) -> None:
        """Forget them all."""
        self._next.clear()
        self._always.clear()

    def take(self, target: str, asked: CompletionRequest) -> Behaviour:
        """Take the behaviour for a request off its script."""
        waiting = self._next.get(target)
        scripted = waiting.popleft() if waiting else self._always.get(target, self._default)
        return scripted(asked) if callable(scripted) else scripted
