"""Answers as they stand on a wire, byte for byte, and what each comes to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import Completion, FinishReason, Tool, ToolCall, Usage
from tertulia.providers.attempt import Answer

# What a model wants to know of two tools.
LOOK = '{"city": "Lisbon", "units": "C"}'
ASK = '{"who": "Ada"}'

Outcome = Completion | ProviderFailure


@dataclass(frozen=True)
class Stream:
    """A recorded body. Without a `failure` it comes to a Completion of `text`; with one, `text` was shown before."""

    name: str
    body: bytes
    text: str = ""
    failure: FailureClass | None = None
    status: int | None = None
    finish: FinishReason = FinishReason.STOP
    usage: Usage = field(default_factory=Usage)
    charged_usd: Decimal | None = None
    charges: bool = False
    calls: tuple[ToolCall, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that the question has to offer for this answer."""
        return tuple(Tool(name=call.name) for call in self.calls)

    def comes_to(self, shown: str, outcome: Outcome) -> bool:
        """Tell whether this is what was recorded."""
        if isinstance(outcome, ProviderFailure):
            return (shown, outcome.failure, outcome.status) == (self.text, self.failure, self.status)
        came = (shown, outcome.text, outcome.finish, outcome.usage, outcome.charged_usd, outcome.tool_calls)
        recorded = (self.text, self.text, self.finish, self.usage, self.charged_usd, self.calls)
        return self.failure is None and came == recorded


def fragments(text: str, number: int) -> Sequence[str]:
    """Cut a text into so many pieces; the last ones may be empty."""
    length = -(-len(text) // number)
    return [text[length * place : length * (place + 1)] for place in range(number)]


def heard(answer: Answer, pieces: Iterable[bytes]) -> tuple[str, Outcome]:
    """Read an answer; return what was shown, and what it came to."""
    shown: list[str] = []
    try:
        for piece in pieces:
            shown.extend(answer.feed(piece))
        shown.extend(answer.end())
        return "".join(shown), answer.completion()
    except ProviderFailure as failure:
        return "".join(shown), failure


def wrong_splits(stream: Stream, answer: Callable[[], Answer]) -> list[int]:
    """Split a body in two at every place, and into single bytes (0); return where it comes to something else."""
    body = stream.body
    splits: dict[int, Sequence[bytes]] = {at: (body[:at], body[at:]) for at in range(1, len(body))}
    splits[0] = [body[at : at + 1] for at in range(len(body))]
    return [at for at, pieces in splits.items() if not stream.comes_to(*heard(answer(), pieces))]


def split(body: bytes, cuts: Iterable[int]) -> Sequence[bytes]:
    """Cut a body in several places; a place beyond its end is its end."""
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(bounds)]
