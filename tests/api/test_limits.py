"""Rate limits, headers that protect browsers, pages from elsewhere, and streams whose key ends."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tertulia.api.app import create_app
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.edge import Edge
from tertulia.api.metrics import RequestMetrics
from tertulia.api.rate_limit import RateLimit
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import Scope
from tertulia.domain.errors import RateLimited, Unauthenticated
from tests.api.whole import ACME, OTHER, WholeApi, whole_api
from tests.fakes import InMemoryApiKeys

CHAT = (ACME, Scope.CHAT)
PAGE = "https://jobs.example.org"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def api(database: str) -> AsyncIterator[WholeApi]:
    async with whole_api(database) as api:
        yield api


# --- rate limits ------------------------------------------------------------------------------------------------------


def taken(limit: RateLimit, caller: str, times: int) -> int:
    """How many of so many requests at once are let through."""
    through = 0
    for _ in range(times):
        try:
            limit.take(caller)
        except RateLimited:
            continue
        through += 1
    return through


def test_each_caller_has_its_own_bucket_which_fills_up_again() -> None:
    clock = Clock()
    limit = RateLimit(5, monotonic=clock)

    assert taken(limit, "a", 30) == 10
    assert taken(limit, "b", 30) == 10
    clock.seconds += 0.4
    assert taken(limit, "a", 30) == 2
    clock.seconds += 1000
    assert taken(limit, "a", 30) == 10


def test_less_than_one_request_a_second_is_a_limit_too() -> None:
    clock = Clock()
    limit = RateLimit(0.1, monotonic=clock)

    assert taken(limit, "a", 3) == 1
    with pytest.raises(RateLimited) as refused:
        limit.take("a")
    assert refused.value.retry_after.total_seconds() == pytest.approx(10)
    clock.seconds += 10.01
    assert taken(limit, "a", 3) == 1


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    clock = Clock()
    limit = RateLimit(5, monotonic=clock)
    taken(limit, "a", 8)
    clock.seconds -= 50

    assert taken(limit, "a", 30) == 2


def test_any_number_of_callers_takes_bounded_memory() -> None:
    limit = RateLimit(5, monotonic=Clock())

    for number in range(12_000):
        limit.take(f"caller {number}")

    assert len(limit._buckets) == 10_000


@pytest.mark.parametrize(("path", "status"), [("/v1/definitions", 200), ("/v1/keys", 403)])
async def test_who_calls_too_often_is_told_when_to_come_again(api: WholeApi, path: str, status: int) -> None:
    clock = Clock()
    keys = api.ports.doorkeeper.keys
    doorkeeper = Doorkeeper(keys, SessionTokens(None), required=True, limit=RateLimit(1, monotonic=clock))
    api.app.state.ports = replace(api.ports, doorkeeper=doorkeeper)

    answers = [await api.call("GET", path, CHAT) for _ in range(3)]
    other = await api.call("GET", "/v1/definitions", (OTHER, Scope.CHAT))
    clock.seconds += 1
    again = await api.call("GET", path, CHAT)

    assert [answer.status_code for answer in answers] == [status, status, 429]
    assert [answers[n].headers["ratelimit"] for n in (0, 1)] == ['"caller";r=1', '"caller";r=0']
    assert answers[0].headers["ratelimit-policy"] == '"caller";q=2;w=2'
    assert (answers[2].json()["code"], answers[2].headers["retry-after"]) == ("rate_limited", "1")
    assert (other.status_code, again.status_code) == (200, status)


# --- browsers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/definitions", "/v1/nowhere", "/docs", "/healthz", "/v1/keys"])
async def test_every_answer_protects_browsers(api: WholeApi, path: str) -> None:
    headers = (await api.call("GET", path, CHAT)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers.get("cache-control") == ("no-store" if path.startswith("/v1/") else None)
    assert "strict-transport-security" not in headers


async def test_https_is_kept_to_where_it_is_spoken(api: WholeApi) -> None:
    answer = await api.http.get("https://tertulia/healthz")

    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_only_pages_that_are_allowed_may_call_from_a_browser(api: WholeApi) -> None:
    app = create_app(replace(api.ports, cors_origins=[PAGE]))
    transport = httpx.ASGITransport(app=app)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    async with httpx.AsyncClient(base_url="http://tertulia", transport=transport) as http:
        allowed = await http.options("/v1/sessions", headers={"Origin": PAGE, **asked})
        refused = await http.options("/v1/sessions", headers={"Origin": "https://evil.example", **asked})
        problem = await http.get("/v1/sessions", headers={"Origin": PAGE})

    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in refused.headers
    assert (problem.status_code, problem.headers["access-control-allow-origin"]) == (401, PAGE)


@pytest.mark.parametrize(
    ("url", "origin", "status"),
    [
        ("http://127.0.0.1:8080", None, 200),
        ("http://localhost:8080", "http://localhost:8080", 200),
        ("http://[::1]:8080", "http://127.0.0.1:3000", 200),
        ("http://127.0.0.1:8080", PAGE, 200),
        ("http://127.0.0.1:8080", "https://evil.example", 403),
        ("http://127.0.0.1:8080", "null", 403),
        ("http://evil.example", None, 403),
        ("http://evil.example", "http://localhost", 403),
    ],
)
async def test_without_keys_only_this_machine_is_answered(
    api: WholeApi, url: str, origin: str | None, status: int
) -> None:
    doorkeeper = Doorkeeper(InMemoryApiKeys(), SessionTokens(None), required=False, local=True, origins=[PAGE])
    api.app.state.ports = replace(api.ports, doorkeeper=doorkeeper)

    answer = await api.http.get(f"{url}/v1/definitions", headers={"Origin": origin} if origin else {})

    assert answer.status_code == status


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_long_answer_ends_when_its_callers_key_does() -> None:
    """What the key may not have any more is not sent, and the answer ends as one should."""
    pieces = iter(["one", "two", "revoked", "three"])
    sent: list[bytes] = []
    revoked = False

    async def still_allowed(_: object) -> None:
        if revoked:
            raise Unauthenticated

    async def app(scope: Any, _: Any, send: Any) -> None:
        nonlocal revoked
        scope["state"]["still_allowed"] = still_allowed
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            revoked = piece == "revoked"
            await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/v1/x", "query_string": b"", "headers": [], "scheme": "http"}
    await Edge(app, metrics=RequestMetrics(), max_body_bytes=1, max_file_bytes=1)(scope, receive, send)

    assert sent == [b"one", b"two", b""]
