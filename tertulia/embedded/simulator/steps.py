"""A behaviour, spelled out as what the server does step by step. The same for every wire."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from itertools import islice, repeat
from typing import assert_never

from tertulia.domain.providers.completions import CompletionRequest, Usage
from tertulia.embedded import http
from tertulia.embedded.simulator.behaviours import (
    Answer,
    Behaviour,
    BlackHole,
    CutStream,
    ErrorBody,
    ErrorEvent,
    Garbage,
    MalformedChunks,
    Raw,
    Reset,
    Stall,
    Status,
)
from tertulia.embedded.simulator.wire import Wire

_PIECE = re.compile(r"\s*\S+\s*")
_NO_HTTP = bytes(range(0x80, 0x100)) * 4 + b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes, and bill tokens for them."""

    data: bytes
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a time; None means until the client has gone."""

    seconds: float | None


class Ending(Enum):
    """What becomes of the connection; without one it serves the next request."""

    CLOSE = auto()
    RESET = auto()


Step = Send | Wait | Ending

_AFTERWARDS: Mapping[str, tuple[Step, ...]] = {
    "keep": (Send(http.LAST_CHUNK),),
    "close": (Ending.CLOSE,),
    "reset": (Ending.RESET,),
    "hang": (Wait(None),),
}
_CUTS: Mapping[str, Step] = {"close": Ending.CLOSE, "reset": Ending.RESET, "end": Send(http.LAST_CHUNK)}


def steps(behaviour: Behaviour, wire: Wire, text: str) -> Iterator[Step]:
    """Spell out what to do with one request.

    Args:
        text: What to say where the behaviour doesn't.
    """
    match behaviour:
        case Answer():
            yield from _answer(behaviour, wire, text)
        case Status():
            yield from _pause(behaviour.after_s)
            yield _refusal(behaviour, wire)
        case CutStream():
            yield from _begin(wire, _said(behaviour, text), behaviour.after)
            yield _CUTS[behaviour.how]
        case Stall():
            yield from _begin(wire, _said(behaviour, text), behaviour.after)
            yield from _silence(behaviour, wire)
        case MalformedChunks():
            yield from _malformed(behaviour, wire, text)
        case ErrorEvent() if wire.streams:
            yield from _begin(wire, _said(behaviour, text), behaviour.after)
            yield Send(http.chunk(wire.error_event(behaviour.code, behaviour.message)) + http.LAST_CHUNK)
        case ErrorBody() | ErrorEvent():
            yield Send(http.whole(200, wire.envelope(wire.error(behaviour.code, behaviour.message))))
        case Raw():
            yield from _raw(behaviour)
        case Garbage():
            yield from (Send(_NO_HTTP), Ending.CLOSE)
        case BlackHole():
            yield from (Wait(None), Ending.CLOSE)
        case Reset():
            yield Ending.RESET
        case _:
            assert_never(behaviour)


def _answer(behaviour: Answer, wire: Wire, text: str) -> Iterator[Step]:
    said = _said(behaviour, text)
    usage = _usage(wire.asked, said, behaviour.cached_tokens) if behaviour.usage else None
    yield from _pause(behaviour.headers_after_s)
    yield _head(wire, behaviour.headers)
    yield from _body(wire.opening(usage))
    yield from repeat(Send(http.chunk(wire.comment())), behaviour.comments)
    yield from _pause(behaviour.first_token_after_s)
    for part in _parts(wire, said, behaviour.finish, usage):
        yield Send(http.chunk(part), output_tokens=1)
        yield from _pause(behaviour.gap_s)
    if wire.streams:
        yield Send(http.chunk(wire.finish(behaviour.finish, usage)))
        yield from _pause(behaviour.usage_after_s)
        yield from _body(wire.trailer(usage, done=behaviour.done))
    yield from _AFTERWARDS[behaviour.then]


def _pause(seconds: float) -> Iterator[Step]:
    if seconds:
        yield Wait(seconds)


def _body(data: bytes) -> Iterator[Step]:
    # An empty chunk would end the body.
    if data:
        yield Send(http.chunk(data))


def _begin(wire: Wire, text: str, pieces: int) -> Iterator[Step]:
    yield _head(wire)
    # What is counted ahead of the answer is the prompt alone.
    yield from _body(wire.opening(_usage(wire.asked, "", 0)))
    yield from (Send(http.chunk(part), output_tokens=1) for part in islice(_parts(wire, text), pieces))


def _silence(behaviour: Stall, wire: Wire) -> Iterator[Step]:
    while behaviour.comments_every_s is not None:
        yield Wait(behaviour.comments_every_s)
        yield Send(http.chunk(wire.comment()))
    yield from (Wait(None), Ending.CLOSE)


def _malformed(behaviour: MalformedChunks, wire: Wire, text: str) -> Iterator[Step]:
    parts = _parts(wire, _said(behaviour, text))
    yield _head(wire)
    yield from _body(wire.opening(None))
    yield from (Send(http.chunk(part), output_tokens=1) for part in parts[: behaviour.after])
    yield from repeat(Send(http.chunk(wire.malformed())), behaviour.count)
    yield from (Send(http.chunk(part), output_tokens=1) for part in parts[behaviour.after :])
    if wire.streams:
        yield Send(http.chunk(wire.finish("stop", None) + wire.trailer(None, done=True)))
    yield Send(http.LAST_CHUNK)


def _raw(behaviour: Raw) -> Iterator[Step]:
    yield Send(http.head(200, {"content-type": behaviour.content_type, "transfer-encoding": "chunked"}))
    yield from _body(behaviour.body)
    yield from _pause(behaviour.pause_s)
    yield from _body(behaviour.rest)
    yield Send(http.LAST_CHUNK)


def _said(behaviour: Answer | CutStream | Stall | MalformedChunks | ErrorEvent, text: str) -> str:
    return text if behaviour.text is None else behaviour.text


def _head(wire: Wire, more: Mapping[str, str] | None = None) -> Send:
    kind = wire.media_type if wire.streams else "application/json"
    headers = {"content-type": kind, "transfer-encoding": "chunked", **(more or {})}
    return Send(http.head(200, headers), input_tokens=_prompt_tokens(wire.asked))


def _parts(wire: Wire, text: str, finish: str = "stop", usage: Usage | None = None) -> list[bytes]:
    """Cut the answer into as many parts as it has words, whether it is streamed or not."""
    words = _PIECE.findall(text)
    if wire.streams:
        return [wire.piece(word) for word in words]
    body = json.dumps(wire.whole(text, finish, usage)).encode()
    size = math.ceil(len(body) / max(1, len(words)))
    return [body[start : start + size] for start in range(0, len(body), size)]


def _prompt_tokens(asked: CompletionRequest) -> int:
    return sum(_count_tokens(message.text) for message in asked.messages)


def _count_tokens(text: str) -> int:
    return len(_PIECE.findall(text))


def _usage(asked: CompletionRequest, said: str, cached: int) -> Usage:
    prompt = _prompt_tokens(asked)
    return Usage(
        input_uncached=max(0, prompt - cached),
        input_cached=min(prompt, cached),
        output_visible=_count_tokens(said),
        source="reported",
    )


def _refusal(behaviour: Status, wire: Wire) -> Send:
    usual = wire.error(behaviour.code, behaviour.message, behaviour.quota)
    error = usual if behaviour.error is None else behaviour.error
    quota = wire.quota_headers(behaviour.quota) if behaviour.quota else {}
    return Send(http.whole(behaviour.code, wire.envelope(error), {**quota, **_headers(behaviour)}))


def _headers(behaviour: Status) -> Mapping[str, str]:
    headers = dict(behaviour.headers)
    if behaviour.retry_after_s is not None:
        headers["retry-after"] = f"{behaviour.retry_after_s:g}"
    if behaviour.retry_after_ms is not None:
        headers["retry-after-ms"] = f"{behaviour.retry_after_ms:g}"
    if behaviour.retry_at_s is not None:
        at = datetime.now(UTC) + timedelta(seconds=behaviour.retry_at_s)
        headers["retry-after"] = format_datetime(at, usegmt=True)
    return headers
