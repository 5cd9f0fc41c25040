import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tertulia.api.provider_inputs import AddProvider
from tertulia.api.provider_views import ProviderView
from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.reports import Configured, Origin
from tertulia.domain.providers.state import Breaker, Gate, GateKind, Known, Probe, ProviderState, Sample
from tests.api.conftest import World
from tests.api.providers import GROQ, KEY
from tests.fakes import NOON

JSON = {"Content-Type": "application/json"}
OTHER_KEY = "sk-canary-9876543210-AbCdEf"
OURS = {"name": "ours", "base_url": "http://127.0.0.1:8000/v1", "model": "llama"}
BOUNDED = (
    "base_url",
    "model",
    "timeout_s",
    "max_retries",
    "priority",
    "weight",
    "cost_per_token",
    "input_price",
    "output_price",
    "cached_input_price",
    "max_concurrent",
)

BAD_VALUES = {
    "kind": ["canary", 7, ["groq"]],
    "base_url": [
        "canary",
        "",
        "ftp://canary",
        "file:///etc/canary",
        "http://",
        "http://:80",
        "http://canary:99999/",
        "http://canary:0/",
        "http://user:canary@host/v1",
        "http://host/v1?key=canary",
        "http://host/v1#canary",
        "http://can ary/",
        "http://[canary/",
        "http://canary\n/",
        "http://" + "canary" * 1000,
        7,
    ],
    "model": ["", "canary" * 100, "canary\x00", "canary\n", "canary\ud800", 7],
    "api_key": ["", "can ary", "canary\n", "çanary", "canary" * 1000, 7, ["canary"]],
    "timeout_s": [0, -1, 601, "canary", float("nan"), float("inf")],
    "max_retries": [-1, 11, 1.5, "canary"],
    "enabled": ["canary", 7],
    "priority": [0, -1, 101, "canary"],
    "weight": [0, -1, 1001, float("nan"), "canary"],
    "cost_per_token": [-1, "-0.000001", 2, "canary", "NaN", "Infinity"],
    "input_price": [-1, "-0.01", 100_001, "canary", "NaN", float("inf")],
    "output_price": [-1, "canary"],
    "cached_input_price": [-1, "canary"],
    "max_concurrent": [0, -1, 1001, 1.5, "canary"],
    "context_window": [0, -1, 2**31, "canary"],
    "features": [["canary"], "json_schema", 7],
    "daily_budget_usd": [0, -1, "1e30", "0.0000001", "NaN", "canary"],
}
EACH_BAD_VALUE = [
    pytest.param(field, value, id=f"{field}={str(value)[:20]!a}")
    for field, values in BAD_VALUES.items()
    for value in values
]


async def send(api: httpx.AsyncClient, method: str, path: str, body: object) -> httpx.Response:
    """Send JSON that httpx would refuse to write."""
    content = json.dumps(body).encode()
    return await api.request(method, path, content=content, headers=JSON)


def assert_refused(answer: httpx.Response, field: str | None, status: int = 422, code: str = "invalid_input") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json().get("errors", [])] == ([] if field is None else [field])
    assert "canary" not in answer.text


def _fingerprint(key: str) -> str | None:
    return ProviderConfig(name="any", api_key=SecretStr(key)).key_fingerprint


async def in_use(api: httpx.AsyncClient) -> dict[str, ProviderView]:
    listed = (await api.get("/v1/providers")).json()["providers"]
    return {each["name"]: ProviderView.model_validate(each) for each in listed}


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


