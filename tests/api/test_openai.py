"""OpenAI's protocol, as its own Python package speaks it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from tertulia.domain.conversation import Close, IncomingMessage, Reply
from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, SessionClosed, Unavailable
from tertulia.domain.ids import MessageId, ProviderName, SessionId
from tertulia.domain.providers.attempts import Refusal
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    FinishReason,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from tertulia.domain.session_events import TurnSuperseded
from tertulia.domain.turns import Delta
from tests.api.conftest import World
from tests.fakes import ScriptedSessions

ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
USAGE = Usage(input_uncached=10, input_cached=4, output_visible=3, output_reasoning=2, source="reported")
HELLO = Completion(text="Hello, Ada", finish=FinishReason.STOP, usage=USAGE, model="gpt-oss", provider="groq")
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it", "parameters": {"type": "object"}},
}


@pytest.fixture
async def client(api: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


# --- without a session --------------------------------------------------------------------------------------------


async def test_a_plain_answer(client: openai.AsyncOpenAI, world: World) -> None:
    world.completions.answers.append((["Hello, ", "Ada"], HELLO))

    answer = await client.chat.completions.create(
        model="tertulia", messages=ASKED, temperature=0.5, max_tokens=9, stop="END"
    )

    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "gpt-oss")
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello, Ada", "stop")
    assert choice.message.tool_calls is None
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (14, 5, 19)
    [(request, tenant, only)] = world.completions.asked
    assert request.messages == (
        ChatMessage(role="system", text="Be brief."),
        ChatMessage(role="user", text="Hello"),
    )
    assert (request.temperature, request.max_tokens, request.stop) == (0.5, 9, ("END",))
    assert (tenant, only) == ("default", ())


async def test_a_streamed_answer_ends_with_its_usage_where_that_is_wanted(
    client: openai.AsyncOpenAI, world: World
) -> None:
    world.completions.answers += [(["Hello, ", "Ada"], HELLO)] * 2

    async def chunks(**options: Any) -> list[Any]:
        stream = await client.chat.completions.create(model="tertulia", messages=ASKED, stream=True, **options)
        return [chunk async for chunk in stream]

    with_usage = await chunks(stream_options={"include_usage": True})
    without = await chunks()

    assert "".join(chunk.choices[0].delta.content or "" for chunk in with_usage[:-1]) == "Hello, Ada"
    assert [chunk.choices[0].finish_reason for chunk in with_usage[:-1]] == [None, None, None, "stop"]
    assert (with_usage[-1].choices, with_usage[-1].usage.total_tokens) == ([], 19)
    assert len({chunk.id for chunk in with_usage}) == 1
    assert [chunk.usage for chunk in without] == [None] * 4


async def test_text_arrives_before_the_answer_is_complete(client: openai.AsyncOpenAI, world: World) -> None:
    world.completions.answers.append((["Hello, "], HELLO))
    world.completions.going_on.clear()

    stream = await client.chat.completions.create(model="tertulia", messages=ASKED, stream=True)
    seen = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
    world.completions.going_on.set()

    assert seen == ["", "Hello, "]
    assert [chunk.choices[0].finish_reason async for chunk in stream] == ["stop"]


async def test_tools_are_passed_through_both_ways(client: openai.AsyncOpenAI, world: World) -> None:
    called = ToolCall(id="a", name="weather", arguments='{"city": "Lisbon"}', signature="c2ln")
    calls = Completion(text="", finish=FinishReason.TOOL_CALLS, tool_calls=(called,), usage=USAGE)
    world.completions.answers += [([], calls), ([], HELLO)]

    first = await client.chat.completions.create(model="tertulia", messages=ASKED, tools=[WEATHER])
    message = first.choices[0].message
    assert message.tool_calls
    [call] = message.tool_calls
    answers: Any = [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    await client.chat.completions.create(
        model="tertulia",
        messages=[*ASKED, *answers],
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )

    assert (message.content, first.choices[0].finish_reason) == (None, "tool_calls")
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Lisbon"})
    (offered, _, _), (answered, _, _) = world.completions.asked
    assert offered.tools == (Tool(name="weather", description="Tells it", parameters={"type": "object"}),)
    assert answered.messages[2:] == (
        ChatMessage(role="assistant", text="", tool_calls=(called,)),
        ChatMessage(role="tool", text="rain", tool_call_id="a"),
    )
    assert answered.tool_choice == ToolChoice(mode="required", name="weather")


async def test_streamed_tool_calls_have_their_index(client: openai.AsyncOpenAI, world: World) -> None:
    calls = tuple(ToolCall(id=name, name=name) for name in ("look", "ask"))
    world.completions.answers.append(
        (["Let me see."], Completion(text="Let me see.", finish=FinishReason.STOP, tool_calls=calls))
    )

    stream = await client.chat.completions.create(model="tertulia", messages=ASKED, tools=[WEATHER], stream=True)
    *_, told, last = [chunk async for chunk in stream]

    tool_calls = told.choices[0].delta.tool_calls
    assert tool_calls
    assert [(call.index, call.id, call.function and call.function.arguments) for call in tool_calls] == [
        (0, "look", "{}"),
        (1, "ask", "{}"),
    ]
    assert last.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        ({"type": "text"}, (None, False)),
        ({"type": "json_object"}, (None, True)),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            ({"type": "object"}, False),
        ),
    ],
    ids=["text", "json_object", "json_schema"],
)
async def test_the_form_of_the_answer_is_asked_for(
    client: openai.AsyncOpenAI, world: World, wanted: Any, asked: object
) -> None:
    world.completions.answers.append(([], HELLO))

    await client.chat.completions.create(model="tertulia", messages=ASKED, response_format=wanted)

    request = world.completions.asked[0][0]
    assert (request.json_schema, request.json_object) == asked


async def test_what_is_of_no_use_here_is_passed_over(client: openai.AsyncOpenAI, world: World) -> None:
    world.completions.answers.append(([], HELLO))
    parts: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]

    await client.chat.completions.create(
        model="tertulia",
        messages=parts,
        seed=7,
        top_p=0.5,
        presence_penalty=1,
        n=1,
        max_completion_tokens=5,
        user="ada",
    )

    request = world.completions.asked[0][0]
    assert [(message.role, message.text) for message in request.messages] == [("system", "Be brief."), ("user", "Hi")]
    assert request.max_tokens == 5


async def test_an_answer_whose_tokens_nobody_counted_is_estimated(client: openai.AsyncOpenAI, world: World) -> None:
    world.completions.answers.append(([], Completion(text="x" * 40, finish=FinishReason.LENGTH)))

    answer = await client.chat.completions.create(model="tertulia", messages=ASKED)

    assert answer.usage
    assert answer.usage.completion_tokens == 10
    assert answer.choices[0].finish_reason == "length"


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nobody", "a/b/c", "two%0Alines", "%F3%A9%A1%8D"])
async def test_a_model_that_there_is_not_is_told_in_openais_shape(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.get(f"/v1/models/{name}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "not_found"


async def test_models_are_whoever_is_chosen_and_the_providers_that_can_be_asked(client: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]

    assert listed == ["tertulia", "groq", "groq/openai/gpt-oss-120b"]
    assert (await client.models.retrieve("groq/openai/gpt-oss-120b")).owned_by == "groq"


@pytest.mark.parametrize("model", ["groq", "groq/openai/gpt-oss-120b"])
async def test_a_provider_that_is_named_is_asked_alone(client: openai.AsyncOpenAI, world: World, model: str) -> None:
    world.completions.answers.append(([], HELLO))

    await client.chat.completions.create(model=model, messages=ASKED)

    assert world.completions.asked[0][2] == (ProviderName("groq"),)


@pytest.mark.parametrize("model", ["gpt-4o", "gemini", "groq/other", "", "tertulia/x"])
async def test_a_model_that_is_not_there_is_not_found(client: openai.AsyncOpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(model=model, messages=ASKED)

    assert (refused.value.type, refused.value.code) == ("invalid_request_error", "not_found")


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ProviderFailure(FailureClass.SERVER, "said: Hello"), openai.InternalServerError, "server"),
        (ProviderFailure(FailureClass.TIMEOUT, ""), openai.InternalServerError, "timeout"),
        (ProviderFailure(FailureClass.RATE_LIMIT, ""), openai.RateLimitError, "rate_limit_exceeded"),
        (ProviderFailure(FailureClass.CONTEXT_LENGTH, ""), openai.BadRequestError, "context_length_exceeded"),
        (ProviderFailure(FailureClass.CONTENT_POLICY, ""), openai.BadRequestError, "content_policy_violation"),
        (NotAdmitted(ProviderName("groq"), Refusal.TENANT_BUDGET_SPENT), openai.RateLimitError, "insufficient_quota"),
        (NotAdmitted(ProviderName("groq"), Refusal.NO_ROOM), openai.InternalServerError, "not_admitted"),
        (Unavailable("Postgres", "gone"), openai.InternalServerError, "unavailable"),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_that_nobody_answers_is_refused_in_the_protocols_own_shape(
    client: openai.AsyncOpenAI,
    world: World,
    error: Exception,
    kind: type[openai.APIStatusError],
    code: str,
    stream: bool,
) -> None:
    world.completions.answers.append(([], error))

    with pytest.raises(kind) as refused:
        await client.chat.completions.create(model="tertulia", messages=ASKED, stream=stream)

    assert refused.value.code == code
    assert "Hello" not in str(refused.value.body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", [{"role": "robot", "content": "canary"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "canary"}}]}]),
        ("temperature", 9),
        ("n", 2),
        ("max_tokens", 0),
        ("response_format", {"type": "json_schema"}),
        ("tool_choice", {"type": "function", "function": {"name": "canary"}}),
    ],
)
async def test_what_cannot_be_used_is_named(client: openai.AsyncOpenAI, field: str, value: object) -> None:
    sent: Any = {"model": "tertulia", "messages": ASKED, field: value}

    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**sent)

    assert refused.value.param
    assert refused.value.param.startswith(field)
    assert "canary" not in str(refused.value.body)


async def test_a_body_that_is_no_json_is_refused_in_that_shape_too(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/chat/completions", content=b"{canary", headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_failure_after_the_first_text_is_told_as_one(client: openai.AsyncOpenAI, world: World) -> None:
    world.completions.answers.append((["Hel"], ProviderFailure(FailureClass.TRUNCATED, "cut")))
    stream = await client.chat.completions.create(model="tertulia", messages=ASKED, stream=True)
    shown = [(await anext(stream)).choices[0].delta.content for _ in range(2)]

    with pytest.raises(openai.APIError, match="no provider could answer"):
        await anext(stream)
    assert shown == ["", "Hel"]


@pytest.mark.parametrize("shown", [[], ["Hel"]], ids=["before-the-first-text", "behind-it"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_the_call(
    api: httpx.AsyncClient, world: World, stream: bool, shown: list[str]
) -> None:
    world.completions.answers.append((shown, HELLO))
    world.completions.going_on.clear()
    body = {"model": "tertulia", "messages": ASKED, "stream": stream}

    async def ask() -> None:
        async with api.stream("POST", "/v1/chat/completions", json=body) as answer:
            await answer.aread()

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(30):
        await world.completions.under_way.wait()
        asking.cancel()
        await world.completions.cancelled.wait()


# --- with a session -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_with_a_session_the_last_message_is_a_turn_of_it(
    client: openai.AsyncOpenAI, world: World, session: SessionId, stream: bool
) -> None:
    asked: Any = {"model": "tertulia", "messages": ASKED, "metadata": {"session_id": session}}
    if stream:
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        answer = await client.chat.completions.create(**asked)
        said = answer.choices[0].message.content or ""
        assert answer.model_extra
        assert answer.model_extra["session"] == {
            "session_id": session,
            "turn": 1,
            "status": "answered",
            "state": "onboarding",
        }
        assert answer.usage
        assert answer.usage.total_tokens == 228

    assert said == "You said: Hello"
    assert [message.text for message in world.sessions.taken] == ["Hello"]
    assert world.completions.asked == []


async def test_a_turn_that_never_begins_because_its_session_is_terminated_is_not_waited_for(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    class Terminated(ScriptedSessions):
        async def submit(self, session_id: SessionId, message: IncomingMessage) -> MessageId:
            return MessageId("m1")

        async def send(self, session_id: SessionId, message: IncomingMessage) -> Reply:
            raise SessionClosed("the session is closed")

    world.change(sessions=Terminated(world.records, world.transcripts, world.events))

    with pytest.raises(openai.ConflictError):
        await client.chat.completions.create(model="tertulia", messages=ASKED, metadata={"session_id": session})


async def test_a_repeated_call_with_the_conversation_so_far_is_the_same_message(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    so_far: Any = [*ASKED, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": "Ada"}]
    for _ in range(2):
        await client.chat.completions.create(model="tertulia", messages=so_far, metadata={"session_id": session})

    assert len(world.sessions.taken) == 1


async def test_a_single_message_is_the_same_only_under_its_key(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    for key in ("k1", "k1", "k2", None, None):
        headers = {"Idempotency-Key": key} if key else {}
        await client.chat.completions.create(
            model="tertulia", messages=ASKED[1:], metadata={"session_id": session}, extra_headers=headers
        )

    assert [message.message_id for message in world.sessions.taken][:2] == ["k1", "k2"]
    assert len(world.sessions.taken) == 4


async def test_the_user_names_the_session_only_where_that_is_set(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    world.completions.answers.append(([], HELLO))
    outside = await client.chat.completions.create(model="tertulia", messages=ASKED, user=session)
    world.change(user_is_session=True)
    inside = await client.chat.completions.create(model="tertulia", messages=ASKED, user=session)

    assert [answer.choices[0].message.content for answer in (outside, inside)] == ["Hello, Ada", "You said: Hello"]


async def test_the_text_of_a_turn_streams_and_its_rest_follows(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    world.sessions.ending.clear()
    world.events.put(Delta(turn=1, attempt=1, offset=0, text="You said"), session)

    stream = await client.chat.completions.create(
        model="tertulia", messages=ASKED, metadata={"session_id": session}, stream=True
    )
    seen = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
    world.sessions.ending.set()
    seen += [chunk.choices[0].delta.content async for chunk in stream]

    assert seen == ["", "You said", ": Hello", None]


@pytest.mark.parametrize("superseded", [True, False])
async def test_shown_text_that_is_not_the_answer_is_not_passed_off_as_one(
    client: openai.AsyncOpenAI, world: World, session: SessionId, superseded: bool
) -> None:
    world.events.put(Delta(turn=1, attempt=1, offset=0, text="Well"), session)
    if superseded:
        world.events.put(TurnSuperseded(turn=1, attempt=1), session)
    stream = await client.chat.completions.create(
        model="tertulia", messages=ASKED, metadata={"session_id": session}, stream=True
    )

    with pytest.raises(openai.APIError, match="nobody can be asked now"):
        assert [chunk async for chunk in stream]


async def test_a_session_that_is_not_there_or_has_ended_is_told_as_such(
    client: openai.AsyncOpenAI, world: World, session: SessionId
) -> None:
    await world.sessions.close(session, Close())

    for named, kind, code in (
        (session, openai.ConflictError, "session_closed"),
        ("never", openai.NotFoundError, "not_found"),
        ("../x", openai.NotFoundError, "not_found"),
    ):
        with pytest.raises(kind) as refused:
            await client.chat.completions.create(model="tertulia", messages=ASKED, metadata={"session_id": named})
        assert refused.value.code == code


@pytest.mark.parametrize(
    "last",
    [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": " "}, {"role": "user", "content": "a\x00"}],
)
async def test_a_turn_begins_with_what_a_person_says(client: openai.AsyncOpenAI, session: SessionId, last: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(
            model="tertulia", messages=[*ASKED, last], metadata={"session_id": session}
        )
