"""Clients of OpenAI's protocol against the running engine, with a fallback going on underneath."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tertulia.embedded.simulator import Answer, ErrorEvent, ProviderSimulator, Raw, Status
from tests.e2e.cluster import Cluster
from tests.providers import openai_streams

NAMES = ("first", "second")
ASKED: Any = [{"role": "user", "content": "Hello"}]
LOOK: Any = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, simulator: ProviderSimulator) -> AsyncIterator[Cluster]:
    environment = {"PRIMARY_PROVIDER": "first", "SECONDARY_PROVIDER": "second", "PROVIDER_RETRY_ATTEMPTS": "0"}
    for name in NAMES:
        environment |= {
            f"{name.upper()}_BASE_URL": simulator.url,
            f"{name.upper()}_MODEL": name,
            f"{name.upper()}_INPUT_PRICE": "2",
            f"{name.upper()}_OUTPUT_PRICE": "2",
        }
    async with Cluster(tmp_path_factory.mktemp("openai"), environment) as running:
        yield running


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{cluster.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(autouse=True)
async def _healthy(client: openai.AsyncOpenAI, simulator: ProviderSimulator) -> None:
    """Let the first provider be the one that is asked first, whatever it has done to the tests before."""
    simulator.reset()
    for _ in range(25):
        await client.chat.completions.create(model="first", messages=ASKED)


async def attempts(cluster: Cluster, known: int = 0) -> list[tuple[str, str | None]]:
    """The ledger of what was asked outside of sessions, but for the first ones."""
    rows = await cluster.rows(
        "select provider, failure, cost_usd from attempts where session_id is null order by started_at"
    )
    assert all(row["cost_usd"] is None or row["cost_usd"] >= Decimal(0) for row in rows)
    return [(row["provider"], row["failure"]) for row in rows][known:]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_provider_answers_and_the_client_notices_nothing(
    cluster: Cluster, client: openai.AsyncOpenAI, simulator: ProviderSimulator, stream: bool
) -> None:
    known = len(await attempts(cluster))
    simulator.script("first", [Status(503)])
    # A moment may pass until the first provider is asked first.
    for others in range(25):
        if stream:
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model="tertulia", messages=ASKED, stream=True, stream_options={"include_usage": True}
                )
            ]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            usage, answered_by = chunks[-1].usage, chunks[-1].model_extra
        else:
            answer = await client.chat.completions.create(model="tertulia", messages=ASKED)
            said, usage, answered_by = answer.choices[0].message.content or "", answer.usage, answer.model_extra

        assert said == "You said: Hello"
        assert answered_by
        assert answered_by["provider"] == "second"
        assert usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
        if len(tried := await attempts(cluster, known)) > others + 1:
            break

    assert tried == [*[("second", None)] * others, ("first", "overloaded"), ("second", None)]


async def test_after_the_first_text_nobody_else_is_asked(
    cluster: Cluster, client: openai.AsyncOpenAI, simulator: ProviderSimulator
) -> None:
    known = len(await attempts(cluster))
    simulator.script("first", [ErrorEvent(after=2, message="over")])

    with pytest.raises(openai.APIError, match="no provider could answer"):
        async for _ in await client.chat.completions.create(model="first", messages=ASKED, stream=True):
            pass

    assert [provider for provider, _ in await attempts(cluster, known)] == ["first"]


async def test_tools_go_through_to_the_provider_and_back(
    client: openai.AsyncOpenAI, simulator: ProviderSimulator
) -> None:
    body = b"".join(
        (
            openai_streams.tool_call(0, "", "look"),
            *(openai_streams.tool_call(0, piece) for piece in ('{"ci', 'ty": "Lis', 'bon"}')),
            openai_streams.chunk("", '"tool_calls"'),
        )
    )
    simulator.script("second", [Raw(body=body, content_type="text/event-stream")])

    answer = await client.chat.completions.create(model="second/second", messages=ASKED, tools=[LOOK])

    message = answer.choices[0].message
    assert message.tool_calls
    call: Any = message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Lisbon"}
    assert simulator.log[-1].body["tools"][0]["function"]["name"] == "look"


async def test_a_chat_of_langchain(cluster: Cluster, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Status(500)])
    chat = ChatOpenAI(
        model="tertulia", base_url=f"{cluster.url}/v1", api_key=SecretStr("none"), max_retries=0, stream_usage=True
    )
    question = HumanMessage("Hello")

    first = await chat.ainvoke([question])
    pieces = [piece async for piece in chat.astream([question, first, HumanMessage("Again")])]

    assert isinstance(first, AIMessage)
    assert first.content == "You said: Hello"
    assert "".join(str(piece.content) for piece in pieces) == "You said: Again"
    assert pieces[-1].usage_metadata or any(piece.usage_metadata for piece in pieces)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_session_talks_this_protocol_with_a_fallback_in_its_turn(
    cluster: Cluster, client: openai.AsyncOpenAI, simulator: ProviderSimulator, stream: bool
) -> None:
    session = f"openai-{stream}"
    opened = await cluster.http.post(
        "/v1/sessions", json={"definition": "assistant", "user_id": "ada", "session_id": session}
    )
    assert opened.status_code == 201
    simulator.script("first", [Status(500)])
    asked: Any = {"model": "tertulia", "messages": ASKED, "metadata": {"session_id": session}}

    # The worker learns a moment later than the API that the first provider is well again, and asks it first.
    for number in range(1, 26):
        if stream:
            chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        else:
            said = (await client.chat.completions.create(**asked)).choices[0].message.content or ""
        transcript = (await cluster.http.get(f"/v1/sessions/{session}/messages")).json()["messages"]
        assert [message["text"] for message in transcript[-2:]] == ["Hello", said]
        turn = (await cluster.http.get(f"/v1/sessions/{session}/turns/{number}")).json()
        if len(turn["tried"]) > 1:
            break

    assert [tried["failure"] for tried in turn["tried"]] == ["server", None]


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]

    assert {"tertulia", "first", "first/first", "second"} <= set(listed)


async def test_a_client_that_leaves_is_answered_no_further(
    cluster: Cluster, client: openai.AsyncOpenAI, simulator: ProviderSimulator
) -> None:
    known = len(await attempts(cluster))
    simulator.script("first", [Answer(text="on and on " * 500, gap_s=0.05)])

    stream = await client.chat.completions.create(model="first", messages=ASKED, stream=True)
    assert [await anext(stream) for _ in range(3)]
    await stream.close()

    async with asyncio.timeout(30):
        while await attempts(cluster, known) != [("first", "cancelled")]:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.05)
