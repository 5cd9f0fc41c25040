"""The simulator's server: connections, and who answers what."""

import asyncio
import hashlib
import json
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from tertulia.domain.providers.completions import CompletionRequest
from tertulia.embedded import http
from tertulia.embedded.http import Request
from tertulia.embedded.loopback import Connection, Loopback
from tertulia.embedded.simulator.anthropic import Messages
from tertulia.embedded.simulator.behaviours import Answer, Behaviour
from tertulia.embedded.simulator.gemini import GenerateContent
from tertulia.embedded.simulator.ollama import ChatLines
from tertulia.embedded.simulator.openai import ChatCompletions
from tertulia.embedded.simulator.scripts import Exchange, Scripted, Scripts
from tertulia.embedded.simulator.steps import Ending, Send, Step, Wait, steps
from tertulia.embedded.simulator.wire import Wire
from tertulia.providers.reading import read

# The oldest exchanges give way, so that a benchmark can run for hours.
MAX_LOG = 50_000

_WIRES: dict[str, Callable[[Request, int], Wire]] = {
    "/chat/completions": ChatCompletions,
    "/v1/messages": Messages,
    "/api/chat": ChatLines,
    ":generateContent": GenerateContent,
    ":streamGenerateContent": GenerateContent,
}
_NOTHING_ASKED = CompletionRequest(messages=())
_CONTROL = "/_simulator/"
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
_PACKET = 64 * 2**10


class Script(BaseModel):
    """Body of `POST /_simulator/script`: see `ProviderSimulator.script` and `always`."""

    target: str
    behaviours: list[Behaviour] = []
    always: Behaviour | None = None


def echo(request: CompletionRequest) -> str:
    """Answer without a script: JSON that fits the schema, or what the person said."""
    said = next((message.text for message in reversed(request.messages) if message.role == "user"), "nothing")
    return f"You said: {said}" if request.json_schema is None else json.dumps(read(request.json_schema, said))


