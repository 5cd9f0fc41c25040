"""The care of the providers: what is configured at runtime, and what is told about them."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, InvalidInput, NotFound
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.completions import Completion
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProviderStatus
from tertulia.domain.providers.reports import Origin
from tertulia.domain.providers.routing import Demand
from tertulia.domain.providers.state import Gate, GateKind
from tests.provider_service.fleet import Fault, Spell
from tests.provider_service.virtual_time import now, told
from tests.provider_service.world import FORBIDDEN, provider, question, world

ONE, TWO = ProviderName("one"), ProviderName("two")
ALWAYS = 1e9


async def order(service: object) -> tuple[ProviderName, ...]:
    return (await service.get_best_provider(Demand())).order  # type: ignore[attr-defined,no-any-return]


@told
async def test_what_one_worker_adds_another_asks_within_a_second() -> None:
    async with world(provider("one"), provider("two", enabled=False)) as played:
        here, there = (worker.service for worker in played.workers)
        added = await here.update_provider_config(TWO, {"enabled": True})
        await asyncio.sleep(1)

        assert (added.origin, added.config.enabled) == (Origin.RUNTIME, True)
        assert set(await order(there)) == {ONE, TWO}


@told
async def test_a_worker_that_is_stopped_as_news_come_stops() -> None:
    async with world(provider("one")) as played:
        await asyncio.sleep(0.5)
        async with asyncio.timeout(10):
            played.news.tell()
            await played.workers[0].stop()


@told
async def test_a_provider_can_be_added_and_removed_for_good() -> None:
    async with world(provider("one")) as played:
        played.script(provider("two"))
        here, there = (worker.service for worker in played.workers)
        await here.add_provider(played["two"].config)
        await here.remove_provider(ONE)
        await asyncio.sleep(1)

        assert [each.config.name for each in there.configured()] == ["two"]
        answer = await played.workers[1].ask(question())
        assert isinstance(answer, Completion)
        assert answer.model == "two"


@told
async def test_a_name_in_use_and_an_address_that_must_not_be_asked_are_refused() -> None:
    async with world(provider("one"), workers=1) as played:
        service = played.workers[0].service
        for config in (ProviderConfig(name="one"), ProviderConfig(name="two", base_url=FORBIDDEN)):
            with pytest.raises(InvalidInput):
                await service.add_provider(config)

        assert [each.config for each in service.configured()] == [played["one"].config]
        assert await played.configs.read() == {}


@pytest.mark.parametrize(
    "patch",
    [
        {"input_price": -1},
        {"daily_budget_usd": 0},
        {"max_concurrent": 0},
        {"timeout_s": 0},
        {"priority": 0},
        {"weight": 0},
        {"max_retries": -1},
        {"name": "two"},
        {"colour": "red"},
        {"base_url": FORBIDDEN},
    ],
    ids=str,
)
@told
async def test_a_change_that_makes_no_sense_changes_nothing(patch: dict[str, object]) -> None:
    async with world(provider("one"), workers=1) as played:
        service = played.workers[0].service
        with pytest.raises(InvalidInput):
            await service.update_provider_config(ONE, patch)

        assert [each.config for each in service.configured()] == [played["one"].config]
        assert await played.configs.read() == {}


@told
async def test_a_provider_without_an_address_needs_no_check_of_it() -> None:
    async with world(provider("one"), workers=1) as played:
        played.script(provider("two", kind="offline", base_url=FORBIDDEN))
        await played.workers[0].service.add_provider(played["two"].config)

        assert await order(played.workers[0].service) == (ONE, TWO)


@told
async def test_the_last_provider_that_can_be_asked_stays() -> None:
    async with world(provider("one"), provider("two", enabled=False), workers=1) as played:
        service = played.workers[0].service
        with pytest.raises(InvalidInput):
            await service.remove_provider(ONE)

        assert await order(service) == (ONE,)


@told
async def test_a_provider_that_nobody_knows_is_not_found() -> None:
    async with world(provider("one"), workers=1) as played:
        service = played.workers[0].service
        for asking in (
            service.update_provider_config(TWO, {"weight": 2}),
            service.remove_provider(TWO),
            service.set_maintenance(TWO, "why"),
            service.check_provider(TWO),
            service.provider_history(TWO, 10),
        ):
            with pytest.raises(NotFound):
                await asking


@told
async def test_a_call_under_way_goes_on_as_it_began() -> None:
    async with world(provider("one", answer_tokens=20, token_s=1), provider("two"), workers=1) as played:
        service = played.workers[0].service
        await service.set_maintenance(TWO, "asleep")
        asking = asyncio.create_task(played.workers[0].ask(question()))
        await asyncio.sleep(1)
        await service.update_provider_config(ONE, {"timeout_s": 2})
        await service.set_maintenance(TWO, None)
        await service.remove_provider(ONE)

        answer = await asking

        assert isinstance(answer, Completion)
        assert answer.model == "one"


@told
async def test_the_key_of_the_environment_is_kept_in_the_environment_alone() -> None:
    secret = SecretStr("a key")
    async with world(provider("one", api_key=secret)) as played:
        await played.workers[0].service.update_provider_config(ONE, {"weight": 2})
        await asyncio.sleep(1)

        stored = (await played.configs.read())[ONE]
        assert stored is not None
        assert stored.api_key is None
        (configured,) = played.workers[1].service.configured()
        assert (configured.config.api_key, configured.config.weight) == (secret, 2)


@told
async def test_the_key_of_the_environment_goes_to_the_environments_address_alone() -> None:
    async with world(provider("one", api_key=SecretStr("a key"), base_url="http://here")) as played:
        await played.configs.store(ProviderConfig(name="one", base_url="http://elsewhere"), at=now())
        await asyncio.sleep(1)

        (configured,) = played.workers[0].service.configured()
        assert configured.config.api_key is None


@told
async def test_maintenance_keeps_calls_away_until_it_ends() -> None:
    async with world(provider("one"), provider("two", priority=2)) as played:
        here, there = (worker.service for worker in played.workers)
        await here.set_maintenance(ONE, "moving house")
        await asyncio.sleep(1)

        (report, _) = (await there.get_provider_status()).providers
        assert report.health.status is ProviderStatus.MAINTENANCE
        assert report.passed_over == "in maintenance: moving house"
        assert await order(there) == (TWO,)

        await here.set_maintenance(ONE, None)
        await asyncio.sleep(1)
        assert await order(there) == (ONE, TWO)


@told
async def test_another_key_opens_the_gate_that_the_old_one_closed() -> None:
    old = provider("one", api_key=SecretStr("old"))
    async with world(old, provider("two", priority=2), workers=1) as played:
        service = played.workers[0].service
        shut = Gate(until=None, key_fingerprint=old.config.key_fingerprint)
        await played.states.change(
            ONE, lambda state: state.model_copy(update={"gates": {GateKind.AUTH: shut}}), at=now(), reason="auth"
        )
        await asyncio.sleep(1)
        assert await order(service) == (TWO,)

        await service.update_provider_config(ONE, {"api_key": SecretStr("new")})

        assert await order(service) == (ONE, TWO)


@told
async def test_probes_cost_nothing_and_are_remembered() -> None:
    async with world(provider("one", Spell(Fault.DOWN, 0, ALWAYS)), provider("two"), workers=1) as played:
        service = played.workers[0].service
        probes = [await service.check_provider(name) for name in (ONE, TWO)]

        assert [probe.reachable for probe in probes] == [False, True]
        remembered = [report.state.probe for report in (await service.get_provider_status()).providers]
        assert [probe and probe.reachable for probe in remembered] == [False, True]
        assert played.rows == []


@told
async def test_the_metrics_have_every_provider_in_use() -> None:
    async with world(provider("one"), provider("two"), workers=1) as played:
        service = played.workers[0].service
        await service.set_maintenance(TWO, "asleep")
        await played.workers[0].ask(question())

        metrics = await service.get_provider_metrics(now() - timedelta(minutes=1), now() + timedelta(minutes=1))

        assert (metrics[ONE].answered, metrics[TWO].answered) == (1, 0)
        assert metrics[ONE].cost_usd == played.billed


@told
async def test_the_history_tells_what_kept_calls_away() -> None:
    async with world(provider("one", Spell(Fault.DOWN, 0, ALWAYS)), provider("two", priority=2), workers=1) as played:
        service = played.workers[0].service
        await played.workers[0].ask(question())

        (opened,) = await service.provider_history(ONE, 10)

        assert opened.reason == FailureClass.CONNECT
        assert opened.after.breaker.opened_at is not None
        assert await service.provider_history(TWO, 10) == []


@pytest.mark.parametrize("daily_usd", ["0", "-1", "NaN", "Infinity"])
@told
async def test_a_budget_that_nobody_could_spend_is_refused(daily_usd: str) -> None:
    async with world(provider("one"), workers=1) as played:
        service, tenant = played.workers[0].service, TenantId("acme")
        with pytest.raises(InvalidInput):
            await service.set_budget(tenant, Decimal(daily_usd))

        assert await service.budget(tenant) is None


@told
async def test_a_tenants_budget_is_kept_changed_and_taken_back() -> None:
    async with world(provider("one"), workers=1) as played:
        service, tenant = played.workers[0].service, TenantId("acme")
        assert await service.budget(tenant) is None

        kept = await service.set_budget(tenant, Decimal("0.01"))
        assert (kept.daily_usd, kept.spent_usd) == (Decimal("0.01"), Decimal(0))

        await service.remove_budget(tenant)
        assert await service.budget(tenant) is None
