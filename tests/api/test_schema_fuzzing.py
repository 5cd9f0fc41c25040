"""Every route, called with whatever its description allows and forbids: no error of ours, no answer not described."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from starter.http_server import listen, serve_app
from tertulia.domain.access import HOUSE, Scope
from tests.api.whole import whole_api

_ALWAYS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}


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


def _call_every_route(served: _Served, cases: int, *, always_the_same: bool) -> int:
    """Call each operation so many times, and check each answer against the description; return the calls."""
    calls = 0
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    headers = {"Authorization": f"Bearer {served.key}"}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        forbidden = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

        @settings(max_examples=cases, derandomize=always_the_same, **_ALWAYS)
        @given(st.one_of(allowed, forbidden))
        def call(case: Any) -> None:
            nonlocal calls
            calls += 1
            case.call_and_validate(headers=headers, excluded_checks=_excluded(), timeout=60)

        call()
    return calls


def _excluded() -> list[Any]:
    from schemathesis.specs.openapi import checks

    # Whether a thing exists, and what is refused beyond its form, no description tells.
    return [checks.positive_data_acceptance, checks.negative_data_rejection, checks.unsupported_method]


def test_no_call_of_any_route_brings_an_error_of_ours_or_an_answer_that_is_not_described(served: _Served) -> None:
    assert _call_every_route(served, 6, always_the_same=True) > 200


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_thousands_of_calls_of_every_route_bring_no_error_of_ours(served: _Served) -> None:
    assert _call_every_route(served, 150, always_the_same=False) > 5_000