class TestConfigurations:
    async def test_the_providers_are_listed_in_the_order_of_preference(self, api: httpx.AsyncClient) -> None:
        groq, gemini = (await api.get("/v1/providers")).json()["providers"]

        assert (groq["name"], groq["kind"], groq["model"], groq["origin"]) == ("groq", "groq", "llama", "environment")
        assert len(groq["key_fingerprint"]) == 12
        assert (gemini["name"], gemini["key_fingerprint"], gemini["unusable"]) == ("gemini", None, "no key")

    def test_every_field_of_a_configuration_can_be_given_and_is_shown(self) -> None:
        configured = ProviderConfig.model_fields.keys()

        assert AddProvider.model_fields.keys() == configured - {"unusable"}
        assert ProviderView.model_fields.keys() == configured - {"api_key"} | {"key_fingerprint", "origin"}

    @pytest.mark.parametrize("field", BOUNDED)
    def test_the_bounds_are_those_of_configurations(self, field: str) -> None:
        given = AddProvider.model_json_schema()["properties"][field]
        configured = ProviderConfig.model_json_schema()["properties"][field]

        told = json.dumps(given)
        for bound in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength"):
            for variant in configured.get("anyOf", [configured]):
                assert bound not in variant or f'"{bound}": {json.dumps(variant[bound])}' in told

    async def test_a_provider_is_added(self, api: httpx.AsyncClient, world: World) -> None:
        body = {
            **OURS,
            "api_key": OTHER_KEY,
            "timeout_s": 12.5,
            "max_retries": 0,
            "enabled": False,
            "priority": 3,
            "weight": 2,
            "cost_per_token": "0.000001",
            "input_price": 0.15,
            "output_price": "0.60",
            "cached_input_price": "0.015",
            "max_concurrent": 4,
            "context_window": 8192,
            "features": ["tools"],
            "daily_budget_usd": "5.50",
        }

        answer = await api.post("/v1/providers", json=body)

        assert answer.status_code == 201
        shown = answer.json()
        assert shown.pop("key_fingerprint") is not None
        assert (shown.pop("origin"), shown.pop("unusable"), shown.pop("kind")) == ("runtime", None, "openai")
        del body["api_key"]
        assert shown == {**body, "weight": 2.0, "input_price": "0.15"}
        assert (await in_use(api))["ours"] == ProviderView.model_validate(answer.json())
        assert world.providers.key(answer.json()["name"]) == OTHER_KEY

    async def test_what_is_left_out_is_as_by_default(self, api: httpx.AsyncClient) -> None:
        nulls = {"timeout_s": None, "kind": None, "api_key": None}

        shown = (await api.post("/v1/providers", json=OURS | nulls)).json()

        default = ProviderConfig(name="ours", base_url=OURS["base_url"], model="llama")
        for field in ("timeout_s", "max_retries", "enabled", "priority", "weight", "max_concurrent", "context_window"):
            assert shown[field] == getattr(default, field)
        assert shown["key_fingerprint"] is None

    async def test_a_known_kind_brings_its_address_and_its_model(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v1/providers", json={"name": "fast", "kind": "groq", "api_key": OTHER_KEY})

        shown = answer.json()
        assert (shown["base_url"], shown["model"]) == ("https://api.groq.com/openai/v1", "openai/gpt-oss-120b")
        assert shown["context_window"] == 131_072

    async def test_a_known_kind_at_its_own_address_needs_a_key(self, api: httpx.AsyncClient) -> None:
        assert_refused(await api.post("/v1/providers", json={"name": "fast", "kind": "groq"}), "body.api_key")

    async def test_a_server_that_can_be_anywhere_needs_an_address(self, api: httpx.AsyncClient) -> None:
        assert_refused(await api.post("/v1/providers", json={"name": "ours"}), "body.base_url")

    async def test_a_name_in_use_is_refused(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v1/providers", json={**OURS, "name": "groq", "api_key": OTHER_KEY})

        assert_refused(answer, "body.name")
        assert "exists already" in answer.json()["detail"]
        assert (await in_use(api))["groq"].model == "llama"

    @pytest.mark.parametrize("name", ["", "Canary", "can ary", "7canary", "canary" * 6, "canary\n", "çanary", 7, None])
    async def test_a_name_that_can_not_be_used_is_refused(self, api: httpx.AsyncClient, name: object) -> None:
        assert_refused(await send(api, "POST", "/v1/providers", {**OURS, "name": name}), "body.name")

    @pytest.mark.parametrize(("field", "value"), EACH_BAD_VALUE)
    async def test_a_value_that_can_not_be_used_is_refused_and_not_said_back(
        self, api: httpx.AsyncClient, field: str, value: object
    ) -> None:
        before = await in_use(api)

        for method, path, body in (("POST", "/v1/providers", OURS), ("PATCH", "/v1/providers/groq", {})):
            answer = await send(api, method, path, {**body, field: value})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
            assert {error["field"] for error in answer.json()["errors"]} == {f"body.{field}"}
            assert "canary" not in answer.text
        assert await in_use(api) == before

    @pytest.mark.parametrize("field", ["canary", "unusable", "key", "apiKey", "origin", "key_fingerprint"])
    async def test_an_unknown_field_is_refused(self, api: httpx.AsyncClient, field: str) -> None:
        assert_refused(await api.post("/v1/providers", json={**OURS, field: "canary"}), "body")
        assert_refused(await api.patch("/v1/providers/groq", json={field: "canary"}), "body")

    async def test_a_patch_changes_what_it_names(self, api: httpx.AsyncClient, world: World) -> None:
        before = (await in_use(api))["groq"]

        answer = await api.patch("/v1/providers/groq", json={"weight": 3, "features": ["tools", "json_schema"]})

        changed = {"weight": 3.0, "features": ("json_schema", "tools"), "origin": "runtime"}
        assert answer.status_code == 200
        assert ProviderView.model_validate(answer.json()) == before.model_copy(update=changed)
        assert world.providers.key(GROQ) == KEY

    async def test_null_puts_a_field_back_to_its_default(self, api: httpx.AsyncClient, world: World) -> None:
        await api.patch("/v1/providers/groq", json={"weight": 3, "max_retries": 0, "daily_budget_usd": 5})

        patch = {"weight": None, "max_retries": None, "daily_budget_usd": None, "model": None, "api_key": None}
        shown = (await api.patch("/v1/providers/groq", json=patch)).json()

        assert (shown["weight"], shown["max_retries"], shown["daily_budget_usd"]) == (1.0, 3, None)
        assert shown["model"] == "openai/gpt-oss-120b"
        assert world.providers.key(GROQ) is None

    async def test_a_merge_patch_may_say_that_it_is_one(self, api: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}

        answer = await api.patch("/v1/providers/groq", content=b'{"priority": 5}', headers=headers)

        assert answer.json()["priority"] == 5

    async def test_a_name_can_not_be_changed(self, api: httpx.AsyncClient) -> None:
        assert_refused(await api.patch("/v1/providers/groq", json={"name": "other"}), "body")

    async def test_a_stored_key_is_not_sent_to_another_host(self, api: httpx.AsyncClient, world: World) -> None:
        elsewhere = {"base_url": "https://elsewhere.example/v1"}

        assert_refused(await api.patch("/v1/providers/groq", json=elsewhere), "body.base_url")

        assert (await api.patch("/v1/providers/groq", json={**elsewhere, "api_key": OTHER_KEY})).status_code == 200
        assert world.providers.key(GROQ) == OTHER_KEY

    async def test_another_path_on_the_same_host_keeps_the_key(self, api: httpx.AsyncClient, world: World) -> None:
        answer = await api.patch("/v1/providers/groq", json={"base_url": "https://api.groq.com/openai/v2/"})

        assert answer.json()["base_url"] == "https://api.groq.com/openai/v2"
        assert world.providers.key(GROQ) == KEY

    def test_an_address_of_the_environment_is_shown_without_what_may_be_secret(self) -> None:
        config = ProviderConfig(name="odd", base_url="https://canary:canary@host:8000/v1?key=canary")

        shown = ProviderView.of(Configured(config, Origin.ENVIRONMENT))

        assert shown.base_url == "https://host:8000/v1"

    async def test_a_provider_is_removed(self, api: httpx.AsyncClient) -> None:
        await api.post("/v1/providers", json=OURS)

        answer = await api.delete("/v1/providers/groq")

        assert (answer.status_code, answer.content) == (204, b"")
        assert (await in_use(api)).keys() == {"ours", "gemini"}

    async def test_the_last_provider_that_can_be_asked_stays(self, api: httpx.AsyncClient) -> None:
        answer = await api.delete("/v1/providers/groq")

        assert_refused(answer, "path.name")
        assert "last provider" in answer.json()["detail"]
        assert "groq" in await in_use(api)


class TestUnknownProviders:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PATCH", "/v1/providers/canary", {"weight": 2}),
            ("DELETE", "/v1/providers/canary", None),
            ("GET", "/v1/providers/canary/history", None),
            ("PUT", "/v1/providers/canary/maintenance", {"note": "why"}),
            ("DELETE", "/v1/providers/canary/maintenance", None),
            ("POST", "/v1/providers/canary/check", None),
        ],
    )
    async def test_an_unknown_provider_is_not_found(
        self, api: httpx.AsyncClient, method: str, path: str, body: object
    ) -> None:
        answer = await api.request(method, path, json=body)

        assert_refused(answer, None, 404, "not_found")
        assert answer.json()["detail"] == "there is no such provider"

    @pytest.mark.parametrize("name", ["CANARY", "can%20ary", "7canary", "canary%00", "canary" * 6, "canary%0A"])
    async def test_what_can_not_be_a_name_is_refused(self, api: httpx.AsyncClient, name: str) -> None:
        for method, path in (("PATCH", ""), ("DELETE", ""), ("GET", "/history"), ("POST", "/check")):
            body: dict[str, str] | None = {} if method == "PATCH" else None
            assert_refused(await api.request(method, f"/v1/providers/{name}{path}", json=body), "path.name")


