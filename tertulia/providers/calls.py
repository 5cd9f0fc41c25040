"""One HTTP call to a provider: it gives a response with status 200 to read, or it raises a ProviderFailure."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import httpx

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.health import ProbeResult
from tertulia.providers import errors, untrusted

MAX_ERROR_BYTES = 64 * 2**10
MAX_PROBE_BYTES = 8 * 2**20

# For the rest of an error's body, and for a whole probe, seconds.
ERROR_BODY_S = 5.0
PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent.

    Attributes:
        secrets: Texts that no error may quote: the key, and what people wrote.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@asynccontextmanager
async def respond(
    http: httpx.AsyncClient, call: Call, *, connect_s: float, headers_s: float
) -> AsyncIterator[httpx.Response]:
    """Send, and give the response once its headers are there. It is closed on leaving.

    Args:
        connect_s: Longest time for the connection to stand.
        headers_s: Longest time for the headers to come, counted from the start.

    Raises:
        ProviderFailure: There is none, or none with status 200.
    """
    response = await _send(http, call, connect_s, headers_s)
    try:
        await _refuse_failure(response)
        yield response
    finally:
        await response.aclose()


async def probe(
    http: httpx.AsyncClient, call: Call, judge: Callable[[object], str], *, connect_s: float
) -> ProbeResult:
    """Ask for something that costs nothing, and tell what the answer shows. Never raises.

    Args:
        judge: Reads the parsed body; returns what there is to say, and raises ProviderFailure where the provider can't
            be used.
    """
    now = asyncio.get_running_loop().time
    started = now()
    failed: FailureClass | None = None
    try:
        async with asyncio.timeout(PROBE_S), respond(http, call, connect_s=connect_s, headers_s=PROBE_S) as response:
            body = await _read(response, MAX_PROBE_BYTES)
        detail = judge(untrusted.parse(body))
    except TimeoutError:
        failed, detail = FailureClass.TIMEOUT, f"no answer within {PROBE_S:g} s"
    except ProviderFailure as failure:
        shown = errors.presentable(failure, call.secrets)
        failed, detail = shown.failure, f"{shown.failure}: {shown.detail}"
    latency_ms = (now() - started) * 1000
    return ProbeResult(reachable=failed is None, latency_ms=latency_ms, detail=detail, failure=failed)


async def _send(http: httpx.AsyncClient, call: Call, connect_s: float, headers_s: float) -> httpx.Response:
    # Only connecting is left to the client's own clocks: a comment would reset the one for reading.
    limits = httpx.Timeout(None, connect=connect_s)
    try:
        async with asyncio.timeout(headers_s):
            request = http.build_request(
                call.method, call.url, headers=dict(call.headers), content=call.body or None, timeout=limits
            )
            return await http.send(request, stream=True, follow_redirects=False)
    except TimeoutError:
        raise ProviderFailure(FailureClass.TIMEOUT, f"no response within {headers_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # From None: the client's words may quote a header, and with it the key.
        raise errors.from_exception(error, began=False) from None


async def _refuse_failure(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        body = await _error_body(response)
        raise errors.from_response(response.status_code, response.headers, body, datetime.now(UTC))
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind == "text/html":
        raise ProviderFailure(FailureClass.MALFORMED, "a web page came instead of an answer", status=200)


async def _error_body(response: httpx.Response) -> bytes:
    try:
        async with asyncio.timeout(ERROR_BODY_S):
            return await _read(response, MAX_ERROR_BYTES)
    except (TimeoutError, ProviderFailure):
        return b""


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= limit:
                break
    except httpx.HTTPError as error:
        raise errors.from_exception(error, began=True) from None
    return bytes(body[:limit])
