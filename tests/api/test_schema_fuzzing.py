"""Every route, called with whatever its description allows and forbids: no error of ours, no answer not described."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from starter.http_server import listen, serve_app
from tertulia.domain.access import HOUSE, Scope
from tests.api.fuzzing import call_every_route
from tests.api.whole import whole_api


class _Served:
    """The whole API on a thread and an event loop of its own: what calls it here is synchronous."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = self.key = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._serving = self._loop.create_task(self._serve())
        self._loop.run_until_complete(asyncio.gather(self._serving, return_exceptions=True))

    async def _serve(self) -> None:
        async with whole_api(self._database) as api:
            listener = listen("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.key = api.keys[HOUSE, Scope.ADMIN]
            ready = asyncio.Event()
            serving = asyncio.create_task(serve_app(api.app, listener, ready=ready))
            try:
                await ready.wait()
                self._ready.set()
                await serving
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
def served(database: str) -> Iterator[_Served]:
    server = _Served(database)
    server.start()
    yield server
    server.stop()


def _call(served: _Served, cases: int, *, always_the_same: bool) -> int:
    headers = {"Authorization": f"Bearer {served.key}"}
    return call_every_route(served.url, cases, headers=headers, always_the_same=always_the_same)


def test_no_call_of_any_route_brings_an_error_of_ours_or_an_answer_that_is_not_described(served: _Served) -> None:
    assert _call(served, 4, always_the_same=True) > 150


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_thousands_of_calls_of_every_route_bring_no_error_of_ours(served: _Served) -> None:
    assert _call(served, 150, always_the_same=False) > 5_000
