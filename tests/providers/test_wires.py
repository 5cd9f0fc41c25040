"""Gemini, Anthropic and Ollama over real sockets, with a provider that misbehaves on request."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

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
from tertulia.ports import Completer
from tertulia.providers.anthropic import AnthropicMessages
from tertulia.providers.attempt import Clocks
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.gemini import ROOM_FOR_THOUGHTS, GeminiContent
from tertulia.providers.ollama import OllamaChat
from tests.providers import anthropic_streams, gemini_streams, ollama_streams
from tests.providers.recorded import Stream

C = FailureClass

KEY = "plain0123456789"
PATIENT = Clocks()
SOON = Clocks(headers=0.5, first_content=0.6, cold_start=0.6, gap=0.5)
ASKED = "Where were you born?"
REQUEST = CompletionRequest(
    messages=(
        ChatMessage(role="system", text="Be brief."),
        ChatMessage(role="assistant", text="Ask me."),
        ChatMessage(role="user", text=ASKED),
    ),
    max_tokens=9,
    temperature=0.5,
)
SAID = ["You ", "said: ", "Where ", "were ", "you ", "born?"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"value": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["value"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Wire:
    name: str
    completer: Callable[[httpx.AsyncClient, Endpoint], Completer]
    path: str
    look_up: str
    media_type: str
    streams: tuple[Stream, ...]

    def __str__(self) -> str:
        return self.name


GEMINI = Wire(
    "gemini",
    GeminiContent,
    "/gemini/models/m:streamGenerateContent",
    "/gemini/models/m",
    "text/event-stream",
    gemini_streams.ANSWERS + gemini_streams.FAILURES,
)
ANTHROPIC = Wire(
    "anthropic",
    AnthropicMessages,
    "/anthropic/v1/messages",
    "/anthropic/v1/models/m",
    "text/event-stream",
    anthropic_streams.ANSWERS + anthropic_streams.FAILURES,
)
OLLAMA = Wire(
    "ollama",
    OllamaChat,
    "/ollama/api/chat",
    "/ollama/api/tags",
    "application/x-ndjson",
    ollama_streams.ANSWERS + ollama_streams.FAILURES,
)
WIRES = (GEMINI, ANTHROPIC, OLLAMA)
RECORDED = [(wire, stream) for wire in WIRES for stream in wire.streams]

every_wire = pytest.mark.parametrize("wire", WIRES, ids=str)
Connect = Callable[..., Completer]


@pytest.fixture
def connect(simulator: ProviderSimulator, http: httpx.AsyncClient) -> Connect:
    """Make a Completer that talks to the simulator."""

    def completer(wire: Wire, key: str | None = KEY, clocks: Clocks = PATIENT, model: str = "m") -> Completer:
        secret = None if key is None else SecretStr(key)
        return wire.completer(http, Endpoint(f"{simulator.url}/{wire}", model, secret, clocks))

    return completer


async def ask(completer: Completer, request: CompletionRequest = REQUEST) -> tuple[list[str], Completion]:
    *deltas, completion = [item async for item in completer.stream(request)]
    assert isinstance(completion, Completion)
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)], completion


async def failed(completer: Completer, request: CompletionRequest = REQUEST) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await ask(completer, request)
    return raised.value


@every_wire
async def test_an_answer_comes_in_pieces_and_ends_with_the_whole(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    pieces, completion = await ask(connect(wire))
    assert pieces == SAID
    assert (completion.text, completion.finish) == (f"You said: {ASKED}", FinishReason.STOP)
    billed = simulator.log[0]
    assert completion.usage == Usage(
        input_uncached=billed.input_tokens, output_visible=billed.output_tokens, source="reported"
    )
    assert (completion.model, billed.path, billed.model) == ("m", wire.path, "m")


@pytest.mark.parametrize("wire", [GEMINI, ANTHROPIC], ids=str)
async def test_cached_tokens_are_told_apart(simulator: ProviderSimulator, connect: Connect, wire: Wire) -> None:
    simulator.script("m", [Answer(cached_tokens=5)])
    _, completion = await ask(connect(wire))
    asked = simulator.log[0].input_tokens
    assert completion.usage == Usage(input_uncached=asked - 5, input_cached=5, output_visible=6, source="reported")


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (
            GEMINI,
            {
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [
                    {"role": "user", "parts": [{"text": "Hello."}]},
                    {"role": "model", "parts": [{"text": "Ask me."}]},
                    {"role": "user", "parts": [{"text": ASKED}]},
                ],
                "generationConfig": {"maxOutputTokens": 9 + ROOM_FOR_THOUGHTS, "temperature": 0.5},
            },
        ),
        (
            ANTHROPIC,
            {
                "model": "m",
                "max_tokens": 9,
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": "Hello."},
                    {"role": "assistant", "content": "Ask me."},
                    {"role": "user", "content": ASKED},
                ],
                "stream": True,
            },
        ),
        (
            OLLAMA,
            {
                "model": "m",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "assistant", "content": "Ask me."},
                    {"role": "user", "content": ASKED},
                ],
                "options": {"num_predict": 9, "temperature": 0.5},
                "think": False,
                "stream": True,
            },
        ),
    ],
    ids=str,
)
async def test_the_request_is_what_the_wire_asks_for(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, body: dict[str, Any]
) -> None:
    await ask(connect(wire))
    assert simulator.log[0].body == body
    assert simulator.log[0].headers["accept-encoding"] == "identity"


@every_wire
async def test_a_person_who_has_the_first_word_keeps_it(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    await ask(connect(wire), CompletionRequest(messages=(ChatMessage(role="user", text=ASKED),)))
    assert "Hello." not in str(simulator.log[0].body)
    assert not {"system", "systemInstruction"} & simulator.log[0].body.keys()


@every_wire
async def test_a_schema_asks_for_json(simulator: ProviderSimulator, connect: Connect, wire: Wire) -> None:
    request = CompletionRequest(messages=(ChatMessage(role="user", text="for 7 years"),), json_schema=SCHEMA)
    _, completion = await ask(connect(wire), request)
    assert json.loads(completion.text) == {"value": 7}
    body = simulator.log[0].body
    wanted = {
        GEMINI: body.get("generationConfig"),
        ANTHROPIC: body.get("output_config"),
        OLLAMA: body.get("format"),
    }
    assert (
        wanted[wire]
        == {
            GEMINI: {
                "maxOutputTokens": 1024 + ROOM_FOR_THOUGHTS,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            },
            ANTHROPIC: {"format": {"type": "json_schema", "schema": SCHEMA}},
            OLLAMA: SCHEMA,
        }[wire]
    )


async def test_anthropic_is_spared_what_it_refuses_of_a_schema(simulator: ProviderSimulator, connect: Connect) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "title": "Answer",
        "properties": {
            "title": {"type": "string", "description": "A job's title", "maxLength": 9},
            "years": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "maxItems": 3},
        },
        "required": ["title"],
        "$defs": {"Place": {"type": "object", "properties": {"name": {"enum": ["a", "b"]}}}},
    }
    await ask(connect(ANTHROPIC), REQUEST.model_copy(update={"json_schema": schema}))
    assert simulator.log[0].body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "A job's title"},
            "years": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        },
        "required": ["title"],
        "additionalProperties": False,
        "$defs": {
            "Place": {"type": "object", "properties": {"name": {"enum": ["a", "b"]}}, "additionalProperties": False}
        },
    }


@pytest.mark.parametrize(
    ("wire", "header", "value"),
    [(GEMINI, "x-goog-api-key", KEY), (ANTHROPIC, "x-api-key", KEY), (OLLAMA, "authorization", f"Bearer {KEY}")],
    ids=str,
)
async def test_the_key_stands_in_its_header_and_nowhere_else(
    connect: Connect, http: httpx.AsyncClient, wire: Wire, header: str, value: str
) -> None:
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    http.event_hooks["request"] = [note]
    await ask(connect(wire, key=f" {KEY}\n"))
    await connect(wire).probe()
    await ask(connect(wire, key=None))
    for request in sent[:2]:
        assert [name for name, held in request.headers.items() if KEY in held] == [header]
        assert request.headers[header] == value
        assert KEY not in str(request.url)
    assert header not in sent[2].headers


@pytest.mark.parametrize(("wire", "stream"), RECORDED, ids=[f"{wire}: {stream}" for wire, stream in RECORDED])
async def test_every_recorded_stream_comes_to_the_same_over_a_socket(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, stream: Stream
) -> None:
    simulator.script("m", [Raw(body=stream.body, content_type=wire.media_type)])
    shown: list[str] = []
    outcome: Completion | ProviderFailure | None = None
    try:
        async for item in connect(wire).stream(REQUEST.model_copy(update={"tools": stream.offered})):
            if isinstance(item, TextDelta):
                shown.append(item.text)
            else:
                outcome = item
    except ProviderFailure as failure:
        outcome = failure
    assert outcome is not None
    assert stream.comes_to("".join(shown), outcome), (shown, outcome)


COMMON: list[tuple[Behaviour, FailureClass, int | None]] = [
    (Status(302, headers={"location": "http://127.0.0.1:1/"}), C.CONFIG, 302),
    (CutStream(after=0), C.TRUNCATED, None),
    (CutStream(after=2), C.TRUNCATED, None),
    (CutStream(after=2, how="reset"), C.TRUNCATED, None),
    (CutStream(after=2, how="end"), C.TRUNCATED, None),
    (MalformedChunks(after=2, count=4), C.MALFORMED, None),
    (Answer(text=""), C.MALFORMED, None),
    (Raw(body=b"<html>Sign in</html>", content_type="text/html; charset=utf-8"), C.MALFORMED, 200),
    (Garbage(), C.MALFORMED, None),
    (Reset(), C.CONNECT, None),
]
STATUSES = {
    GEMINI: {
        400: C.BAD_REQUEST,
        401: C.AUTH,
        402: C.BILLING,
        403: C.AUTH,
        404: C.CONFIG,
        429: C.RATE_LIMIT,
        499: C.SERVER,
        500: C.SERVER,
        503: C.OVERLOADED,
        504: C.TIMEOUT,
    },
    ANTHROPIC: {
        400: C.BAD_REQUEST,
        401: C.AUTH,
        402: C.BILLING,
        403: C.AUTH,
        404: C.CONFIG,
        409: C.SERVER,
        413: C.BAD_REQUEST,
        429: C.RATE_LIMIT,
        500: C.SERVER,
        504: C.TIMEOUT,
        529: C.OVERLOADED,
    },
    OLLAMA: {
        400: C.BAD_REQUEST,
        401: C.AUTH,
        403: C.AUTH,
        404: C.CONFIG,
        429: C.RATE_LIMIT,
        500: C.SERVER,
        502: C.SERVER,
        503: C.OVERLOADED,
    },
}
PECULIAR: dict[Wire, list[tuple[Behaviour, FailureClass, int | None]]] = {
    GEMINI: [
        (Status(400, error={"status": "FAILED_PRECONDITION", "message": "x"}), C.CONFIG, 400),
        (
            Status(400, error={"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}),
            C.AUTH,
            400,
        ),
        (Status(400, message="The input token count (9) exceeds the maximum"), C.CONTEXT_LENGTH, 400),
        (Status(429, quota=Quota(wait_s=26)), C.RATE_LIMIT, 429),
        (Status(429, quota=Quota(period="day", wait_s=26)), C.QUOTA, 429),
        (ErrorBody(code=429), C.RATE_LIMIT, 429),
        (ErrorEvent(after=0, code=503), C.OVERLOADED, 503),
        (ErrorEvent(after=2, code="INTERNAL"), C.SERVER, 500),
        (Answer(text="", finish="content_filter"), C.CONTENT_POLICY, None),
        (Answer(finish="OTHER"), C.SERVER, None),
        # Without a proper end nobody knows whether there was more to come.
        (Answer(then="close"), C.TRUNCATED, None),
        (Answer(then="reset"), C.TRUNCATED, None),
    ],
    ANTHROPIC: [
        (Status(400, message="prompt is too long: 9 tokens > 8 maximum"), C.CONTEXT_LENGTH, 400),
        (Status(400, message="Your credit balance is too low"), C.BILLING, 400),
        (
            Status(429, error={"type": "rate_limit_error", "code": "enforced_spend_limit_reached", "message": "x"}),
            C.BILLING,
            429,
        ),
        (Status(429, quota=Quota(wait_s=26)), C.RATE_LIMIT, 429),
        (ErrorBody(code=529), C.OVERLOADED, None),
        (ErrorEvent(after=0, code="overloaded_error"), C.OVERLOADED, None),
        (ErrorEvent(after=2, code=500), C.SERVER, None),
        (Answer(text="", finish="content_filter"), C.CONTENT_POLICY, None),
    ],
    OLLAMA: [
        (Status(400, message="the input length exceeds the context length"), C.CONTEXT_LENGTH, 400),
        (ErrorBody(), C.SERVER, None),
        (ErrorEvent(after=0), C.SERVER, None),
        (ErrorEvent(after=2), C.SERVER, None),
    ],
}
MISBEHAVIOURS = [
    (wire, *case)
    for wire in WIRES
    for case in (*COMMON, *((Status(code), failure, code) for code, failure in STATUSES[wire].items()), *PECULIAR[wire])
]


@pytest.mark.parametrize(("wire", "behaviour", "failure", "status"), MISBEHAVIOURS, ids=str)
async def test_every_misbehaviour_is_a_failure_of_its_class(
    simulator: ProviderSimulator,
    connect: Connect,
    wire: Wire,
    behaviour: Behaviour,
    failure: FailureClass,
    status: int | None,
) -> None:
    simulator.script("m", [behaviour])
    completer = connect(wire)
    raised = await failed(completer)
    assert (raised.failure, raised.status) == (failure, status)
    assert (await ask(completer))[1].text == f"You said: {ASKED}"


@every_wire
@pytest.mark.parametrize(
    "behaviour",
    [
        BlackHole(),
        Answer(first_token_after_s=60),
        Stall(after=0, comments_every_s=0.02),
        Stall(after=2, comments_every_s=0.02),
        Stall(after=2),
    ],
    ids=repr,
)
async def test_whoever_makes_us_wait_is_left(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, behaviour: Behaviour
) -> None:
    simulator.script("m", [behaviour])
    assert (await failed(connect(wire, clocks=SOON))).failure is FailureClass.TIMEOUT
    await simulator.quiet()
    assert simulator.log[0].outcome == "abandoned"


async def test_gemini_is_not_cut_short_where_it_pauses_after_a_finish(
    simulator: ProviderSimulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.providers.attempt.TRAILING_S", 0.1)
    early = gemini_streams.say("One. ", "STOP", usageMetadata=gemini_streams.COUNTS)
    simulator.script("m", [Raw(body=early, pause_s=0.4, rest=gemini_streams.say("Two.", "STOP"))])
    assert (await ask(connect(GEMINI)))[1].text == "One. Two."


@pytest.mark.parametrize("wire", [ANTHROPIC, OLLAMA], ids=str)
@pytest.mark.parametrize("then", ["close", "reset", "hang"])
async def test_an_answer_with_its_terminal_marker_counts_whatever_becomes_of_the_connection(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, then: Any
) -> None:
    simulator.script("m", [Answer(then=then)])
    _, completion = await ask(connect(wire))
    assert (completion.finish, completion.usage.source) == (FinishReason.STOP, "reported")


@every_wire
@pytest.mark.parametrize(("finish", "reason"), [("length", FinishReason.LENGTH), ("stop", FinishReason.STOP)])
async def test_an_answer_tells_why_it_ended(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, finish: str, reason: FinishReason
) -> None:
    simulator.script("m", [Answer(finish=finish, usage=False, comments=3)])
    _, completion = await ask(connect(wire))
    assert (completion.finish, completion.usage.source) == (reason, "absent")


@pytest.mark.parametrize(
    ("wire", "behaviour", "at_least", "at_most"),
    [
        (GEMINI, Status(429, quota=Quota(wait_s=26.5)), 26.5, 26.5),
        (GEMINI, Status(429, message="Please retry in 52.4s."), 52.4, 52.4),
        (GEMINI, ErrorBody(code=429, message="Please retry in 3s."), 3, 3),
        (ANTHROPIC, Status(429, quota=Quota(wait_s=26)), 26, 26),
        (ANTHROPIC, Status(529, retry_after_s=4), 4, 4),
        (OLLAMA, Status(503, retry_after_s=4), 4, 4),
    ],
    ids=str,
)
async def test_the_wait_that_a_provider_asks_for_is_reported(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, behaviour: Behaviour, at_least: float, at_most: float
) -> None:
    simulator.script("m", [behaviour])
    wait = (await failed(connect(wire))).retry_after
    assert wait is not None
    assert timedelta(seconds=at_least) <= wait <= timedelta(seconds=at_most)


async def test_anthropic_tells_in_its_own_headers_when_a_limit_is_filled_again(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=90)).isoformat()
    limits = {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": reset}
    simulator.script("m", [Status(429, headers=limits)])
    wait = (await failed(connect(ANTHROPIC))).retry_after
    assert wait is not None
    assert timedelta(seconds=60) < wait <= timedelta(seconds=90)


async def test_a_daily_quota_of_gemini_is_not_asked_again_after_the_short_delay_that_it_names(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    simulator.script("m", [Status(429, quota=Quota(period="day", wait_s=0.5))])
    assert (await failed(connect(GEMINI))).retry_after != timedelta(seconds=0.5)


@every_wire
async def test_calls_share_a_connection(simulator: ProviderSimulator, connect: Connect, wire: Wire) -> None:
    completer = connect(wire)
    for behaviour in (Answer(), Answer(usage=False), Status(500), Answer()):
        simulator.script("m", [behaviour])
        await asyncio.gather(ask(completer), return_exceptions=True)
    assert [exchange.connection for exchange in simulator.log] == [1] * 4


@every_wire
async def test_a_reader_that_stops_early_closes_the_call(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    simulator.script("m", [Stall(after=1)])
    async with aclosing(connect(wire).stream(REQUEST)) as answer:
        assert await anext(answer) == TextDelta(text="You ")
    await simulator.quiet()
    assert simulator.log[0].outcome == "abandoned"


@every_wire
async def test_a_provider_that_quotes_key_and_question_is_not_repeated(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    quoted = f"Wrong key {KEY} for '{ASKED}'"
    simulator.script("m", [Status(401, message=quoted), ErrorEvent(message=quoted), ErrorBody(message=quoted)])
    simulator.script(wire.look_up, [Status(401, message=quoted)])
    completer = connect(wire)
    for raised in [await failed(completer) for _ in range(3)]:
        assert KEY not in str(raised)
        assert ASKED not in str(raised)
        assert raised.__cause__ is None
    assert KEY not in (await completer.probe()).detail


@every_wire
@pytest.mark.parametrize("key", ["wrapped\r\nx-evil: 1", "\u00fcml\u00e4ut-0123456789"])
async def test_a_key_that_no_header_can_carry_is_a_matter_of_configuration(
    connect: Connect, wire: Wire, key: str
) -> None:
    completer = connect(wire, key=key)
    raised = await failed(completer)
    assert raised.failure is FailureClass.CONFIG
    for text in (str(raised), repr(raised), (await completer.probe()).detail):
        assert "wrapped" not in text
        assert "0123456789" not in text


async def test_a_model_is_one_part_of_the_address_whatever_its_name(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    await connect(GEMINI, model="models/gemini-flash").probe()
    await connect(GEMINI, model="../secrets?x#y").probe()
    await connect(ANTHROPIC, model="a/b").probe()
    assert [exchange.path for exchange in simulator.log] == [
        "/gemini/models/gemini-flash",
        "/gemini/models/..%2Fsecrets%3Fx%23y",
        "/anthropic/v1/models/a%2Fb",
    ]


@every_wire
async def test_a_probe_costs_nothing(simulator: ProviderSimulator, connect: Connect, wire: Wire) -> None:
    probe = await connect(wire, model="simulated").probe()
    assert (probe.reachable, probe.detail) == (True, "")
    assert (simulator.log[0].method, simulator.log[0].input_tokens) == ("GET", 0)
    assert simulator.log[0].key is not None


@every_wire
@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        (Status(401, message=f"bad key {KEY}"), "auth: bad key …"),
        (Status(404, message="no such model"), "config: no such model"),
        (Reset(), "connect: no connection"),
        (Garbage(), "malformed: what came back is not HTTP"),
    ],
    ids=repr,
)
async def test_a_probe_that_fails_says_why(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, behaviour: Behaviour, detail: str
) -> None:
    simulator.script(wire.look_up, [behaviour])
    probe = await connect(wire).probe()
    assert not probe.reachable
    assert probe.detail.startswith(detail)


@pytest.mark.parametrize(
    ("model", "body", "installed"),
    [
        ("simulated", {"models": [{"name": "qwen3:8b"}, {"name": "simulated:latest"}]}, True),
        ("simulated:latest", {"models": [{"name": "simulated:latest"}]}, True),
        ("qwen3", {"models": [{"name": "qwen3:8b"}]}, False),
        ("m", {"models": []}, False),
        ("m", {"models": [None, {"name": 5}]}, False),
        ("m", [], False),
    ],
)
async def test_ollama_can_be_used_where_the_model_is_installed(
    simulator: ProviderSimulator, connect: Connect, model: str, body: object, installed: bool
) -> None:
    simulator.script(OLLAMA.look_up, [Raw(body=json.dumps(body).encode(), content_type="application/json")])
    probe = await connect(OLLAMA, model=model).probe()
    assert (probe.reachable, probe.detail) == (
        installed,
        "" if installed else f"config: the model {model} is not installed",
    )


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        (Raw(body=b'{"models":[{"name":"simulated:latest"}]}', content_type="application/json"), ""),
        (
            Raw(body=b'{"models":[{"name":"qwen3:8b"}]}', content_type="application/json"),
            "the model is not loaded: the first answer takes longer",
        ),
        # A server from before it could tell.
        (Status(404), ""),
    ],
    ids=repr,
)
async def test_ollama_tells_whether_the_model_is_loaded_already(
    simulator: ProviderSimulator, connect: Connect, behaviour: Behaviour, detail: str
) -> None:
    simulator.script("/ollama/api/ps", [behaviour])
    probe = await connect(OLLAMA, model="simulated").probe()
    assert (probe.reachable, probe.detail, probe.failure) == (True, detail, None)


COLD = Clocks(headers=0.1, first_content=0.1, cold_start=20)


async def test_a_model_that_is_loaded_first_gets_the_time_for_it(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    simulator.script("m", [Answer(headers_after_s=0.4)] * 2)
    assert (await ask(connect(OLLAMA, clocks=COLD)))[1].text == f"You said: {ASKED}"
    assert (await failed(connect(GEMINI, clocks=COLD))).failure is FailureClass.TIMEOUT


async def test_to_load_a_model_takes_no_longer_than_the_whole_attempt_may(
    simulator: ProviderSimulator, connect: Connect
) -> None:
    simulator.script("m", [BlackHole()])
    assert (await failed(connect(OLLAMA, clocks=replace(COLD, total=0.1)))).failure is FailureClass.TIMEOUT


# --- what is used and what is left ------------------------------------------------------------------------------------

# What is sent has 36 letters.
ASKING = 9


@pytest.mark.parametrize(
    ("wire", "body", "usage"),
    [
        (ANTHROPIC, anthropic_streams.BEGIN, Usage(input_uncached=12, source="reported")),
        (
            ANTHROPIC,
            anthropic_streams.BEGIN + anthropic_streams.say("x" * 40),
            Usage(input_uncached=12, output_visible=10, source="estimated"),
        ),
        (
            ANTHROPIC,
            anthropic_streams.BEGIN
            + anthropic_streams.delta("thinking", thinking="x" * 39)
            + anthropic_streams.say("x"),
            Usage(input_uncached=12, output_visible=10, source="estimated"),
        ),
        (
            ANTHROPIC,
            anthropic_streams.PLAIN.removesuffix(anthropic_streams.MESSAGE_STOP),
            anthropic_streams.REPORTED,
        ),
        (ANTHROPIC, anthropic_streams.BEGIN + anthropic_streams.STOP, anthropic_streams.REPORTED),
        (GEMINI, gemini_streams.say("x" * 400, usageMetadata=gemini_streams.COUNTS), gemini_streams.REPORTED),
        (
            GEMINI,
            gemini_streams.say("x", usageMetadata=gemini_streams.COUNTS) + gemini_streams.event(gemini_streams.ERROR),
            gemini_streams.REPORTED,
        ),
        (
            GEMINI,
            gemini_streams.response({"text": "x" * 39, "thought": True}) + gemini_streams.say("x"),
            Usage(input_uncached=ASKING, output_visible=10, source="estimated"),
        ),
        (
            OLLAMA,
            ollama_streams.say("x" * 37),
            Usage(input_uncached=ASKING, output_visible=10, source="estimated"),
        ),
        (OLLAMA, ollama_streams.end(prompt_eval_count=12, eval_count=5), ollama_streams.REPORTED),
        (ANTHROPIC, b"", None),
        (GEMINI, b"", None),
        (OLLAMA, b"", None),
    ],
    ids=str,
)
async def test_an_answer_that_comes_to_nothing_tells_what_it_has_used(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, body: bytes, usage: Usage | None
) -> None:
    simulator.script("m", [Raw(body=body, content_type=wire.media_type)])
    assert (await failed(connect(wire))).usage == usage


@every_wire
async def test_what_was_heard_before_the_silence_has_been_used(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    simulator.script("m", [Stall(after=2)])
    used = (await failed(connect(wire, clocks=SOON))).usage
    assert used is not None
    # "You said: " in letters by four.
    assert (used.output_visible, used.source) == (3, "estimated")
    assert used.input_uncached > 0


@every_wire
@pytest.mark.parametrize("behaviour", [Status(401), Status(429), BlackHole(), Reset()], ids=repr)
async def test_what_ends_before_it_begins_has_used_nothing_that_is_known(
    simulator: ProviderSimulator, connect: Connect, wire: Wire, behaviour: Behaviour
) -> None:
    simulator.script("m", [behaviour])
    raised = await failed(connect(wire, clocks=SOON))
    assert (raised.usage, raised.charged_usd) == (None, None)


LEFT = {
    "anthropic-ratelimit-tokens-limit": "1000",
    "anthropic-ratelimit-tokens-remaining": "250",
    "anthropic-ratelimit-tokens-reset": "2999-03-14T12:00:00Z",
}


@every_wire
async def test_what_is_left_of_a_providers_limits_comes_with_the_answer_and_with_the_failure(
    simulator: ProviderSimulator, connect: Connect, wire: Wire
) -> None:
    simulator.script("m", [Answer(headers=LEFT), Status(429, headers=LEFT), Answer(text="", headers=LEFT), Answer()])
    completer = connect(wire)
    outcomes: list[Completion | ProviderFailure] = [(await ask(completer))[1]]
    outcomes += [await failed(completer), await failed(completer)]
    assert [outcome.limits and outcome.limits.remaining for outcome in outcomes] == [0.25] * 3
    assert (await ask(completer))[1].limits is None
