"""What clients of that protocol send, as far as it is understood here; the rest is passed over."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tertulia.domain.errors import InvalidInput
from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Tool, ToolCall, ToolChoice

# Where a client names no bound. Of what an answer may cost at most, so much is reserved.
_MAX_TOKENS = 4096


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class TextPart(_Sent):
    """A piece of a message. Pictures and sounds are not passed on."""

    type: Literal["text"]
    text: str


class CalledFunction(_Sent):
    """The function of a tool call; `arguments` is JSON."""

    name: str
    arguments: str = "{}"


class CalledTool(_Sent):
    """What the assistant has called before. `extra_content` is given back as it came."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    extra_content: dict[str, Any] | None = None

    def call(self) -> ToolCall:
        """The call in our own words."""
        google = (self.extra_content or {}).get("google")
        signature = google.get("thought_signature") if isinstance(google, dict) else None
        return ToolCall(
            id=self.id,
            name=self.function.name,
            arguments=self.function.arguments,
            signature=signature if isinstance(signature, str) else None,
        )


class SentMessage(_Sent):
    """One message of the prompt."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[tuple[TextPart, ...], Field(max_length=1000)] | None = None
    tool_calls: Annotated[tuple[CalledTool, ...], Field(max_length=128)] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        match self.content:
            case None:
                return ""
            case str():
                return self.content
            case parts:
                return "".join(part.text for part in parts)

    def message(self) -> ChatMessage:
        """The message in our own words."""
        return ChatMessage(
            role="system" if self.role == "developer" else self.role,
            text=self.text,
            tool_calls=tuple(called.call() for called in self.tool_calls or ()),
            tool_call_id=self.tool_call_id if self.role == "tool" else None,
        )


class OfferedFunction(_Sent):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(_Sent):
    """A tool that the model may call."""

    type: Literal["function"]
    function: OfferedFunction

    def tool(self) -> Tool:
        """The tool in our own words."""
        offered = self.function
        return Tool(name=offered.name, description=offered.description or "", parameters=offered.parameters or {})


class NamedFunction(_Sent):
    """Names a function."""

    name: str


class ChosenTool(_Sent):
    """The tool that the model has to call."""

    type: Literal["function"]
    function: NamedFunction


class AnswerSchema(_Sent):
    """The schema that the answer is to fit."""

    name: str = "answer"
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class AnswerFormat(_Sent):
    """Free text, some JSON object, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: AnswerSchema | None = None


class StreamOptions(_Sent):
    """Whether the stream ends with the tokens it took."""

    include_usage: bool = False


class ChatCompletionRequest(_Sent):
    """A question to whatever is behind `model`.

    Attributes:
        model: `tertulia` for whoever is chosen; a provider's name, or `provider/model`, for nobody else.
        metadata: With `session_id`, the last message is a turn of that session, and nothing else here counts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "tertulia", "messages": [{"role": "user", "content": "Say hello in Portuguese."}]}]
        }
    )

    model: Annotated[str, Field(max_length=300)]
    messages: Annotated[tuple[SentMessage, ...], Field(min_length=1, max_length=2000)]
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    stop: str | Annotated[tuple[str, ...], Field(max_length=4)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    response_format: AnswerFormat | None = None
    tools: Annotated[tuple[OfferedTool, ...], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    user: Annotated[str, Field(max_length=256)] | None = None

    @property
    def with_usage(self) -> bool:
        """Whether the stream is to end with the tokens it took."""
        return self.stream_options is not None and self.stream_options.include_usage

    def request(self) -> CompletionRequest:
        """The question in our own words.

        Raises:
            InvalidInput: Something is asked for that can't be had.
        """
        if self.n not in {None, 1}:
            raise InvalidInput("can only be 1", field="n")
        return CompletionRequest(
            messages=tuple(message.message() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens or _MAX_TOKENS,
            temperature=self.temperature,
            stop=(self.stop,) if isinstance(self.stop, str) else self.stop or (),
            tools=tuple(offered.tool() for offered in self.tools or ()),
            tool_choice=_choice(self.tool_choice, self.tools or ()),
            json_object=self.response_format is not None and self.response_format.type == "json_object",
            json_schema=_schema(self.response_format),
        )


def _schema(wanted: AnswerFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type != "json_schema":
        return None
    if wanted.json_schema is None:
        raise InvalidInput("is needed with the type json_schema", field="response_format.json_schema")
    return wanted.json_schema.schema_


def _choice(
    chosen: Literal["none", "auto", "required"] | ChosenTool | None, offered: Sequence[OfferedTool]
) -> ToolChoice:
    if not isinstance(chosen, ChosenTool):
        return ToolChoice(mode=chosen or "auto")
    if chosen.function.name not in {tool.function.name for tool in offered}:
        raise InvalidInput("names a function that is not among the tools", field="tool_choice")
    return ToolChoice(mode="required", name=chosen.function.name)
