"""What clients of that protocol get."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tertulia.domain.providers.completions import Completion, FinishReason, ToolCall, Usage


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)


class FunctionCall(_Answered):
    """The function that is called; `arguments` is JSON, as the model wrote it."""

    name: str
    arguments: str


class CalledTool(_Answered):
    """What the model wants a tool to do. It is to be given back as it came, with the tool's answer behind it."""

    index: int | None = None
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall
    extra_content: dict[str, Any] | None = None

    @classmethod
    def of(cls, call: ToolCall, index: int | None = None) -> "CalledTool":
        """View a call; in a stream it has an index."""
        signed = {"google": {"thought_signature": call.signature}} if call.signature is not None else None
        function = FunctionCall(name=call.name, arguments=call.arguments)
        return cls(index=index, id=call.id, function=function, extra_content=signed)


class AnswerMessage(_Answered):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    tool_calls: tuple[CalledTool, ...] | None = None
    refusal: None = None


class Choice(_Answered):
    """The only choice there is."""

    index: int = 0
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: None = None


class Delta(_Answered):
    """What a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: tuple[CalledTool, ...] | None = None


class ChunkChoice(_Answered):
    """The only choice there is, as far as it has come."""

    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: None = None


class PromptDetails(_Answered):
    """Tokens of the prompt by kind."""

    cached_tokens: int


class AnswerDetails(_Answered):
    """Tokens of the answer by kind."""

    reasoning_tokens: int


class TokenUsage(_Answered):
    """What the answer took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: AnswerDetails

    @classmethod
    def of(cls, *usages: Usage) -> "TokenUsage":
        """View what one or several attempts used together."""
        prompt = sum(usage.input_uncached + usage.input_cached + usage.input_cache_write for usage in usages)
        answer = sum(usage.output_visible + usage.output_reasoning for usage in usages)
        return cls(
            prompt_tokens=prompt,
            completion_tokens=answer,
            total_tokens=prompt + answer,
            prompt_tokens_details=PromptDetails(cached_tokens=sum(usage.input_cached for usage in usages)),
            completion_tokens_details=AnswerDetails(reasoning_tokens=sum(usage.output_reasoning for usage in usages)),
        )


class SessionTurn(_Answered):
    """Where the session stands, where the answer is a turn of one."""

    session_id: str
    turn: int
    status: str
    state: str


class Head(_Answered):
    """What an answer and all its chunks have in common.

    Attributes:
        created: Unix time, seconds.
        provider: Who answered; null where nobody had to be asked.
    """

    id: str
    created: int
    model: str
    provider: str | None = None


class ChatCompletion(Head):
    """A whole answer.

    Attributes:
        session: Where its session stands; null outside of sessions.
    """

    object: Literal["chat.completion"] = "chat.completion"
    choices: tuple[Choice, ...]
    usage: TokenUsage
    session: SessionTurn | None = None

    @classmethod
    def of(cls, head: Head, completion: Completion, usage: TokenUsage) -> "ChatCompletion":
        """View an answer."""
        calls = tuple(map(CalledTool.of, completion.tool_calls))
        message = AnswerMessage(content=completion.text or (None if calls else ""), tool_calls=calls or None)
        # A model that wants a tool has stopped for it, whatever it says.
        finish = FinishReason.TOOL_CALLS if calls else completion.finish
        return cls(**dict(head), choices=(Choice(message=message, finish_reason=finish),), usage=usage)


class ChatCompletionChunk(Head):
    """A piece of a streamed answer. The last one has the usage and no choice, where that was asked for."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: tuple[ChunkChoice, ...]
    usage: TokenUsage | None = None


class Model(_Answered):
    """What can be asked for an answer."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class ModelList(_Answered):
    """Whatever can be asked for an answer."""

    object: Literal["list"] = "list"
    data: Sequence[Model]


class ErrorBody(_Answered):
    """A refusal: what kind, about which field, and why."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(_Answered):
    """A refusal in the shape of that protocol."""

    error: ErrorBody
