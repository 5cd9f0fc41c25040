"""Providers in the running product: the scheduled check, what the next turn makes of it, and keys that stay secret."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tertulia.embedded.simulator import ProviderSimulator, Status
from tests.e2e.cluster import Cluster
from tests.e2e.commands import temporal

OPENROUTER_KEY = "sk-or-v1-0123456789abcdef"
GROQ_KEY = "gsk_fedcba9876543210"
SCHEDULE = ("--schedule-id", "provider-health")


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture(autouse=True)
def behaving(simulator: ProviderSimulator) -> None:
    simulator.reset()


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, simulator: ProviderSimulator) -> AsyncIterator[Cluster]:
    environment = {
        "PRIMARY_PROVIDER": "openrouter",
        "SECONDARY_PROVIDER": "groq",
        "FALLBACK_PROVIDER": "mine",
        "OPENROUTER_API_KEY": OPENROUTER_KEY,
        "GROQ_API_KEY": GROQ_KEY,
        # But for its first run, the check runs when a test says so.
        "PROVIDER_CHECK_SECONDS": "3600",
    }
    for name in ("openrouter", "groq", "mine"):
        environment |= {f"{name.upper()}_BASE_URL": f"{simulator.url}/{name}", f"{name.upper()}_MODEL": name}
    async with Cluster(tmp_path_factory.mktemp("cluster"), environment) as running:
        yield running


async def test_the_schedule_probes_every_configured_provider(cluster: Cluster) -> None:
    described = json.loads(await temporal(cluster, "schedule", "describe", *SCHEDULE, "--output", "json"))
    assert described["schedule"]["spec"]["interval"] == [{"interval": "3600s"}]
    assert described["schedule"]["action"]["startWorkflow"]["workflowType"] == {"name": "ProviderHealth"}

    # The first run comes by itself, when the Schedule is made.
    while len(probed := await _probed(cluster)) < 3:  # noqa: ASYNC110 - a table has no event to wait for
        await asyncio.sleep(0.05)
    assert probed == {"openrouter": True, "groq": True, "mine": True}


async def test_a_provider_whose_key_a_probe_finds_refused_is_passed_over_until_a_probe_is_passed(
    cluster: Cluster, simulator: ProviderSimulator
) -> None:
    await cluster.http.post("/v1/sessions", json={"definition": "assistant", "user_id": "u", "session_id": "passing"})
    simulator.always("/openrouter/key", Status(401))
    await _check(cluster)
    assert (await _probed(cluster))["openrouter"] is False

    assert await _answered_by(cluster, "passing") == "groq"
    evidence = (await cluster.http.get("/v1/sessions/passing/turns/1")).json()
    assert [passed["provider"] for passed in evidence["passed_over"]] == ["openrouter"]
    assert [attempt["key"]["provider"] for attempt in evidence["attempts"]] == ["groq"]

    simulator.reset()
    await _check(cluster)
    assert await _answered_by(cluster, "passing") == "openrouter"


async def test_a_check_costs_nothing(cluster: Cluster, simulator: ProviderSimulator) -> None:
    await _check(cluster)

    assert {(asked.method, asked.path) for asked in simulator.log} == {
        ("GET", "/openrouter/key"),
        ("GET", "/groq/models"),
        ("GET", "/mine/models"),
    }
    assert sum(asked.input_tokens + asked.output_tokens for asked in simulator.log) == 0


async def test_a_key_is_told_nowhere_even_where_the_provider_repeats_it(
    cluster: Cluster, simulator: ProviderSimulator
) -> None:
    await cluster.http.post("/v1/sessions", json={"definition": "assistant", "user_id": "u", "session_id": "secret"})
    for target, key in {"openrouter": OPENROUTER_KEY, "groq": GROQ_KEY, "/openrouter/key": OPENROUTER_KEY}.items():
        simulator.always(target, Status(401, message=f"the key {key} is not one of ours", headers={"x-key": key}))

    assert await _answered_by(cluster, "secret") == "mine"
    await _check(cluster)

    assert {_fingerprint(OPENROUTER_KEY), _fingerprint(GROQ_KEY)} <= {asked.key for asked in simulator.log}
    told = await cluster.run("sessions", "show", "secret")
    assert "openrouter, attempt 1: auth" in told
    assert (await _probed(cluster))["openrouter"] is False
    status = (await cluster.http.get("/v1/providers/status")).text
    logs = [log.read_text() for log in cluster.directory.rglob("*.log")]
    for text in (told, status, *logs, *await _stored(cluster), *await _histories(cluster)):
        assert OPENROUTER_KEY not in text
        assert GROQ_KEY not in text


async def _check(cluster: Cluster) -> None:
    """Let the Schedule run its check at once, and wait for its end."""
    client = await Client.connect(cluster.temporal.address)
    schedule = client.get_schedule_handle("provider-health")
    runs = (await schedule.describe()).info.num_actions
    await temporal(cluster, "schedule", "trigger", *SCHEDULE, "--overlap-policy", "BufferAll")
    while (info := (await schedule.describe()).info).num_actions == runs or info.running_actions:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _probed(cluster: Cluster) -> dict[str, bool]:
    """Tell by provider whether the last probe was passed."""
    rows = await cluster.rows("select provider, state -> 'probe' as probe from provider_state")
    probes = {row["provider"]: json.loads(row["probe"] or "null") for row in rows}
    return {provider: probe["failed_in_a_row"] == 0 for provider, probe in probes.items() if probe}


async def _answered_by(cluster: Cluster, session_id: str) -> str:
    answer = await cluster.http.post(f"/v1/sessions/{session_id}/messages", json={"text": "Hello"})
    provider: str = answer.json()["provider"]
    return provider


async def _stored(cluster: Cluster) -> list[str]:
    """Read every row of every table."""
    tables = await cluster.rows("select tablename from pg_tables where schemaname = 'public'")
    return [str(tuple(row)) for table in tables for row in await cluster.rows(f'select * from "{table["tablename"]}"')]


async def _histories(cluster: Cluster) -> list[str]:
    """Read every event of every workflow, payloads as they are."""
    client = await Client.connect(cluster.temporal.address)
    return [
        event.SerializeToString().decode(errors="replace")
        async for workflow in client.list_workflows()
        async for event in client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history_events()
    ]


def _fingerprint(key: str) -> str:
    """Name a key as the simulator's log does."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
