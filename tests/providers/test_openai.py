"""Chat completions over real sockets, with a provider that misbehaves on request."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import httpx
import pytest
from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import (
    ChatMessage,
    Completion,
    CompletionRequest,
    FinishReason,
    TextDelta,
    Usage,
)
from tertulia.domain.providers.configs import ProviderKind
from tertulia.embedded.simulator import (
    Answer,
    Behaviour,
    BlackHole,
    CutStream,
    ErrorBody,
    ErrorEvent,
    Garbage,
    MalformedChunks,
    ProviderSimulator,
    Quota,
    Raw,
    Reset,
    Stall,
    Status,
)
from tertulia.providers.attempt import Clocks
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.openai import Dialect, OpenAIChat
from tests.providers.openai_streams import (
    ANSWERS,
    DONE,
    FAILURES,
    GROQ_FINAL,
    OPENROUTER_ERROR,
    REPORTED,
    STOP,
    USAGE,
    chunk,
)
from tests.providers.recorded import Stream

KEY = "sk-test-0123456789"
PATIENT = Clocks()
SOON = Clocks(headers=0.5, first_content=0.6, gap=0.5)
ASKED = "Where were you born?"
REQUEST = CompletionRequest(
    messages=(ChatMessage(role="system", text="Be brief."), ChatMessage(role="user", text=ASKED))
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"value": {"type": ["integer", "null"]}},
    "required": ["value"],
}

Connect = Callable[..., OpenAIChat]


@pytest.fixture
def connect(simulator: ProviderSimulator, http: httpx.AsyncClient) -> Connect:
    """Make a Completer that talks to the simulator."""

    def chat(
        dialect: Dialect = ProviderKind.OPENAI, key: str | None = KEY, clocks: Clocks = PATIENT, **fields: Any
    ) -> OpenAIChat:
        secret = None if key is None else SecretStr(key)
        endpoint = Endpoint(f"{simulator.url}/{dialect}", "m", secret, clocks, **fields)
        return OpenAIChat(http, endpoint, dialect)

    return chat


async def ask(chat: OpenAIChat, request: CompletionRequest = REQUEST) -> tuple[list[str], Completion]:
    *deltas, completion = [item async for item in chat.stream(request)]
    assert isinstance(completion, Completion)
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)], completion


async def failed(chat: OpenAIChat, request: CompletionRequest = REQUEST) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await ask(chat, request)
    return raised.value


async def test_an_answer_comes_in_pieces_and_ends_with_the_whole(connect: Connect) -> None:
    pieces, completion = await ask(connect())
    assert pieces == ["You ", "said: ", "Where ", "were ", "you ", "born?"]
    assert completion == Completion(
        text=f"You said: {ASKED}",
        finish=FinishReason.STOP,
        usage=Usage(input_uncached=6, output_visible=6, source="reported"),
        model="m",
        request_id="simulated-1",
    )


async def test_a_piece_is_given_on_as_soon_as_it_is_there(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Stall(after=1)])
    async with aclosing(connect().stream(REQUEST)) as answer:
        assert await anext(answer) == TextDelta(text="You ")
        assert simulator.log[0].outcome == "running"


async def test_the_request_is_what_the_wire_asks_for(simulator: ProviderSimulator, connect: Connect) -> None:
    await ask(connect(), REQUEST.model_copy(update={"temperature": 0.5, "max_tokens": 9}))
    assert simulator.log[0].path == "/openai/chat/completions"
    assert simulator.log[0].body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}],
        "max_tokens": 9,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert simulator.log[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(("closed", "strict"), [({}, False), ({"additionalProperties": False}, True)])
async def test_a_schema_asks_for_json(
    simulator: ProviderSimulator, connect: Connect, closed: dict[str, Any], strict: bool
) -> None:
    schema = {**SCHEMA, **closed}
    request = CompletionRequest(messages=(ChatMessage(role="user", text="for 7 years"),), json_schema=schema)
    _, completion = await ask(connect(), request)
    assert json.loads(completion.text) == {"value": 7}
    assert simulator.log[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }


async def test_groq_is_not_asked_to_stream_json(simulator: ProviderSimulator, connect: Connect) -> None:
    request = CompletionRequest(messages=(ChatMessage(role="user", text="for 7 years"),), json_schema=SCHEMA)
    _, completion = await ask(connect("groq"), request)
    assert json.loads(completion.text) == {"value": 7}
    assert completion.usage.source == "reported"
    assert "stream" not in simulator.log[0].body
    assert simulator.log[0].body["max_completion_tokens"] == 1024


async def test_groq_reports_its_usage_in_a_place_of_its_own(connect: Connect) -> None:
    _, completion = await ask(connect("groq"))
    assert completion.usage == Usage(input_uncached=6, output_visible=6, source="reported")


async def test_openrouter_says_what_it_charged(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Answer(cached_tokens=2)])
    _, completion = await ask(connect("openrouter", headers={"x-openrouter-title": "Tertulia"}))
    assert completion.charged_usd == Decimal("0.000012")
    assert completion.usage == Usage(input_uncached=4, input_cached=2, output_visible=6, source="reported")
    assert simulator.log[0].headers["x-openrouter-title"] == "Tertulia"


async def test_the_key_is_sent_and_a_server_without_keys_gets_none(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    await ask(connect())
    await ask(connect(key=f" {KEY}\n"))
    await ask(connect(key="sk-other-0123456789"))
    await ask(connect(key=None))
    first, same, other, none = (exchange.key for exchange in simulator.log)
    assert first == same != other
    assert none is None


@pytest.mark.parametrize("stream", ANSWERS + FAILURES, ids=str)
async def test_every_recorded_stream_comes_to_the_same_over_a_socket(
    simulator: ProviderSimulator, connect: Connect, stream: Stream
) -> None:
    simulator.script("m", [Raw(body=stream.body)])
    chat = connect("openrouter" if stream.charges else "openai")
    request = REQUEST.model_copy(update={"tools": stream.offered})
    if stream.failure is not None:
        failure = await failed(chat, request)
        assert (failure.failure, failure.status) == (stream.failure, stream.status)
        return
    pieces, completion = await ask(chat, request)
    assert "".join(pieces) == completion.text == stream.text
    assert (completion.finish, completion.usage, completion.charged_usd, completion.tool_calls) == (
        stream.finish,
        stream.usage,
        stream.charged_usd,
        stream.calls,
    )


@pytest.mark.parametrize(
    ("behaviour", "failure", "status"),
    [
        (Status(400), FailureClass.BAD_REQUEST, 400),
        (Status(401), FailureClass.AUTH, 401),
        (Status(402), FailureClass.BILLING, 402),
        (Status(404), FailureClass.CONFIG, 404),
        (Status(302, headers={"location": "http://127.0.0.1:1/"}), FailureClass.CONFIG, 302),
        (Status(429), FailureClass.RATE_LIMIT, 429),
        (Status(429, quota=Quota(wait_s=26)), FailureClass.RATE_LIMIT, 429),
        (Status(429, quota=Quota(period="day", wait_s=26)), FailureClass.QUOTA, 429),
        (Status(500), FailureClass.SERVER, 500),
        (Status(503), FailureClass.OVERLOADED, 503),
        (Status(529), FailureClass.OVERLOADED, 529),
        (ErrorBody(code=429), FailureClass.RATE_LIMIT, 429),
        (ErrorEvent(after=0, code=503), FailureClass.OVERLOADED, 503),
        (ErrorEvent(after=2), FailureClass.SERVER, 502),
        (CutStream(after=0), FailureClass.TRUNCATED, None),
        (CutStream(after=2), FailureClass.TRUNCATED, None),
        (CutStream(after=2, how="reset"), FailureClass.TRUNCATED, None),
        (CutStream(after=2, how="end"), FailureClass.TRUNCATED, None),
        (MalformedChunks(after=2, count=4), FailureClass.MALFORMED, None),
        (Answer(text=""), FailureClass.MALFORMED, None),
        (Answer(text="", finish="content_filter"), FailureClass.CONTENT_POLICY, None),
        (Raw(body=b"<html>Sign in</html>", content_type="text/html; charset=utf-8"), FailureClass.MALFORMED, 200),
        (Garbage(), FailureClass.MALFORMED, None),
        (Reset(), FailureClass.CONNECT, None),
    ],
    ids=repr,
)
async def test_every_misbehaviour_is_a_failure_of_its_class(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour, failure: FailureClass, status: int | None
) -> None:
    simulator.script("m", [behaviour])
    chat = connect()
    raised = await failed(chat)
    assert (raised.failure, raised.status) == (failure, status)
    assert (await ask(chat))[1].text == f"You said: {ASKED}"


@pytest.mark.parametrize(
    "behaviour",
    [
        BlackHole(),
        Answer(headers_after_s=60),
        Answer(first_token_after_s=60),
        Answer(gap_s=60),
        Stall(after=0),
        Stall(after=0, comments_every_s=0.02),
        Stall(after=2, comments_every_s=0.02),
    ],
    ids=repr,
)
async def test_whoever_makes_us_wait_is_left(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour
) -> None:
    simulator.script("m", [behaviour])
    assert (await failed(connect(clocks=SOON))).failure is FailureClass.TIMEOUT
    await simulator.quiet()
    assert simulator.log[0].outcome == "abandoned"


@pytest.mark.parametrize(
    "behaviour",
    [Stall(after=2), CutStream(after=2), MalformedChunks(after=0), ErrorEvent()],
    ids=repr,
)
async def test_half_an_answer_that_is_not_streamed_is_none(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour
) -> None:
    simulator.script("m", [behaviour])
    await failed(connect("groq", clocks=SOON), REQUEST.model_copy(update={"json_schema": SCHEMA}))


async def test_an_error_body_that_does_not_end_is_not_waited_for(
    simulator: ProviderSimulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.providers.calls.ERROR_BODY_S", 0.2)
    simulator.script("m", [Status(503, headers={"content-length": "100000", "retry-after": "4"})])
    raised = await failed(connect())
    assert (raised.failure, raised.retry_after) == (FailureClass.OVERLOADED, timedelta(seconds=4))


async def test_an_error_body_without_measure_is_read_in_part(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Status(500, message="long " * 100_000)])
    raised = await failed(connect())
    assert (raised.failure, len(raised.detail)) == (FailureClass.SERVER, 300)


async def test_an_answer_that_takes_too_long_in_all_is_given_up(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Answer(text="on " * 1000, gap_s=0.05)])
    raised = await failed(connect(clocks=Clocks(total=1)))
    assert raised.failure is FailureClass.TIMEOUT
    assert 0 < simulator.log[0].output_tokens < 1000


async def test_time_that_the_reader_takes_is_not_held_against_the_provider(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    simulator.script("m", [Answer(gap_s=0.01)])
    async for item in connect(clocks=Clocks(gap=4)).stream(REQUEST):
        if item == TextDelta(text="said: "):
            await asyncio.sleep(4.5)
    assert isinstance(item, Completion)


@pytest.mark.parametrize(
    ("behaviour", "at_least", "at_most"),
    [
        (Status(429, retry_after_s=2), 2, 2),
        (Status(429, retry_after_ms=1500), 1.5, 1.5),
        (Status(429, retry_at_s=60), 50, 60),
        (Status(429, message="Please try again in 7m12s."), 432, 432),
        (Status(429, quota=Quota(wait_s=26)), 26, 26),
        (Status(503, headers={"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.5s"}), 7.5, 7.5),
        (ErrorBody(code=429, message="retry in 3s"), 3, 3),
        (ErrorEvent(code=429, message="retry in 3s"), 3, 3),
    ],
    ids=repr,
)
async def test_the_wait_that_a_provider_asks_for_is_reported(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour, at_least: float, at_most: float
) -> None:
    simulator.script("m", [behaviour])
    wait = (await failed(connect())).retry_after
    assert wait is not None
    assert timedelta(seconds=at_least) <= wait <= timedelta(seconds=at_most)


async def test_usage_that_trails_the_finish_is_waited_for(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Answer(usage_after_s=0.3)])
    assert (await ask(connect()))[1].usage.source == "reported"


async def test_usage_that_does_not_come_is_not_waited_for_long(
    simulator: ProviderSimulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.providers.attempt.TRAILING_S", 0.2)
    simulator.script("m", [Answer(usage_after_s=60)])
    _, completion = await ask(connect())
    assert (completion.text, completion.usage.source) == (f"You said: {ASKED}", "absent")


async def test_a_finish_on_an_early_chunk_does_not_cut_the_answer(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    early = chunk("One. ", '"stop"').replace(b'"choices"', b'"usage":{"prompt_tokens":1},"choices"')
    simulator.script("m", [Raw(body=early, pause_s=0.4, rest=chunk("Two.", '"stop"') + DONE)])
    assert (await ask(connect()))[1].text == "One. Two."


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
async def test_an_answer_that_is_complete_counts_whatever_becomes_of_the_connection(
    simulator: ProviderSimulator, connect: Connect, then: Literal["close", "reset", "hang"]
) -> None:
    simulator.script("m", [Answer(then=then), Answer(then=then, done=False)])
    chat = connect()
    for _ in range(2):
        _, completion = await ask(chat)
        assert (completion.finish, completion.usage.source) == (FinishReason.STOP, "reported")


async def test_calls_share_a_connection(simulator: ProviderSimulator, connect: Connect) -> None:
    chat = connect()
    for behaviour in (Answer(), Answer(done=False), Answer(usage=False), Status(500), Answer()):
        simulator.script("m", [behaviour])
        await asyncio.gather(ask(chat), return_exceptions=True)
    assert [exchange.connection for exchange in simulator.log] == [1] * 5


async def test_a_reader_that_stops_early_closes_the_call(simulator: ProviderSimulator, connect: Connect) -> None:
    simulator.script("m", [Stall(after=1)])
    async with aclosing(connect().stream(REQUEST)) as answer:
        assert await anext(answer) == TextDelta(text="You ")
    await simulator.quiet()
    assert simulator.log[0].outcome == "abandoned"


@pytest.mark.parametrize("behaviour", [BlackHole(), Stall(after=0), Stall(after=3)], ids=repr)
async def test_a_cancelled_call_is_closed_at_once(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour
) -> None:
    simulator.script("m", [behaviour])
    asking = asyncio.create_task(ask(connect()))
    await simulator.asked()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await simulator.quiet()
    assert simulator.log[0].outcome == "abandoned"


async def test_a_server_that_is_away_is_a_failure_to_connect(http: httpx.AsyncClient) -> None:
    async with ProviderSimulator() as gone:
        endpoint = Endpoint(gone.url, "m")
    raised = await failed(OpenAIChat(http, endpoint))
    assert raised.failure is FailureClass.CONNECT


@pytest.mark.parametrize("base_url", ["ftp://provider.example", "provider.example", "http://[::1"])
async def test_an_address_that_is_none_is_a_matter_of_configuration(http: httpx.AsyncClient, base_url: str) -> None:
    raised = await failed(OpenAIChat(http, Endpoint(base_url, "m")))
    assert raised.failure is FailureClass.CONFIG


@pytest.mark.parametrize("key", ["sk-wrapped\r\nx-evil: 1", "sk-\u00fcml\u00e4ut-0123456789", "sk-zero\0-0123456789"])
async def test_a_key_that_no_header_can_carry_is_a_matter_of_configuration(connect: Connect, key: str) -> None:
    chat = connect(key=key)
    raised = await failed(chat)
    assert raised.failure is FailureClass.CONFIG
    for text in (str(raised), repr(raised), str(raised.__cause__), (await chat.probe()).detail):
        assert "wrapped" not in text
        assert "0123456789" not in text


async def test_a_provider_that_quotes_key_and_question_is_not_repeated(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    simulator.script(
        "m", [Status(401, message=f"Wrong key {KEY} for '{ASKED}'"), ErrorEvent(message=f"{KEY}: {ASKED}")]
    )
    chat = connect()
    for raised in (await failed(chat), await failed(chat)):
        assert KEY not in str(raised)
        assert ASKED not in str(raised)
        assert raised.__cause__ is None


async def test_letters_that_are_half_of_one_can_be_asked(connect: Connect) -> None:
    request = CompletionRequest.model_construct(messages=(ChatMessage.model_construct(role="user", text="\ud83d"),))
    assert (await ask(connect(), request))[1].text.startswith("You said:")


async def test_a_probe_reaches_the_provider_with_our_key(simulator: ProviderSimulator, connect: Connect) -> None:
    probe = await connect().probe()
    assert (probe.reachable, probe.detail) == (True, "")
    assert probe.latency_ms > 0
    assert (simulator.log[0].method, simulator.log[0].path) == ("GET", "/openai/models")
    assert simulator.log[0].key is not None
    assert simulator.log[0].input_tokens == 0


async def test_a_probe_of_openrouter_asks_for_the_key(simulator: ProviderSimulator, connect: Connect) -> None:
    assert (await connect("openrouter").probe()).reachable
    assert simulator.log[0].path == "/openrouter/key"


@pytest.mark.parametrize(
    ("path", "dialect", "body", "reachable", "detail"),
    [
        ("/openai/models", "openai", b'{"data":[{"id":"m"}]}', True, ""),
        ("/openai/models", "openai", b'{"data":[{"id":"models/m"}]}', True, ""),
        ("/groq/models", "groq", b'{"data":[{"id":"other"}]}', True, "the model m is not listed"),
        ("/openai/models", "openai", b'{"data":[null, 5]}', True, "the model m is not listed"),
        ("/openai/models", "openai", b"[]", True, ""),
        ("/openrouter/key", "openrouter", b'{"data":{"limit_remaining":3.5}}', True, ""),
        (
            "/openrouter/key",
            "openrouter",
            b'{"data":{"limit_remaining":0}}',
            False,
            "billing: the key's limit is used up",
        ),
    ],
)
async def test_a_probe_tells_what_it_learnt(
    simulator: ProviderSimulator, connect: Connect, path: str, dialect: str, body: bytes, reachable: bool, detail: str
) -> None:
    simulator.script(path, [Raw(body=body, content_type="application/json")])
    probe = await connect(dialect).probe()
    assert (probe.reachable, probe.detail) == (reachable, detail)


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        (Status(401, message=f"bad key {KEY}"), "auth: bad key …"),
        (Status(503), "overloaded: simulated failure"),
        (Reset(), "connect: no connection"),
        (Garbage(), "malformed: what came back is not HTTP"),
        (CutStream(after=0), "truncated: the connection broke inside the answer"),
    ],
    ids=repr,
)
async def test_a_probe_that_fails_says_why(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour, detail: str
) -> None:
    simulator.script("/openai/models", [behaviour])
    probe = await connect().probe()
    assert not probe.reachable
    assert probe.detail.startswith(detail)


async def test_a_probe_that_is_not_answered_ends(
    simulator: ProviderSimulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.providers.calls.PROBE_S", 0.2)
    simulator.script("/openai/models", [BlackHole(), Stall(after=0)])
    assert not (await connect().probe()).reachable
    assert not (await connect().probe()).reachable


ESTIMATED = Usage(input_uncached=8, output_visible=10, source="estimated")


@pytest.mark.parametrize(
    ("dialect", "body", "usage", "charged_usd"),
    [
        # What is asked has 29 letters.
        ("openai", chunk("x" * 40), ESTIMATED, None),
        ("openai", b'data: {"choices":[{"delta":{"reasoning":"' + b"x" * 40 + b'"}}]}\n\n', ESTIMATED, None),
        ("openai", chunk("\u4f60" * 13), ESTIMATED, None),
        ("openai", USAGE + chunk("x"), REPORTED, None),
        ("openai", STOP + USAGE + DONE, REPORTED, None),
        ("groq", chunk("x") + GROQ_FINAL.replace(b'"id":"req_1"', b'"error":"over capacity"'), REPORTED, None),
        ("openrouter", chunk("x" * 40), ESTIMATED, None),
        # Whoever breaks off does not charge, unless it says so.
        ("openrouter", chunk("x" * 40) + OPENROUTER_ERROR, ESTIMATED, Decimal(0)),
        (
            "openrouter",
            chunk("x") + USAGE.replace(b'"prompt', b'"cost":0.000002,"prompt') + OPENROUTER_ERROR,
            REPORTED,
            Decimal("0.000002"),
        ),
        (
            "openrouter",
            STOP + USAGE.replace(b'"prompt', b'"cost":0.000002,"prompt') + DONE,
            REPORTED,
            Decimal("0.000002"),
        ),
        ("openai", b"", None, None),
    ],
    ids=str,
)
async def test_an_answer_that_comes_to_nothing_tells_what_it_has_used_and_cost(
    simulator: ProviderSimulator,
    connect: Connect,
    dialect: str,
    body: bytes,
    usage: Usage | None,
    charged_usd: Decimal | None,
) -> None:
    simulator.script("m", [Raw(body=body)])
    raised = await failed(connect(dialect))
    assert (raised.usage, raised.charged_usd) == (usage, charged_usd)


async def test_what_is_left_of_groqs_limits_comes_with_the_answer(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    left = {
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "4500",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    simulator.script("m", [Answer(headers=left)])
    limits = (await ask(connect("groq")))[1].limits
    assert limits is not None
    assert limits.remaining == 0.25
    assert limits.until is not None
