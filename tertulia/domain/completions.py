"""What is asked of a provider and what comes back, in one meaning for all wire formats."""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class ChatMessage(BaseModel):
    """One message of a prompt."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    text: str


class CompletionRequest(BaseModel):
    """One question to a provider. With `json_schema` the answer is to be JSON that fits it."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 1024
    temperature: float | None = None
    json_schema: dict[str, Any] | None = None


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Usage(BaseModel):
    """Tokens of one attempt; the five counts never overlap, so they can be added and priced."""

    model_config = ConfigDict(frozen=True)

    input_uncached: int = 0
    input_cached: int = 0
    input_cache_write: int = 0
    output_visible: int = 0
    output_reasoning: int = 0
    source: Literal["reported", "estimated", "absent"] = "absent"


class RateLimits(BaseModel):
    """What a provider reports to be left of its own rate limits.

    Attributes:
        remaining: The smallest share left over all its dimensions, 0 to 1.
        until: When that dimension is full again; None where it doesn't say.
    """

    model_config = ConfigDict(frozen=True)

    remaining: float = Field(ge=0, le=1)
    until: AwareDatetime | None = None


class TextDelta(BaseModel):
    """The next piece of an answer's text."""

    model_config = ConfigDict(frozen=True)

    text: str


class Completion(BaseModel):
    """A whole answer, always the last thing that a Completer yields."""

    model_config = ConfigDict(frozen=True)

    text: str
    finish: FinishReason
    usage: Usage = Usage()
    model: str = ""
    request_id: str | None = None
    charged_usd: Decimal | None = None
    limits: RateLimits | None = None
