"""One HTTP call to a messenger: it gives a parsed answer or a file, or it raises a ChannelFailure."""

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

import httpx
from pydantic import Field

from tertulia.domain.errors import ChannelFailure, ChannelProblem

# A time as platforms tell it, since 1970; before the year 9999.
Seconds = Annotated[int, Field(ge=0, lt=2**37)]

# Below the time limit of the activities, which so learn what is wrong.
_TIMEOUT = httpx.Timeout(20, connect=5)
_MAX_ANSWER_BYTES = 256 * 1024
_LONGEST_WAIT = timedelta(hours=1)
_DETAIL_CHARS = 160


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. The URL and the headers may hold keys, and are never shown.

    Attributes:
        sends: Whether it makes the platform send something, so that a missing answer leaves open whether it did.
    """

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    sends: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer; `body` is empty where it is no JSON object."""

    status: int
    headers: httpx.Headers
    body: Mapping[str, Any]


async def ask(http: httpx.AsyncClient, call: Call) -> Answer:
    """Make a call.

    Raises:
        ChannelFailure: There is no answer. What a refusal means is for the caller to say.
    """
    try:
        async with http.stream(
            call.method, call.url, headers=dict(call.headers), json=call.body, timeout=_TIMEOUT, follow_redirects=False
        ) as response:
            return Answer(response.status_code, response.headers, _parsed(await _read(response, _MAX_ANSWER_BYTES)))
    except httpx.HTTPError as error:
        raise _failure(error, sends=call.sends) from None


async def download(http: httpx.AsyncClient, call: Call, most_bytes: int) -> bytes:
    """Fetch a file.

    Raises:
        ChannelFailure: It can't be had, or has more than `most_bytes`.
    """
    try:
        async with http.stream(
            call.method, call.url, headers=dict(call.headers), timeout=_TIMEOUT, follow_redirects=False
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise of_status(response.status_code, f"the file was refused with {response.status_code}")
            content = await _read(response, most_bytes + 1)
    except httpx.HTTPError as error:
        raise _failure(error, sends=False) from None
    if len(content) > most_bytes:
        raise ChannelFailure(ChannelProblem.UNUSABLE, f"larger than {most_bytes // 1024} KiB")
    return content


def of_status(status: int, detail: str, retry_after: timedelta | None = None) -> ChannelFailure:
    """Say what an HTTP status means where nothing more is told."""
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return ChannelFailure(ChannelProblem.RATE_LIMIT, detail, retry_after=retry_after)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ChannelFailure(ChannelProblem.SERVER, detail, retry_after=retry_after)
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return ChannelFailure(ChannelProblem.ACCOUNT, detail)
    return ChannelFailure(ChannelProblem.REFUSED, detail)


def seconds(value: object) -> timedelta | None:
    """Read how long to wait from a number of seconds, at most an hour; None where it is none."""
    try:
        wait = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(wait) or wait < 0:
        return None
    return min(timedelta(seconds=min(wait, _LONGEST_WAIT.total_seconds())), _LONGEST_WAIT)


def same(given: str, expected: str) -> bool:
    """Compare secrets in a time that does not depend on where they differ."""
    return secrets.compare_digest(given.encode(errors="replace"), expected.encode())


def shortened(detail: str, *hidden: str) -> str:
    """Cut a platform's words for logs and records, without what may not stand there."""
    for secret in filter(None, hidden):
        detail = detail.replace(secret, "…")
    return " ".join(detail.split())[:_DETAIL_CHARS]


def _failure(error: httpx.HTTPError, *, sends: bool) -> ChannelFailure:
    """From the kind of error only: its words may quote a URL, and with it a key."""
    before_sending = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    problem = ChannelProblem.UNCONFIRMED if sends and not before_sending else ChannelProblem.UNREACHABLE
    return ChannelFailure(problem, type(error).__name__)


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) >= most_bytes:
            break
    return bytes(content[:most_bytes])


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