class ProviderSimulator:
    """A provider on 127.0.0.1, serving at `url` inside `async with`.

    The calls of the wires are found under any prefix, so that one simulator can play several providers (`{url}/alpha`).
    From another process it is driven by `POST /_simulator/script`, `GET /_simulator/log` and `POST /_simulator/reset`.

    Args:
        port: 0 for a free one.
        default: What to do with requests that no script covers.

    Attributes:
        log: What was asked, oldest first.
    """

    def __init__(self, *, port: int = 0, default: Scripted = Answer()) -> None:  # noqa: B008 (it is frozen)
        self.log: deque[Exchange] = deque(maxlen=MAX_LOG)
        self._server = Loopback(self._serve, port=port)
        self._scripts = Scripts(default)
        self._exchanges = 0
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it serves, without a slash at the end."""
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, traceback)

    def script(self, target: str, behaviours: Iterable[Scripted]) -> None:
        """Say what to do with the next requests to a target, one behaviour each; a function makes it from the request.

        Args:
            target: A model's name; or a path (`/alpha/models`), for calls that name no model.
        """
        self._scripts.extend(target, behaviours)

    def always(self, target: str, behaviour: Scripted) -> None:
        """Say what to do with requests to a target that no script covers."""
        self._scripts.always(target, behaviour)

    def reset(self) -> None:
        """Forget scripts and log."""
        self._scripts.clear()
        self.log.clear()

    async def until(self, condition: Callable[[Sequence[Exchange]], bool]) -> None:
        """Wait until the log satisfies a condition."""
        while not condition(self.log):
            await self._news.wait()

    async def asked(self, times: int = 1) -> None:
        """Wait until so many requests have come in."""
        await self.until(lambda log: len(log) >= times)

    async def quiet(self) -> None:
        """Wait until no request is being answered."""
        await self.until(lambda log: all(exchange.outcome != "running" for exchange in log))

    async def _serve(self, request: Request, connection: Connection) -> bool:
        _, reader, writer = connection
        if request.path.startswith(_CONTROL):
            writer.write(self._control(request))
            return True
        exchange = self._note(request, connection.number)
        outcome = "abandoned"
        try:
            going_on = await _perform(self._plan(request, exchange), exchange, reader, writer)
            outcome = "served"
        finally:
            exchange.outcome = outcome
            self._tell()
        return going_on

    def _tell(self) -> None:
        """Wake those who wait for something to happen."""
        self._news.set()
        self._news = asyncio.Event()

    def _note(self, request: Request, connection: int) -> Exchange:
        self._exchanges += 1
        headers = {name: value for name, value in request.headers.items() if name not in _KEY_HEADERS}
        keys = "".join(request.headers.get(name, "").removeprefix("Bearer ") for name in _KEY_HEADERS)
        body = request.json()
        exchange = Exchange(
            number=self._exchanges,
            at=datetime.now(UTC),
            connection=connection,
            method=request.method,
            path=request.path,
            model=str(body.get("model", "")),
            key=_fingerprint(keys),
            headers=headers,
            body=body,
        )
        self.log.append(exchange)
        self._tell()
        return exchange

    def _plan(self, request: Request, exchange: Exchange) -> Iterator[Step]:
        wire = next((wire for path, wire in _WIRES.items() if request.path.endswith(path)), None)
        answer = (wire or _wire_of_look_up(request))(request, exchange.number)
        if wire is not None:
            exchange.model = answer.model
        behaviour = self._scripts.take(exchange.model or request.path, answer.asked)
        exchange.did = behaviour.kind
        if wire is None and isinstance(behaviour, Answer):
            return iter((Wait(behaviour.headers_after_s), Send(_information(answer))))
        return steps(behaviour, answer, echo(answer.asked))

    def _control(self, request: Request) -> bytes:
        match request.method, request.path.removeprefix(_CONTROL):
            case "POST", "script":
                return self._take_script(request.body)
            case "POST", "reset":
                self.reset()
                return http.whole(200, {})
            case "GET", "log":
                return http.whole(200, {"exchanges": [asdict(exchange) for exchange in self.log]})
            case _:
                return http.whole(404, {"error": "there is POST script, POST reset and GET log"})

    def _take_script(self, body: bytes) -> bytes:
        try:
            script = Script.model_validate_json(body)
        except ValidationError as error:
            return http.whole(422, {"error": str(error)})
        if script.always is not None:
            self.always(script.target, script.always)
        self.script(script.target, script.behaviours)
        return http.whole(200, {})


async def _perform(plan: Iterator[Step], exchange: Exchange, reader: StreamReader, writer: StreamWriter) -> bool:
    pending = bytearray()
    for step in plan:
        if isinstance(step, Send):
            pending += step.data
            exchange.input_tokens += step.input_tokens
            exchange.output_tokens += step.output_tokens
            # Nothing is gained by sending what comes without a pause in more than one packet.
            if len(pending) < _PACKET:
                continue
        await _flush(pending, writer)
        if isinstance(step, Wait) and await _gone(reader, step.seconds):
            raise ConnectionResetError
        if step is Ending.RESET:
            _abort(writer)
        if isinstance(step, Ending):
            return False
    await _flush(pending, writer)
    return True


async def _flush(pending: bytearray, writer: StreamWriter) -> None:
    writer.write(bytes(pending))
    pending.clear()
    await writer.drain()


async def _gone(reader: StreamReader, seconds: float | None) -> bool:
    """Wait; return early, and true, when the client leaves."""
    try:
        async with asyncio.timeout(seconds):
            await reader.read(1)
    except TimeoutError:
        return False
    return True


def _abort(writer: StreamWriter) -> None:
    # Without lingering, closing a socket sends RST in place of FIN.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _wire_of_look_up(request: Request) -> Callable[[Request, int], Wire]:
    """Tell from the path and the headers whose free call it is."""
    if request.path.endswith(("/api/tags", "/api/ps")):
        return ChatLines
    if "anthropic-version" in request.headers:
        return Messages
    return GenerateContent if "x-goog-api-key" in request.headers else ChatCompletions


def _information(wire: Wire) -> bytes:
    found = wire.information()
    if found is None:
        return http.whole(404, wire.envelope(wire.error(404, "the simulator has no such call")))
    return http.whole(200, found)


def _fingerprint(key: str) -> str | None:
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else None
