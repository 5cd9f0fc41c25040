"""Tools on every wire: what is offered, what the model calls, and what the tools have answered."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Tool,
    ToolCall,
    ToolChoice,
)
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.embedded.simulator import ProviderSimulator, Raw
from tertulia.providers.completers import make_completer
from tests.providers import anthropic_streams, gemini_streams, ollama_streams, openai_streams

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="weather", description="Tells the weather", parameters=SCHEMA)
NOW = Tool(name="now")
CONVERSATION = (
    ChatMessage(role="user", text="Is it raining in Lisbon, and when?"),
    ChatMessage(
        role="assistant",
        text="Let me look.",
        tool_calls=(
            ToolCall(id="a", name="weather", arguments='{"city": "Lisbon"}', signature="c2ln"),
            ToolCall(id="b", name="now"),
        ),
    ),
    ChatMessage(role="tool", text="rain", tool_call_id="a"),
    ChatMessage(role="tool", text="noon", tool_call_id="b"),
)
REQUEST = CompletionRequest(messages=CONVERSATION, tools=(WEATHER, NOW), stop=("END",), json_object=True)

every_wire = pytest.mark.parametrize(
    "kind", [ProviderKind.OPENAI, ProviderKind.GEMINI, ProviderKind.ANTHROPIC, ProviderKind.OLLAMA]
)


async def ask(
    simulator: ProviderSimulator, http: httpx.AsyncClient, kind: ProviderKind, request: CompletionRequest
) -> Completion:
    config = ProviderConfig(name="p", kind=kind, base_url=simulator.url, model="m", api_key=SecretStr("k"))
    *_, completion = [item async for item in make_completer(config, http).stream(request)]
    assert isinstance(completion, Completion)
    return completion


async def sent(
    simulator: ProviderSimulator, http: httpx.AsyncClient, kind: ProviderKind, **changes: Any
) -> dict[str, Any]:
    await ask(simulator, http, kind, REQUEST.model_copy(update=changes))
    return simulator.log[-1].body


async def test_openai_gets_calls_and_answers_by_their_ids(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    body = await sent(simulator, http, ProviderKind.OPENAI)

    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Lisbon"}'},
                },
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "a"},
        {"role": "tool", "content": "noon", "tool_call_id": "b"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA},
        },
        {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
    ]
    assert (body["tool_choice"], body["stop"], body["response_format"]) == ("auto", ["END"], {"type": "json_object"})


async def test_gemini_gets_the_answers_of_tools_together_and_its_signature_back(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    body = await sent(simulator, http, ProviderKind.GEMINI)

    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me look."},
                {"functionCall": {"name": "weather", "args": {"city": "Lisbon"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "now", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
                {"functionResponse": {"name": "now", "response": {"output": "noon"}}},
            ],
        },
    ]
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Tells the weather", "parametersJsonSchema": SCHEMA},
                {"name": "now", "description": ""},
            ]
        }
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert body["generationConfig"]["stopSequences"] == ["END"]
    assert body["generationConfig"]["responseMimeType"] == "application/json"


async def test_anthropic_gets_the_answers_of_tools_as_the_persons_blocks(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    body = await sent(simulator, http, ProviderKind.ANTHROPIC)

    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Lisbon"}},
                {"type": "tool_use", "id": "b", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "b", "content": "noon"},
            ],
        },
    ]
    assert body["tools"] == [
        {"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA},
        {"name": "now", "description": "", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert (body["tool_choice"], body["stop_sequences"]) == ({"type": "auto"}, ["END"])


async def test_ollama_gets_the_answers_of_tools_by_their_names(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    body = await sent(simulator, http, ProviderKind.OLLAMA)

    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Lisbon"}}},
                {"function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "rain", "tool_name": "weather"},
        {"role": "tool", "content": "noon", "tool_name": "now"},
    ]
    assert body["tools"][0]["function"]["parameters"] == SCHEMA
    assert (body["options"]["stop"], body["format"]) == (["END"], "json")
    assert "tools" not in await sent(simulator, http, ProviderKind.OLLAMA, tool_choice=ToolChoice(mode="none"))


@pytest.mark.parametrize(
    ("kind", "field", "none", "required", "named"),
    [
        (
            ProviderKind.OPENAI,
            "tool_choice",
            "none",
            "required",
            {"type": "function", "function": {"name": "now"}},
        ),
        (
            ProviderKind.GEMINI,
            "toolConfig",
            {"functionCallingConfig": {"mode": "NONE"}},
            {"functionCallingConfig": {"mode": "ANY"}},
            {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["now"]}},
        ),
        (
            ProviderKind.ANTHROPIC,
            "tool_choice",
            {"type": "none"},
            {"type": "any"},
            {"type": "tool", "name": "now"},
        ),
    ],
)
async def test_the_choice_of_a_tool_is_put_as_the_wire_puts_it(
    simulator: ProviderSimulator,
    http: httpx.AsyncClient,
    kind: ProviderKind,
    field: str,
    none: object,
    required: object,
    named: object,
) -> None:
    choices = (ToolChoice(mode="none"), ToolChoice(mode="required"), ToolChoice(mode="required", name="now"))

    assert [(await sent(simulator, http, kind, tool_choice=choice))[field] for choice in choices] == [
        none,
        required,
        named,
    ]


@pytest.mark.parametrize(
    ("kind", "body", "media_type"),
    [
        (
            ProviderKind.OPENAI,
            openai_streams.tool_call(0, "{}", "now") + openai_streams.chunk("", '"tool_calls"'),
            "text/event-stream",
        ),
        (
            ProviderKind.GEMINI,
            gemini_streams.response(gemini_streams.call("now"), finish="STOP"),
            "text/event-stream",
        ),
        (
            ProviderKind.ANTHROPIC,
            anthropic_streams.BEGIN
            + anthropic_streams.block("tool_use", id="t", name="now", input={})
            + anthropic_streams.end("tool_use"),
            "text/event-stream",
        ),
        (
            ProviderKind.OLLAMA,
            ollama_streams.say("", tool_calls=[{"function": {"name": "now", "arguments": {}}}]) + ollama_streams.end(),
            "application/x-ndjson",
        ),
    ],
)
async def test_a_call_of_a_tool_that_nobody_offered_is_no_answer(
    simulator: ProviderSimulator, http: httpx.AsyncClient, kind: ProviderKind, body: bytes, media_type: str
) -> None:
    simulator.script("m", [Raw(body=body, content_type=media_type)] * 2)

    offered = await ask(simulator, http, kind, REQUEST)
    with pytest.raises(ProviderFailure) as failed:
        await ask(simulator, http, kind, REQUEST.model_copy(update={"tools": ()}))

    assert [call.name for call in offered.tool_calls] == ["now"]
    assert failed.value.failure is FailureClass.MALFORMED


@every_wire
async def test_calls_that_have_lost_their_arguments_can_still_be_given_back(
    simulator: ProviderSimulator, http: httpx.AsyncClient, kind: ProviderKind
) -> None:
    cut = ChatMessage(role="assistant", text="", tool_calls=(ToolCall(id="a", name="now", arguments='{"a'),))

    assert (await ask(simulator, http, kind, CompletionRequest(messages=(CONVERSATION[0], cut), tools=(NOW,)))).text