class TestStatus:
    async def test_a_provider_that_is_well_and_one_without_a_key(self, api: httpx.AsyncClient) -> None:
        answer = (await api.get("/v1/providers/status")).json()

        assert (answer["at"], answer["stale"]) == ("2026-03-14T12:00:00Z", False)
        groq, gemini = answer["providers"]
        assert (groq["provider"], groq["status"], groq["passed_over"]) == ("groq", "healthy", None)
        assert (groq["breaker"], groq["gates"], groq["probe"]) == (
            {"phase": "closed", "open_until": None, "reason": None},
            [],
            None,
        )
        assert 80 <= groq["score"] <= 100
        assert (groq["confidence"], groq["in_flight"], groq["limit"]) == (0, 0, 10)
        assert groq["ttft_ms"] == groq["latency_ms"] == {"p50": None, "p95": None}
        assert gemini["passed_over"] == "no key"

    async def test_all_that_is_known_is_told(self, api: httpx.AsyncClient, world: World) -> None:
        soon, past = NOON + timedelta(seconds=8), NOON - timedelta(seconds=1)
        state = ProviderState(
            breaker=Breaker(opened_at=past, open_until=soon, openings=1, reason=FailureClass.SERVER),
            gates={
                GateKind.RATE_LIMIT: Gate(until=soon, detail="30 a minute", key_fingerprint=_fingerprint(KEY)),
                GateKind.QUOTA: Gate(until=past),
                GateKind.AUTH: Gate(until=None, detail="not our key", key_fingerprint=_fingerprint(KEY)),
                GateKind.BILLING: Gate(until=soon, detail="for another key", key_fingerprint="0" * 12),
            },
            limit=4.9,
            probe=Probe(at=past, reachable=False, latency_ms=12.5, detail="refused", failed_in_a_row=2),
        )
        sample = Sample("a-1", GROQ, past, past, failure=None, ttft_ms=80.5, latency_ms=410.0)
        world.providers.known[GROQ] = Known(state=state, samples=(sample,), in_flight=3)

        groq = (await api.get("/v1/providers/status")).json()["providers"][0]

        assert groq["status"] == "unhealthy"
        assert groq["breaker"] == {"phase": "open", "open_until": "2026-03-14T12:00:08Z", "reason": "server"}
        assert groq["gates"] == [
            {"kind": "auth", "until": None, "detail": "not our key"},
            {"kind": "rate_limit", "until": "2026-03-14T12:00:08Z", "detail": "30 a minute"},
        ]
        assert (groq["in_flight"], groq["limit"]) == (3, 4)
        assert (groq["probe"]["reachable"], groq["probe"]["failed_in_a_row"]) == (False, 2)
        assert (groq["ttft_ms"]["p95"], groq["latency_ms"]["p50"]) == (80.5, 410.0)
        assert groq["confidence"] > 0
        assert groq["passed_over"]

    async def test_a_breaker_whose_time_is_over_is_half_open(self, api: httpx.AsyncClient, world: World) -> None:
        over = Breaker(opened_at=NOON - timedelta(seconds=10), open_until=NOON, openings=1, reason=FailureClass.CONNECT)
        world.providers.known[GROQ] = Known(state=ProviderState(breaker=over))

        groq = (await api.get("/v1/providers/status")).json()["providers"][0]

        assert (groq["breaker"]["phase"], groq["status"]) == ("half_open", "degraded")

    async def test_without_storage_what_was_known_last_is_told(self, api: httpx.AsyncClient, world: World) -> None:
        world.providers.stale = True

        answer = await api.get("/v1/providers/status")

        assert (answer.status_code, answer.json()["stale"]) == (200, True)
        assert len(answer.json()["providers"]) == 2

    async def test_without_storage_nothing_is_changed(self, api: httpx.AsyncClient, world: World) -> None:
        world.providers.stale = True

        refusals = [
            await api.post("/v1/providers", json=OURS),
            await api.patch("/v1/providers/groq", json={"weight": 2}),
            await api.put("/v1/providers/groq/maintenance", json={}),
            await api.get("/v1/providers/metrics"),
            await api.put("/v1/tenants/t-1/budget", json={"daily_usd": 5}),
        ]

        for refusal in refusals:
            assert_refused(refusal, None, 503, "unavailable")
            assert refusal.headers["retry-after"]


