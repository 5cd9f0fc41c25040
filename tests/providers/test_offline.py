"""The provider that needs no account."""

import json
from typing import Any

import pytest

from tertulia.domain.providers.completions import ChatMessage, Completion, CompletionRequest, TextDelta
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


def asking_for(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"anyOf": [schema, {"type": "null"}]}}, "required": [name]}


async def test_json_is_read_off_what_the_person_said_last() -> None:
    _, understood = await ask(request("eight, I think", asking_for("years", {"type": "number"})))
    _, not_understood = await ask(request("a few", asking_for("years", {"type": "number"})))
    assert json.loads(understood.text) == {"years": 8}
    assert json.loads(not_understood.text) == {"years": None}


@pytest.mark.parametrize(
    ("said", "schema"),
    [
        ("eight, I think", {"type": "number"}),
        ("yes", {"type": "boolean"}),
        ("Berlin", {"type": "string"}),
        ("the office", {"type": "string", "enum": ["office", "home"]}),
    ],
)
async def test_an_answer_that_better_rules_found_unclear_is_not_guessed(said: str, schema: dict[str, Any]) -> None:
    _, completion = await ask(request(said, asking_for("value", schema)))
    assert json.loads(completion.text) == {"value": None}


async def test_it_is_always_there() -> None:
    assert (await Offline().probe()).reachable
