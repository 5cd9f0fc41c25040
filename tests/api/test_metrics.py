"""What Prometheus is told."""

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tertulia.api.metrics import RequestMetrics
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SessionId
from tertulia.domain.tallies import EndedTurns, Tallied
from tests.api.conftest import World


async def scraped(api: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_requests_are_counted_by_the_pattern_of_their_route(api: httpx.AsyncClient, session: SessionId) -> None:
    name = ("tertulia_http_request_seconds_count", "GET", "/v1/sessions/{session_id}")
    before = await scraped(api)
    await api.get(f"/v1/sessions/{session}")
    await api.get("/v1/sessions/canary")
    await api.get("/canary")
    after = await scraped(api)

    assert after[*name, "200"] - before.get((*name, "200"), 0) == 1
    assert after[*name, "404"] - before.get((*name, "404"), 0) == 1
    assert not [labels for labels in after if "canary" in str(labels)]


async def test_no_sample_names_a_person_a_session_or_a_tenant(api: httpx.AsyncClient, session: SessionId) -> None:
    await api.post(f"/v1/sessions/{session}/messages", json={"text": "I am Ada canary"})

    told = str(await scraped(api))

    assert not re.search(r"canary|ada|s-1|default", told)


def test_any_number_of_made_up_methods_is_one() -> None:
    metrics = RequestMetrics()
    for number in range(100):
        metrics.ended(f"METHOD{number}", "(none)", 405, 0.001)

    counts = [sample for family in metrics.registry.collect() for sample in family.samples if "count" in sample.name]
    assert [(sample.labels["method"], sample.value) for sample in counts] == [("other", 100)]


async def test_a_stream_is_open_until_it_ends(api: httpx.AsyncClient, world: World, session: SessionId) -> None:
    async with api.stream("GET", f"/v1/sessions/{session}/events") as events:
        assert events.status_code == 200
        assert (await scraped(api))["tertulia_open_streams",] == 1
        world.events.end()
        await events.aread()

    samples = await scraped(api)
    assert samples["tertulia_open_streams",] == 0


async def test_providers_are_told_with_their_breakers_and_what_came_of_their_attempts(api: httpx.AsyncClient) -> None:
    samples = await scraped(api)

    assert samples["tertulia_provider_breaker", "closed", "groq"] == 1
    assert samples["tertulia_provider_breaker", "open", "groq"] == 0
    assert sum(samples["tertulia_provider_status", "groq", status] for status in ("healthy", "degraded")) == 1
    assert samples["tertulia_provider_attempts_5m", "answered", "groq"] == 6
    assert samples["tertulia_provider_attempts_5m", "timeout", "groq"] == 2


async def test_sessions_and_turns_are_told_as_storage_has_counted_them(api: httpx.AsyncClient, world: World) -> None:
    buckets = (3, 0, 0, 1, *[0] * 8, 2)
    world.tallies.tallied = Tallied(
        opened=5, closed=2, begun={"person": 7}, ended=[EndedTurns("person", "answered", buckets, seconds=1234.5)]
    )

    samples = await scraped(api)

    assert samples["tertulia_sessions_opened_total",] == 5
    assert samples["tertulia_sessions_closed_total",] == 2
    assert samples["tertulia_turns_begun_total", "person"] == 7
    kind = ("person", "answered")
    assert samples["tertulia_turn_seconds_count", *kind] == 6
    assert samples["tertulia_turn_seconds_sum", *kind] == 1234.5
    told = [samples["tertulia_turn_seconds_bucket", le, *kind] for le in ("0.05", "0.25", "0.5", "300.0", "+Inf")]
    assert told == [3, 3, 4, 4, 6]


async def test_while_storage_is_away_the_process_tells_of_itself(api: httpx.AsyncClient, world: World) -> None:
    await api.get("/healthz")
    world.providers.stale = True
    world.tallies.tallied = Unavailable("Postgres", "it is restarting")

    samples = await scraped(api)

    assert any(name == "tertulia_http_request_seconds_count" for name, *_ in samples)
    assert not any(name.startswith(("tertulia_provider", "tertulia_turn", "tertulia_session")) for name, *_ in samples)