class TestMetrics:
    async def test_what_came_of_the_attempts_is_told(self, api: httpx.AsyncClient) -> None:
        answer = (await api.get("/v1/providers/metrics")).json()

        assert (answer["since"], answer["until"]) == ("2026-03-14T11:00:00Z", "2026-03-14T12:00:00Z")
        gemini, groq = answer["providers"]
        assert groq == {
            "provider": "groq",
            "attempts": 8,
            "answered": 6,
            "success_rate": 0.75,
            "failures": {"timeout": 2},
            "retries": 1,
            "ttft_ms": {"p50": 80.5, "p95": 120.25, "p99": 121.0},
            "latency_ms": {"p50": 410.0, "p95": 2210.0, "p99": 2300.0},
            "latency_mean_ms": 500.0,
            "input_tokens": 2100,
            "cached_tokens": 600,
            "output_tokens": 180,
            "cost_usd": "0.0031",
            "cost_at_most_usd": "0.0035",
            "wasted_usd": "0.0004",
            "consecutive_failures": 0,
            "in_flight": 1,
        }
        assert (gemini["attempts"], gemini["success_rate"], gemini["latency_mean_ms"]) == (0, None, None)

    @pytest.mark.parametrize(
        ("query", "since", "until"),
        [
            ({"window": "15m"}, NOON - timedelta(minutes=15), NOON),
            ({"window": "7d"}, NOON - timedelta(days=7), NOON),
            ({"window": "30s"}, NOON - timedelta(seconds=30), NOON),
            ({"window": "PT1H30M"}, NOON - timedelta(minutes=90), NOON),
            ({"window": "1h", "until": "2h"}, NOON - timedelta(hours=3), NOON - timedelta(hours=2)),
            ({"since": "1d"}, NOON - timedelta(days=1), NOON),
            ({"since": "2026-03-14"}, datetime(2026, 3, 14, tzinfo=UTC), NOON),
            ({"since": "2026-03-14T00:00:00Z"}, datetime(2026, 3, 14, tzinfo=UTC), NOON),
            ({"since": "2026-03-14T00:00:00+02:00"}, datetime(2026, 3, 13, 22, tzinfo=UTC), NOON),
            (
                {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"},
                datetime(2026, 3, 1, tzinfo=UTC),
                datetime(2026, 3, 2, tzinfo=UTC),
            ),
        ],
    )
    async def test_a_window_can_be_said_in_many_ways(
        self, api: httpx.AsyncClient, world: World, query: dict[str, str], since: datetime, until: datetime
    ) -> None:
        answer = await api.get("/v1/providers/metrics", params=query)

        assert answer.status_code == 200, answer.text
        assert world.providers.windows == [(since, until)]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"window": text}, "window")
            for text in ("", "canary", "0m", "-1h", "1", "1y", "367d", "P", "PT0S", "P999999D")
        ]
        + [({"window": text}, "window") for text in ("999999d", "-PT1H", "1h\n", "٣h", "01:00:00")]
        + [({"since": text}, "since") for text in ("", "canary", "2026-13-14", "2026-03-14T12:00:00", "1700000000")]
        + [({"since": text}, "since") for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0h")]
        + [({"until": "canary"}, "until"), ({"until": "0001-01-01T00:00:00Z"}, "until")]
        + [
            ({"window": "1h", "since": "1d"}, "window"),
            ({"since": "1h", "until": "1h"}, "since"),
            ({"since": "2027-01-01T00:00:00Z"}, "since"),
            ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ],
    )
    async def test_a_window_that_makes_no_sense_is_refused(
        self, api: httpx.AsyncClient, world: World, query: dict[str, str], field: str
    ) -> None:
        assert_refused(await api.get("/v1/providers/metrics", params=query), f"query.{field}")
        assert world.providers.windows == []

    async def test_an_unknown_parameter_is_refused(self, api: httpx.AsyncClient) -> None:
        assert_refused(await api.get("/v1/providers/metrics?canary=1"), "query")


