"""The outermost layer of the API: bounded bodies, one log line a request, and an answer even to what nobody foresaw."""

import re
import time
import traceback
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tertulia.api.problems import problem, response

# Calls whose body is a file.
_FILES = re.compile(r"/v1/(?:candidates|sessions)/[^/]+/resume")

log = structlog.get_logger("tertulia.api")


class Edge:
    """ASGI middleware. Logs no text, no address and no id: the route's pattern instead of the path."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_file_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_file_bytes = max_file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most_bytes = self._max_file_bytes if _FILES.fullmatch(scope["path"]) else self._max_body_bytes
        exchange = _Exchange(receive, send, most_bytes, _declared_bytes(scope))
        started = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 the process's edge: whatever was not foreseen ends here
            _report(error, scope)
            if not exchange.status:
                await response(problem("unexpected"))(scope, exchange.receive, exchange.send)
        finally:
            log.info(
                "request",
                method=scope["method"],
                route=_route(scope),
                status=exchange.status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
            )


class _Exchange:
    """One request and its response, watched."""

    def __init__(self, receive: Receive, send: Send, max_body_bytes: int, declared_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._left = max_body_bytes
        self._too_large = declared_bytes > max_body_bytes
        self.status = 0

    async def receive(self) -> Message:
        if self._too_large:
            raise HTTPException(413)
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._too_large = True
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


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
