"""uvicorn inside a running event loop: ready when it says so, stopped by cancelling it, no signal handler touched."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tertulia.domain.errors import CannotStart

# Long enough for the replies under way; a client that is cut off asks again under its message's id.
_GRACE_SECONDS = 5
# What a page may send in one piece: the longest message, with room to spare.
_MOST_BYTES_AT_ONCE = 1024 * 1024


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves signals to whoever runs the event loop."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Bind a TCP address; port 0 takes a free one.

    Raises:
        CannotStart: It is taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of a socket that is named as TCP does asyncio turn off the delays (TCP_NODELAY): 40 ms for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart("the API", f"{host}:{port}: {error.strerror}; choose another with --port") from error
    return listener


async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    *,
    ready: asyncio.Event | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled; requests under way may end first.

    Args:
        listener: A bound socket; closed at the end.
        ready: Set as soon as connections are taken.
        stopping: Called when no more are taken; ends what would not end by itself.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="on",
        # httptools would refuse an unknown method before the application can say what is allowed.
        http="h11",
        ws="websockets-sansio",
        ws_max_size=_MOST_BYTES_AT_ONCE,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, ready or asyncio.Event())
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        stopping()
        await running
