"""A request for the wires that keep the instructions apart, and on which the person has the first word."""

from collections.abc import Iterable, Iterator
from typing import Any

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, ToolCall
from tertulia.providers import untrusted
from tertulia.providers.untrusted import mapping

# Our conversations begin with a greeting of ours, which such a wire may refuse as a beginning.
_FIRST_WORD = ChatMessage(role="user", text="Hello.")


def instructions(request: CompletionRequest) -> str:
    """Join what the system says; empty where it says nothing."""
    return "\n\n".join(message.text for message in request.messages if message.role == "system")


def dialogue(request: CompletionRequest) -> list[ChatMessage]:
    """Take what was spoken, from a person's message on."""
    spoken = [message for message in request.messages if message.role != "system"]
    return [_FIRST_WORD, *spoken] if spoken and spoken[0].role == "assistant" else spoken


def with_tools(messages: Iterable[ChatMessage]) -> Iterator[tuple[ChatMessage, str]]:
    """Yield messages, each with the name of the tool whose answer it is: some wires know no ids of calls."""
    names: dict[str, str] = {}
    for message in messages:
        yield message, names.get(message.tool_call_id or "", "")
        names |= {call.id: call.name for call in message.tool_calls}


def arguments(call: ToolCall) -> Any:
    """Read what a tool was called with; what is no JSON object counts as none."""
    return dict(mapping(untrusted.parse(call.arguments)))
