"""How many tokens a text comes to, where nobody has counted them."""

import json

from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, Tool, Usage

# Of UTF-8: a token is about four letters of English, and a little more than one Chinese character.
BYTES_PER_TOKEN = 4


def size(text: str) -> int:
    """Return the bytes of UTF-8 that a text takes, whatever came in it."""
    return len(text.encode(errors="surrogatepass"))


def tokens(text_size: int) -> int:
    """Estimate the tokens of a text of so many bytes of UTF-8."""
    return -(-text_size // BYTES_PER_TOKEN)


def prompt_tokens(request: CompletionRequest) -> int:
    """Estimate the tokens of a prompt."""
    written = sum(size(message.text) + _size_of_calls(message) for message in request.messages)
    return tokens(written + sum(_size_of_tool(tool) for tool in request.tools))


def _size_of_calls(message: ChatMessage) -> int:
    return sum(size(call.name) + size(call.arguments) for call in message.tool_calls)


def _size_of_tool(tool: Tool) -> int:
    return size(tool.name) + size(tool.description) + size(json.dumps(tool.parameters))


def usage_so_far(request: CompletionRequest, said: int, reported: Usage | None = None) -> Usage:
    """Return what an answer that was broken off has used: as reported where it was, else estimated.

    Args:
        said: Bytes of UTF-8 that had come of the answer.
        reported: What the provider had counted by then: nothing, the prompt alone, or the answer as well.
    """
    reported = reported or Usage()
    if reported.output_visible or reported.output_reasoning or (reported.source == "reported" and not said):
        return reported
    estimated = {"output_visible": tokens(said), "source": "estimated"}
    if reported.source == "absent":
        estimated["input_uncached"] = prompt_tokens(request)
    return reported.model_copy(update=estimated)
