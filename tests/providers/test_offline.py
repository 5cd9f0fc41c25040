"""The provider that needs no account."""

import json
from typing import Any

import pytest

from tertulia.domain.completions import ChatMessage, Completion, CompletionRequest, TextDelta
from tertulia.providers.offline import Offline


def request(text: str, schema: dict[str, Any] | None = None) -> CompletionRequest:
    messages = (
        ChatMessage(role="system", text="Reply in 3 words."),
        ChatMessage(role="assistant", text="How many?"),
        ChatMessage(role="user", text=text),
    )
    return CompletionRequest(messages=messages, json_schema=schema)


async def ask(asked: CompletionRequest) -> tuple[list[str], Completion]:
    *deltas, completion = [item async for item in Offline().stream(asked)]
    assert isinstance(completion, Completion)
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)], completion


@pytest.mark.parametrize("text", ["Hello", "What does the job pay?", ""])
async def test_a_reply_comes_word_by_word_and_says_what_it_can_not_do(text: str) -> None:
    pieces, completion = await ask(request(text))
    assert len(pieces) > 5
    assert "".join(pieces) == completion.text
    assert "no AI provider is connected" in completion.text
    assert completion.usage.source == "estimated"


async def test_a_question_is_not_taken_for_a_remark() -> None:
    _, to_question = await ask(request("What does it pay?"))
    _, to_remark = await ask(request("It rains."))
    assert to_question.text != to_remark.text


async def test_the_same_gets_the_same() -> None:
    assert await ask(request("Hello")) == await ask(request("Hello"))


async def test_json_is_read_off_what_the_person_said_last() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"value": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
        "required": ["value"],
    }
    _, understood = await ask(request("eight, I think", schema))
    _, not_understood = await ask(request("a few", schema))
    assert json.loads(understood.text) == {"value": 8}
    assert json.loads(not_understood.text) == {"value": None}


async def test_it_is_always_there() -> None:
    assert (await Offline().probe()).reachable
