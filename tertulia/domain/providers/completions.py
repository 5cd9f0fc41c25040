"""What is asked of a provider and what comes back, in one meaning for all wire formats."""

import json
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class ToolCall(BaseModel):
    """What a model wants one of the caller's tools to do.

    Attributes:
        id: Names the call in the tool's answer; made up where the provider has none.
        arguments: JSON, as the model wrote it.
        signature: What the provider wants to have back with the call, unchanged; None where it wants nothing.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: str = "{}"
    signature: str | None = None


class ChatMessage(BaseModel):
    """One message of a prompt.

    Attributes:
        tool_calls: Of an assistant.
        tool_call_id: Of a tool: which call it answers.
    """

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class Tool(BaseModel):
    """A function of the caller's that a model may call; `parameters` is a JSON schema."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class ToolChoice(BaseModel):
    """Whether a model has to call a tool, and which; None for any."""

    model_config = ConfigDict(frozen=True)

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


class CompletionRequest(BaseModel):
    """One question to a provider.

    Attributes:
        json_schema: The answer is to be JSON that fits it.
        json_object: The answer is to be some JSON object.
        stop: Texts before which the answer is to end.
        tools: What the model may call instead of answering.
    """

    model_config = ConfigDict(frozen=True)

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 1024
    temperature: float | None = None
    json_schema: dict[str, Any] | None = None
    json_object: bool = False
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()


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
    """A whole answer, always the last thing that a Completer yields.

    Attributes:
        provider: Who gave it; None until the provider service says so.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    finish: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    request_id: str | None = None
    charged_usd: Decimal | None = None
    limits: RateLimits | None = None
    provider: str | None = None


def json_in(text: str) -> str:
    """Return the JSON object in an answer, without the words or the fence that some models put around it."""
    return text[text.find("{") : text.rfind("}") + 1]


def field_in(text: str, name: str) -> Any:
    """Read a field of the JSON object in an answer; None where there is no such object or field."""
    try:
        answer: Any = json.loads(json_in(text))
    except (ValueError, RecursionError):
        return None
    return answer.get(name) if isinstance(answer, dict) else None
