"""The health check: all providers side by side, at no cost, and what follows for the next turn."""

from datetime import timedelta
from uuid import uuid4

from temporalio.client import Client

from starter.namespace import HEALTH_SCHEDULE, schedule_health_check
from tertulia.domain.turns import TurnRecord
from tertulia.embedded.simulator import ProviderSimulator, Status
from tests.engine import Chat, Engine, running_engine, simulated
from workflows.provider_health import HealthReport, ProviderHealthCheck


async def _check(engine: Engine) -> HealthReport:
    return await engine.client.execute_workflow(
        ProviderHealthCheck.run, id=uuid4().hex, task_queue=engine.task_queue, execution_timeout=timedelta(minutes=1)
    )


async def _next_turn(chat: Chat) -> TurnRecord:
    return await chat.turn((await chat.say("Hello")).turn)


async def test_all_providers_are_probed_without_spending_a_token(engine: Engine, simulator: ProviderSimulator) -> None:
    report = await _check(engine)
    assert [(check.provider, check.status, check.reachable) for check in report.providers] == [
        ("first", "healthy", True),
        ("second", "healthy", True),
        ("third", "healthy", True),
    ]
    assert {exchange.method for exchange in simulator.log} == {"GET"}
    status = await engine.providers.get_provider_status()
    assert all(provider.state.probe for provider in status.providers)


async def test_a_provider_whose_key_a_probe_finds_refused_is_passed_over_until_a_probe_is_passed(
    client: Client, database: str, task_queue: str, simulator: ProviderSimulator
) -> None:
    first = simulated(simulator, "first").model_copy(update={"base_url": f"{simulator.url}/one"})
    simulator.script("/one/models", [Status(401)])
    async with running_engine(client, database, task_queue, [first, simulated(simulator, "second")]) as engine:
        chat = await engine.chat()
        await _check(engine)
        assert (await chat.say("Hello")).provider == "second"
        assert [passed.provider for passed in (await chat.turn(1)).passed_over] == ["first"]

        await _check(engine)
        assert "first" not in [passed.provider for passed in (await _next_turn(chat)).passed_over]


async def test_a_provider_that_has_failed_too_often_is_told_to_be_unhealthy(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.always("first", Status(500))
    chat = await engine.chat()
    while "first" not in [passed.provider for passed in (await _next_turn(chat)).passed_over]:
        pass

    report = await _check(engine)

    assert {check.provider: (check.status, check.reachable) for check in report.providers} == {
        "first": ("unhealthy", True),
        "second": ("healthy", True),
        "third": ("healthy", True),
    }


async def test_the_schedule_is_made_once_and_follows_its_setting(client: Client, task_queue: str) -> None:
    for minutes in (5, 5, 7):
        await schedule_health_check(client, every=timedelta(minutes=minutes), task_queue=task_queue)
    schedule = (await client.get_schedule_handle(HEALTH_SCHEDULE).describe()).schedule
    assert [interval.every for interval in schedule.spec.intervals] == [timedelta(minutes=7)]
    await client.get_schedule_handle(HEALTH_SCHEDULE).delete()
