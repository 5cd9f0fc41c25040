"""The health check: all providers side by side, at no cost, and what follows for the next turn."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.client import Client

from starter.namespace import HEALTH_SCHEDULE, schedule_health_check
from tertulia.domain.health import ProviderHealth, ProviderStatus
from tertulia.domain.ids import ProviderName
from tertulia.embedded.simulator import ProviderSimulator
from tertulia.storage.health import PostgresHealthRecords
from tests.engine import Engine
from workflows.provider_health import HealthReport, ProviderHealthCheck

UNHEALTHY = ProviderHealth(
    provider=ProviderName("first"),
    status=ProviderStatus.UNHEALTHY,
    failed_probes=3,
    latency_ms=None,
    detail="no answer",
    checked_at=datetime(2026, 1, 1, tzinfo=UTC),
)


async def _check(engine: Engine) -> HealthReport:
    return await engine.client.execute_workflow(
        ProviderHealthCheck.run, id=uuid4().hex, task_queue=engine.task_queue, execution_timeout=timedelta(minutes=1)
    )


async def test_all_providers_are_probed_without_spending_a_token(engine: Engine, simulator: ProviderSimulator) -> None:
    report = await _check(engine)
    assert {health.provider: health.status for health in report.providers} == dict.fromkeys(
        ("first", "second", "third"), "healthy"
    )
    assert {exchange.method for exchange in simulator.log} == {"GET"}
    stored = await engine.rows("select provider, status from provider_health order by provider")
    assert [tuple(row) for row in stored] == [("first", "healthy"), ("second", "healthy"), ("third", "healthy")]


async def test_an_unhealthy_provider_is_passed_over_until_a_probe_succeeds(engine: Engine) -> None:
    await PostgresHealthRecords(engine.pool).record(UNHEALTHY)
    chat = await engine.chat()
    assert (await chat.say("Hello")).provider == "second"
    assert [passed.provider for passed in (await chat.turn(1)).passed_over] == ["first"]
    await _check(engine)
    assert (await chat.say("Hello")).provider == "first"


async def test_the_schedule_is_made_once_and_follows_its_setting(client: Client, task_queue: str) -> None:
    for minutes in (5, 5, 7):
        await schedule_health_check(client, every=timedelta(minutes=minutes), task_queue=task_queue)
    schedule = (await client.get_schedule_handle(HEALTH_SCHEDULE).describe()).schedule
    assert [interval.every for interval in schedule.spec.intervals] == [timedelta(minutes=7)]
    await client.get_schedule_handle(HEALTH_SCHEDULE).delete()
