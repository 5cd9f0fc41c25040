"""As much of HTTP/1.1 as the simulators need, in bytes, so that every way to break it is at hand."""

import json
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from typing import Any

LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names are in lower case, and the path is without its query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Parse the body; empty where it is no JSON object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


async def read_request(reader: StreamReader) -> Request | None:
    """Read the next request of a connection; None where there is none, or none that can be read."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (IncompleteReadError, LimitOverrunError, ValueError):
        return None
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Write the beginning of a response, up to its body."""
    lines = [
        f"HTTP/1.1 {status} {responses.get(status, 'Simulated')}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Write a piece of a body in chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(status: int, value: object, headers: Mapping[str, str] | None = None) -> bytes:
    """Write a whole response with a JSON body."""
    body = json.dumps(value, default=str).encode()
    described = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    return head(status, described) + body