class TestMaintenance:
    async def test_a_provider_is_taken_out_of_service_and_put_back(self, api: httpx.AsyncClient) -> None:
        out = await api.put("/v1/providers/groq/maintenance", json={"note": "new key on Monday"})
        groq = (await api.get("/v1/providers/status")).json()["providers"][0]
        assert (out.status_code, groq["status"], groq["maintenance"]) == (204, "maintenance", "new key on Monday")
        assert groq["passed_over"]

        back = await api.delete("/v1/providers/groq/maintenance")
        groq = (await api.get("/v1/providers/status")).json()["providers"][0]
        assert (back.status_code, groq["status"], groq["maintenance"]) == (204, "healthy", None)

    @pytest.mark.parametrize("note", ["", "canary\n", "canary\x00", "canary\ud800", "canary" * 100, 7, None])
    async def test_a_note_that_can_not_be_stored_is_refused(self, api: httpx.AsyncClient, note: object) -> None:
        assert_refused(await send(api, "PUT", "/v1/providers/groq/maintenance", {"note": note}), "body.note")

    async def test_what_was_decided_is_told_newest_first(self, api: httpx.AsyncClient) -> None:
        await api.put("/v1/providers/groq/maintenance", json={"note": "new key"})
        await api.delete("/v1/providers/groq/maintenance")

        answer = (await api.get("/v1/providers/groq/history")).json()

        assert answer["provider"] == "groq"
        back, out = answer["changes"]
        assert (out["reason"], out["changed"]) == ("maintenance", ["maintenance"])
        assert (out["before"]["maintenance"], out["after"]["maintenance"]) == (None, "new key")
        assert (back["reason"], back["after"]["maintenance"]) == ("back in service", None)
        assert (await api.get("/v1/providers/groq/history?limit=1")).json()["changes"] == [back]

    @pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=canary", "canary=1"])
    async def test_a_history_of_odd_length_is_refused(self, api: httpx.AsyncClient, query: str) -> None:
        answer = await api.get(f"/v1/providers/groq/history?{query}")

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
        assert "canary" not in answer.text


