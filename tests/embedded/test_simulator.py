"""The provider simulator, by the bytes that it sends and the log that it keeps."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

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

BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Good morning"}]}


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture
async def http(simulator: ProviderSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url) as client:
        yield client


async def ask(http: httpx.AsyncClient, path: str = "/v1/chat/completions", **changes: object) -> httpx.Response:
    return await http.post(path, json={**BODY, **changes}, headers={"authorization": "Bearer sk-secret"})


async def test_an_answer_is_streamed_as_the_wire_has_it(http: httpx.AsyncClient) -> None:
    response = await ask(http)
    assert response.headers["content-type"] == "text/event-stream"
    *events, done, rest = response.text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
    assert said == ["You ", "said: ", "Good ", "morning", None]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 6
    assert (done, rest) == ("data: [DONE]", "")


async def test_an_answer_comes_whole_where_no_stream_is_asked_for(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, stream=False)).json()
    assert answer["choices"][0]["message"]["content"] == "You said: Good morning"
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_groq_and_openrouter_are_told_by_the_path(http: httpx.AsyncClient) -> None:
    assert '"x_groq"' in (await ask(http, "/groq/v1/chat/completions")).text
    assert '"cost"' in (await ask(http, "/openrouter/api/v1/chat/completions")).text


SAID = [{"role": "user", "content": "Good morning"}]
GEMINI = "/gemini/models/m:generateContent"
GEMINI_BODY = {"contents": [{"role": "user", "parts": [{"text": "Good morning"}]}]}


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        (GEMINI, GEMINI_BODY, ("candidates", 0, "content", "parts", 0, "text")),
        ("/v1/messages", {"model": "m", "messages": SAID}, ("content", 0, "text")),
        ("/api/chat", {"model": "m", "messages": SAID, "stream": False}, ("message", "content")),
    ],
)
async def test_the_path_tells_the_wire(
    simulator: ProviderSimulator, http: httpx.AsyncClient, path: str, body: object, place: Sequence[str | int]
) -> None:
    answer = (await http.post(path, json=body)).json()
    for step in place:
        answer = answer[step]
    assert answer == "You said: Good morning"
    assert (simulator.log[0].model, simulator.log[0].input_tokens) == ("m", 2)


async def test_an_answer_of_ollama_is_a_line_a_piece(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/chat", json={"model": "m", "messages": SAID})
    assert response.headers["content-type"] == "application/x-ndjson"
    *lines, last = [json.loads(line) for line in response.text.splitlines()]
    assert [line["message"]["content"] for line in lines] == ["You ", "said: ", "Good ", "morning"]
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 4)


async def test_an_answer_of_anthropic_is_told_event_by_event(http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/messages", json={"model": "m", "messages": SAID, "stream": True})
    names = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    begun = ["message_start", "content_block_start"]
    assert names == [*begun, *["content_block_delta"] * 4, "content_block_stop", "message_delta", "message_stop"]


async def test_an_answer_of_gemini_ends_without_a_sentinel(http: httpx.AsyncClient) -> None:
    response = await http.post(GEMINI.replace("generate", "streamGenerate"), json=GEMINI_BODY)
    *_, last = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert last["candidates"] == [{"finishReason": "STOP", "index": 0}]
    assert last["usageMetadata"]["totalTokenCount"] == 6


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/chat/completions", {"error": {"message": "x", "type": "simulated", "code": 404}}),
        (GEMINI, {"error": {"code": 404, "message": "x", "status": "NOT_FOUND"}}),
        (
            "/v1/messages",
            {"type": "error", "error": {"type": "not_found_error", "message": "x"}, "request_id": "req_simulated_1"},
        ),
        ("/api/chat", {"error": "x"}),
    ],
)
async def test_a_refusal_is_worded_as_the_wire_has_it(
    simulator: ProviderSimulator, http: httpx.AsyncClient, path: str, error: object
) -> None:
    simulator.always("m", Status(404, message="x"))
    assert (await http.post(path, json={"model": "m"})).json() == error


async def test_a_quota_is_told_where_the_wire_has_its_place(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    simulator.always("m", Status(429, quota=Quota(period="day", wait_s=26.5)))
    openai, gemini, anthropic, ollama = [
        await http.post(path, json={"model": "m"})
        for path in ("/v1/chat/completions", GEMINI, "/v1/messages", "/api/chat")
    ]
    assert openai.headers["retry-after"] == "26.5"
    violated, delay = gemini.json()["error"]["details"]
    assert "PerDay" in violated["violations"][0]["quotaId"]
    assert delay["retryDelay"] == "26.5s"
    assert anthropic.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert not {"retry-after"} & (gemini.headers.keys() | ollama.headers.keys())


async def test_free_calls_are_told_by_their_headers(http: httpx.AsyncClient) -> None:
    gemini = await http.get("/models/m", headers={"x-goog-api-key": "k"})
    anthropic = await http.get("/v1/models/m", headers={"anthropic-version": "2023-06-01"})
    ollama = await http.get("/api/tags")
    assert gemini.json()["name"] == "models/m"
    assert anthropic.json()["id"] == "m"
    assert ollama.json()["models"][0]["name"] == "simulated:latest"


async def test_a_schema_is_answered_with_json_that_fits(http: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"value": {"type": ["number", "null"]}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    said = [{"role": "user", "content": "It was 7"}]
    answer = (await ask(http, stream=False, response_format=wanted, messages=said)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"value": 7}


async def test_a_script_is_played_once_and_by_model(simulator: ProviderSimulator, http: httpx.AsyncClient) -> None:
    simulator.script("m", [Status(500), Answer(text="second")])
    assert (await ask(http, model="other")).status_code == 200
    assert (await ask(http)).status_code == 500
    assert "second" in (await ask(http)).text
    assert "morning" in (await ask(http)).text


async def test_a_script_can_look_at_the_request(simulator: ProviderSimulator, http: httpx.AsyncClient) -> None:
    simulator.script("m", [lambda asked: Answer(text=asked.messages[0].text.upper())])
    assert "GOOD" in (await ask(http)).text


async def test_what_is_always_so_stays_until_it_is_reset(simulator: ProviderSimulator, http: httpx.AsyncClient) -> None:
    simulator.always("m", Status(503))
    assert [(await ask(http)).status_code for _ in range(3)] == [503] * 3
    simulator.reset()
    assert (await ask(http)).status_code == 200
    assert len(simulator.log) == 1


async def test_a_refusal_can_take_its_time(simulator: ProviderSimulator, http: httpx.AsyncClient) -> None:
    simulator.script("m", [Status(503, after_s=0.1), Status(503, after_s=60)])
    assert (await ask(http)).status_code == 503
    asking = asyncio.create_task(ask(http))
    await asyncio.wait({asking}, timeout=0.3)
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_simulator_can_have_a_nature_of_its_own() -> None:
    async with ProviderSimulator(default=Status(418)) as simulator, httpx.AsyncClient(base_url=simulator.url) as http:
        assert (await ask(http)).status_code == 418


async def test_the_log_tells_who_asked_what_and_what_was_billed(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    simulator.script("m", [Status(429), CutStream(after=3)])
    await ask(http)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(http)
    await ask(http)
    refused, cut, answered = simulator.log
    assert [exchange.did for exchange in simulator.log] == ["status", "cut_stream", "answer"]
    assert (refused.input_tokens, refused.output_tokens) == (0, 0)
    assert (cut.input_tokens, cut.output_tokens) == (2, 3)
    assert (answered.input_tokens, answered.output_tokens) == (2, 4)
    assert (answered.model, answered.path, answered.outcome) == ("m", "/v1/chat/completions", "served")
    assert answered.body["messages"] == BODY["messages"]
    assert answered.key == refused.key is not None
    assert "sk-secret" not in str(simulator.log)
    assert refused.connection == cut.connection != answered.connection


async def test_a_client_that_leaves_is_noticed(simulator: ProviderSimulator, http: httpx.AsyncClient) -> None:
    simulator.script("m", [BlackHole(), Stall(after=2), Answer(gap_s=60)])
    for number in range(3):
        asking = asyncio.create_task(ask(http))
        await simulator.asked(number + 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await simulator.quiet()
    assert [exchange.outcome for exchange in simulator.log] == ["abandoned"] * 3


async def test_it_stops_though_somebody_waits_for_an_answer() -> None:
    async with httpx.AsyncClient() as http:
        async with ProviderSimulator(default=BlackHole()) as simulator:
            asking = asyncio.create_task(http.post(f"{simulator.url}/v1/chat/completions", json=BODY))
            await simulator.asked()
        with pytest.raises(httpx.HTTPError):
            await asking


async def test_free_calls_are_answered_and_can_be_scripted(
    simulator: ProviderSimulator, http: httpx.AsyncClient
) -> None:
    simulator.script("/alpha/models", [Status(401)])
    assert (await http.get("/alpha/models")).status_code == 401
    assert (await http.get("/alpha/models")).json()["object"] == "list"
    assert "limit_remaining" in (await http.get("/beta/key")).json()["data"]
    assert (await http.post("/v1/embeddings", json={})).status_code == 404


@pytest.mark.parametrize(
    "behaviour",
    [
        Answer(text="x", comments=3, then="hang"),
        Status(429, retry_after_s=2, headers={"x": "y"}, quota=Quota(wait_s=2)),
        CutStream(after=1, how="reset"),
        Stall(comments_every_s=0.5),
        MalformedChunks(count=2),
        ErrorEvent(code="x"),
        ErrorBody(),
        Reset(),
        BlackHole(),
        Garbage(),
        Raw(body=b"data: x"),
    ],
    ids=lambda behaviour: behaviour.kind,
)
async def test_every_behaviour_can_be_asked_for_from_outside(
    simulator: ProviderSimulator, http: httpx.AsyncClient, behaviour: Behaviour
) -> None:
    script = {"target": "m", "behaviours": [behaviour.model_dump(mode="json")]}
    assert (await http.post("/_simulator/script", json=script)).status_code == 200
    asking = asyncio.create_task(ask(http))
    await simulator.asked()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert simulator.log[0].did == behaviour.kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"target": "m", "behaviours": [{"kind": "dance"}]}',
        b'{"target": "m", "always": {"kind": "status"}}',
    ],
)
async def test_a_script_that_makes_no_sense_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    assert (await http.post("/_simulator/script", content=body)).status_code == 422
    assert (await http.get("/_simulator/tricks")).status_code == 404
    assert (await ask(http)).status_code == 200


@asynccontextmanager
async def separate_process() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tertulia.embedded.simulator",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().rpartition(" ")[2].strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_runs_as_a_process_of_its_own() -> None:
    async with separate_process() as (process, url), httpx.AsyncClient(base_url=url) as http:
        always = {"target": "m", "always": {"kind": "status", "code": 503}}
        await http.post("/_simulator/script", json=always)
        assert (await ask(http)).status_code == 503
        logged = (await http.get("/_simulator/log")).json()["exchanges"]
        assert [(exchange["did"], exchange["model"]) for exchange in logged] == [("status", "m")]
        await http.post("/_simulator/reset")
        assert (await ask(http)).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
