import asyncio
import inspect
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from starter.http_server import listen, serve_app
from tertulia.domain.errors import CannotStart
from tests.api.conftest import World


async def test_a_taken_port_is_told_before_anything_starts() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CannotStart, match=f"127.0.0.1:{port}: Address already in use; choose another with --port"):
            listen("127.0.0.1", port)


async def test_answers_on_a_kept_connection_are_not_delayed() -> None:
    accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda _, writer: accepted.set_result(writer.get_extra_info("socket")), sock=listen("127.0.0.1", 0)
    )
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        delay_is_off = (await accepted).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()

    assert delay_is_off


async def test_no_request_goes_through_a_thread(world: World) -> None:
    routes = [route for route in iter_route_contexts(world.app.routes) if getattr(route, "dependant", None)]
    calls = [call for route in routes for call in _calls(route.dependant)]

    assert calls
    assert [call for call in calls if not _is_async(call)] == []


def _is_async(call: object) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from _calls(dependency)


async def test_a_stop_lets_the_request_under_way_end(world: World) -> None:
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ready = asyncio.Event()
    server = asyncio.create_task(serve_app(world.app, listener, ready=ready))
    await ready.wait()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as api:
        await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "ada", "session_id": "s-1"})
        world.sessions.ending.clear()
        sending = asyncio.create_task(api.post("/v1/sessions/s-1/messages", json={"text": "hello"}))
        await world.sessions.took.wait()

        server.cancel()
        await _until_nothing_listens(url)
        world.sessions.ending.set()

        assert (await sending).json()["reply"] == "You said: hello"
    with pytest.raises(asyncio.CancelledError):
        await server


async def _until_nothing_listens(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as knocking:
        with suppress(httpx.TransportError):
            while True:
                await knocking.get(f"{url}/healthz")