class TestChecks:
    async def test_a_provider_is_probed_now(self, api: httpx.AsyncClient) -> None:
        assert (await api.post("/v1/providers/groq/check")).json() == {
            "provider": "groq",
            "reachable": True,
            "latency_ms": 41.5,
            "detail": "",
            "failure": None,
        }

    async def test_what_a_probe_finds_wrong_is_an_answer(self, api: httpx.AsyncClient, world: World) -> None:
        world.providers.probe = ProbeResult(
            reachable=False, latency_ms=3.5, detail="not a key of ours", failure=FailureClass.AUTH
        )

        answer = await api.post("/v1/providers/groq/check")

        assert (answer.status_code, answer.json()["failure"]) == (200, "auth")


class TestDecision:
    async def test_who_would_be_asked_is_told_with_reasons(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/v1/providers/decision")).json() == {
            "strategy": "round_robin",
            "order": ["groq"],
            "passed_over": [{"provider": "gemini", "reason": "no key"}],
            "retry_at": None,
        }

    async def test_it_depends_on_what_is_asked(self, api: httpx.AsyncClient) -> None:
        await api.patch("/v1/providers/groq", json={"context_window": 1000, "features": ["json_schema"]})

        small = (await api.get("/v1/providers/decision", params={"input_tokens": 100, "max_tokens": 100})).json()
        large = (await api.get("/v1/providers/decision", params={"input_tokens": 5000})).json()
        tools = (await api.get("/v1/providers/decision", params={"needs": ["tools"], "max_tokens": 10})).json()

        assert small["order"] == ["groq"]
        assert "groq" not in large["order"] + tools["order"]
        assert {"groq", "gemini"} == {passed["provider"] for passed in large["passed_over"]}

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"input_tokens": -1}, "input_tokens"),
            ({"input_tokens": 2**31}, "input_tokens"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": "canary"}, "max_tokens"),
            ({"needs": "canary"}, "needs"),
        ],
    )
    async def test_a_question_that_makes_no_sense_is_refused(
        self, api: httpx.AsyncClient, query: dict[str, str], field: str
    ) -> None:
        assert_refused(await api.get("/v1/providers/decision", params=query), f"query.{field}")


