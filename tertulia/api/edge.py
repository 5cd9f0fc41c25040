"""The outermost layer of the API: bounded bodies, one log line a request, and an answer even to what nobody foresaw."""

import asyncio
import re
import time
import traceback
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tertulia.api.metrics import RequestMetrics
from tertulia.api.problems import problem, response
from tertulia.domain.errors import TertuliaError, Unauthenticated

# Calls whose body is a file, or as large as one: a call of WhatsApp's has up to 3 MB.
_FILES = re.compile(r"/v1/(?:(?:candidates|sessions)/[^/]+/resume|webhooks/whatsapp)|/chat/resume")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_HSTS = "max-age=31536000"
# A stream that says nothing ends with its caller's key, too: so often that is asked, seconds.
_ASKED_AGAIN_SECONDS = 2.0

log = structlog.get_logger("tertulia.api")


class Edge:
    """ASGI middleware. Logs no text, no address and no id: the route's pattern instead of the path."""

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics, max_body_bytes: int, max_file_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._max_file_bytes = max_file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _without_token_in_address(scope)
        most_bytes = self._max_file_bytes if _FILES.fullmatch(scope["path"]) else self._max_body_bytes
        exchange = _Exchange(scope, receive, send, most_bytes, self._metrics)
        started = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 the process's edge: whatever was not foreseen ends here
            if not exchange.cut:
                _report(error, scope)
            if not exchange.status:
                await response(problem("unexpected"))(scope, exchange.receive, exchange.send)
        finally:
            await exchange.end_if_cut()
            self._ended(scope, exchange, time.perf_counter() - started)

    def _ended(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        method, route = scope["method"], _route(scope)
        if exchange.is_stream:
            self._metrics.streams.dec()
        self._metrics.ended(method, route, exchange.status, seconds)
        log.info("request", method=method, route=route, status=exchange.status, duration_ms=round(seconds * 1000, 1))


class _Exchange:
    """One request and its response, watched.

    Attributes:
        status: Of the response; 0 until it begins.
        is_stream: Whether it is a stream of events, and so counted as open.
        cut: Whether it was ended because its caller's key has.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int, metrics: RequestMetrics
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = max_body_bytes
        self._too_large = _declared_bytes(scope) > max_body_bytes
        self._is_read = self._is_sent = False
        self._metrics = metrics
        self.status = 0
        self.is_stream = False
        self.cut = False

    async def receive(self) -> Message:
        if self._too_large:
            raise HTTPException(413)
        if self._is_read:
            return await self._going()
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._too_large = True
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers().items():
                headers.setdefault(name, value)
            if headers.get("content-type", "").startswith("text/event-stream"):
                self.is_stream = True
                self._metrics.streams.inc()
        elif message.get("more_body") and not await self._may_go_on():
            self.cut = True
        if self.cut:
            # What a server raises whose client has gone.
            raise OSError("the caller's key has ended")
        self._is_sent = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)

    async def end_if_cut(self) -> None:
        """Let an answer that was cut end as one should."""
        if self.cut and not self._is_sent:
            await self._send({"type": "http.response.body", "body": b""})

    async def _going(self) -> Message:
        """Wait until the caller goes; one whose key has ended is taken for gone."""
        gone = asyncio.ensure_future(self._receive())
        try:
            while not (await asyncio.wait({gone}, timeout=_ASKED_AGAIN_SECONDS))[0]:
                if self.status and not await self._may_go_on():
                    self.cut = True
                    return {"type": "http.disconnect"}
            return gone.result()
        finally:
            gone.cancel()

    def _headers(self) -> dict[str, str]:
        private = {"Cache-Control": "no-store"} if self._scope["path"].startswith("/v1/") else {}
        https = {"Strict-Transport-Security": _HSTS} if self._scope["scheme"] == "https" else {}
        return {**_HEADERS, **private, **https, **self._scope["state"].get("headers", {})}

    async def _may_go_on(self) -> bool:
        """Ask again, before each piece of a long answer and while none comes, whether its caller may still have it."""
        still_allowed = self._scope["state"].get("still_allowed")
        if still_allowed is None:
            return True
        try:
            await still_allowed(datetime.now(UTC))
        except Unauthenticated:
            return False
        except TertuliaError:
            # That can't be found out now; whatever the piece is, it was allowed a moment ago.
            return True
        return True


def _without_token_in_address(scope: Scope) -> Scope:
    """Take a token out of the address, before anybody remembers it or takes it for a parameter of the call."""
    state = dict(scope.get("state") or {})
    if scope["method"] == "GET" and b"access_token=" in scope["query_string"]:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        state["access_token"] = next((value for name, value in query if name == "access_token"), "")
        rest = [(name, value) for name, value in query if name != "access_token"]
        scope = {**scope, "query_string": urlencode(rest).encode("latin-1")}
    return {**scope, "state": state}


def _declared_bytes(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "0")
    return int(declared) if declared.isdecimal() else 0


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return getattr(route, "path", "(none)")


def _report(error: Exception, scope: Scope) -> None:
    # An error's message may quote what a person wrote, so its kind and the places have to do.
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    log.error("unexpected_error", error=type(error).__name__, at=places, route=_route(scope))
