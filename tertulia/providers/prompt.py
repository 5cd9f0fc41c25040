"""A request for the wires that keep the instructions apart, and on which the person has the first word."""

from tertulia.domain.completions import ChatMessage, CompletionRequest

# Our conversations begin with a greeting of ours, which such a wire may refuse as a beginning.
_FIRST_WORD = ChatMessage(role="user", text="Hello.")


def instructions(request: CompletionRequest) -> str:
    """Join what the system says; empty where it says nothing."""
    return "\n\n".join(message.text for message in request.messages if message.role == "system")


def dialogue(request: CompletionRequest) -> list[ChatMessage]:
    """Take what was spoken, from a person's message on."""
    spoken = [message for message in request.messages if message.role != "system"]
    return [_FIRST_WORD, *spoken] if spoken and spoken[0].role == "assistant" else spoken