class TestBudgets:
    async def test_a_budget_is_set_read_and_removed(self, api: httpx.AsyncClient) -> None:
        stored = await api.put("/v1/tenants/acme/budget", json={"daily_usd": "20.50"})
        assert stored.json() == {"tenant": "acme", "daily_usd": "20.50", "spent_usd": "0.5"}
        assert (await api.get("/v1/tenants/acme/budget")).json() == stored.json()

        removals = [await api.delete("/v1/tenants/acme/budget") for _ in range(2)]
        assert [removal.status_code for removal in removals] == [204, 204]
        assert_refused(await api.get("/v1/tenants/acme/budget"), None, 404, "not_found")

    @pytest.mark.parametrize("amount", [0, -1, "canary", None, "NaN", "Infinity", "1e12", "0.0000001", [1]])
    async def test_an_amount_that_can_not_be_used_is_refused(self, api: httpx.AsyncClient, amount: object) -> None:
        assert_refused(await send(api, "PUT", "/v1/tenants/acme/budget", {"daily_usd": amount}), "body.daily_usd")

    @pytest.mark.parametrize("tenant", ["can%20ary", "canary%00", "canary" * 30, ".canary"])
    async def test_what_can_not_be_a_tenant_is_refused(self, api: httpx.AsyncClient, tenant: str) -> None:
        for method, body in (("GET", None), ("PUT", {"daily_usd": 1}), ("DELETE", None)):
            assert_refused(await api.request(method, f"/v1/tenants/{tenant}/budget", json=body), "path.tenant")


class TestKeys:
    async def test_a_key_is_in_no_answer_and_in_no_log(
        self, api: httpx.AsyncClient, world: World, logs: list[EventDict]
    ) -> None:
        state = ProviderState(gates={GateKind.AUTH: Gate(until=None, detail="refused")})
        world.providers.known[GROQ] = Known(state=state)
        added = {**OURS, "api_key": OTHER_KEY}

        answers = [
            await api.post("/v1/providers", json=added),
            await api.post("/v1/providers", json=added),
            await api.post("/v1/providers", json={**added, "weight": 0}),
            await api.post("/v1/providers", json={**OURS, "key": OTHER_KEY}),
            await api.post("/v1/providers", json={**OURS, "name": OTHER_KEY}),
            await api.post("/v1/providers", json={**OURS, "name": "o2", "base_url": f"https://{OTHER_KEY}@host/"}),
            await api.post("/v1/providers", content=f'{{"api_key": "{OTHER_KEY}'.encode(), headers=JSON),
            await api.post("/v1/providers", content=json.dumps(added).encode()),
            await api.post("/v1/providers", json=[OTHER_KEY]),
            await api.patch("/v1/providers/ours", json={"api_key": [OTHER_KEY]}),
            await api.patch("/v1/providers/ours", json={"api_key": OTHER_KEY, "priority": 0}),
            await api.patch("/v1/providers/ours", json={"api_key": f"{OTHER_KEY}\n"}),
            await api.patch(f"/v1/providers/{OTHER_KEY}.", json={}),
            await api.put(f"/v1/tenants/{OTHER_KEY}/budget", json={"daily_usd": OTHER_KEY}),
        ]
        reads = ("", "/status", "/metrics", "/decision", "/ours/history", f"/status?key={OTHER_KEY}")
        answers += [await api.get(f"/v1/providers{path}") for path in reads]
        answers += [await api.post(f"/v1/providers/{name}/check") for name in ("ours", "groq")]

        assert [answer.status_code for answer in answers[:2]] == [201, 422]
        for answer in answers:
            assert OTHER_KEY not in answer.text + str(answer.headers)
            assert KEY not in answer.text
        assert "canary" not in str(logs)

    async def test_a_fault_of_ours_tells_no_key(
        self, api: httpx.AsyncClient, world: World, logs: list[EventDict]
    ) -> None:
        class Broken:
            async def add_provider(self, config: ProviderConfig) -> None:
                assert config.api_key is not None
                raise RuntimeError(config.api_key.get_secret_value())

        world.change(providers=Broken())

        answer = await api.post("/v1/providers", json={**OURS, "api_key": OTHER_KEY})

        assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
        assert "canary" not in answer.text + str(logs)
