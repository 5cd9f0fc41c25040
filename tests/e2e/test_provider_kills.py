"""Workers die while they ask providers: no turn, no place and no money is lost, and no verdict is forgotten."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tertulia.embedded.simulator import Answer, Exchange, ProviderSimulator, Quota, Status
from tests.e2e.cluster import Cluster
from tests.e2e.talking import Talk, post

NAMES = ("first", "second", "third")
# USD a million tokens.
PRICE = Decimal(2)
PER_TOKEN = PRICE / 1_000_000
# Slow enough to have failed everybody who talks at once before that keeps anybody away.
FAILS = Status(500, after_s=2)
# Long enough to be killed in.
SLOW = Answer(text="a long answer " * 5, first_token_after_s=0.2, gap_s=0.3)


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture
async def cluster(tmp_path_factory: pytest.TempPathFactory, simulator: ProviderSimulator) -> AsyncIterator[Cluster]:
    environment = {
        "PRIMARY_PROVIDER": "first",
        "SECONDARY_PROVIDER": "second",
        "FALLBACK_PROVIDER": "third",
        "PROVIDER_CHECK_SECONDS": "3600",
    }
    for name in NAMES:
        environment |= {
            f"{name.upper()}_BASE_URL": simulator.url,
            f"{name.upper()}_MODEL": name,
            f"{name.upper()}_INPUT_PRICE": str(PRICE),
            f"{name.upper()}_OUTPUT_PRICE": str(PRICE),
            f"{name.upper()}_DAILY_BUDGET_USD": "1",
        }
    async with Cluster(tmp_path_factory.mktemp("cluster"), environment) as running:
        yield running


async def test_a_worker_that_dies_while_an_answer_streams_loses_neither_the_turn_nor_its_place_nor_the_money(
    cluster: Cluster, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [SLOW, SLOW])
    talk = Talk(cluster.http, "streaming", 1)
    await talk.open()
    talking = asyncio.create_task(talk.run())
    await _until(lambda: cluster.rows("select from stream_deltas"))
    reserved = await _spent(cluster, "first")

    await _kill_worker(cluster)
    await talking
    await _until(lambda: _all_ended(cluster))

    assert await _ends(cluster, "first") == ["lost", None]
    assert await _spent(cluster, "first") > reserved > 0
    assert talk.heard == [SLOW.text]
    assert await _transcript(cluster, talk.session_id) == [*talk.said, *talk.heard]
    await _money_is_conserved(cluster, simulator)


async def test_a_worker_that_dies_during_a_trial_gives_its_place_back_and_the_breaker_opens_again(
    cluster: Cluster, simulator: ProviderSimulator
) -> None:
    simulator.always("first", FAILS)
    talk, *_ = talks = await _talks(cluster)
    await _talk_until_opened(cluster, talks)
    simulator.always("first", Answer(first_token_after_s=60))
    asked = len(simulator.log)
    await _until_half_open(cluster)

    sending = asyncio.create_task(_say(talk, "is anybody there?"))
    await simulator.until(lambda log: any(exchange.model == "first" for exchange in list(log)[asked:]))
    await _kill_worker(cluster)
    reply = await sending
    await _until(lambda: _all_ended(cluster))

    assert (reply["reply"], reply["status"]) == ("You said: is anybody there?", "answered")
    assert (await _ends(cluster, "first"))[-1] == "lost"
    assert (await _breaker(cluster))["openings"] == 2
    assert (await _transcript(cluster, talk.session_id)).count("is anybody there?") == 1
    await _money_is_conserved(cluster, simulator)


async def test_a_restart_of_everything_forgets_no_breaker_no_quota_and_no_spending(
    cluster: Cluster, simulator: ProviderSimulator
) -> None:
    simulator.always("first", FAILS)
    simulator.always("second", Status(429, quota=Quota(period="day", wait_s=3600)))
    talk, *_ = talks = await _talks(cluster)
    await _talk_until_opened(cluster, talks)
    await _until_half_open(cluster)
    # The second time it stays open for longer than a restart takes.
    await _talk_until_opened(cluster, talks)
    before = await _verdicts(cluster), await _spent(cluster, "third")
    open_until = datetime.fromisoformat((await _breaker(cluster))["open_until"])
    asked = len(simulator.log)

    await cluster.kill_worker()
    await cluster.kill_api()
    await cluster.kill_temporal()
    await cluster.kill_postgres()
    await cluster.start_worker()
    await cluster.start_api()
    await cluster.ready()

    assert (await _verdicts(cluster), await _spent(cluster, "third")) == before
    assert (await _say(talk, "and now?"))["provider"] == "third"
    assert await _spent(cluster, "third") > before[1] > 0
    after = [exchange for exchange in list(simulator.log)[asked:] if exchange.model]
    # From then on the first one may be tried again.
    assert [exchange.model for exchange in after if exchange.at < open_until or exchange.model != "first"] == ["third"]


async def _until(holds: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what only a table tells."""
    while not await holds():  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _kill_worker(cluster: Cluster) -> None:
    await cluster.kill_worker()
    await cluster.start_worker()


async def _say(talk: Talk, text: str) -> dict[str, str]:
    return await post(talk.http, f"/v1/sessions/{talk.session_id}/messages", {"text": text, "message_id": uuid4().hex})


async def _talks(cluster: Cluster) -> list[Talk]:
    """Open enough chats to ask the first provider so often, at once, that its breaker opens."""
    talks = [Talk(cluster.http, f"talk-{number}", 1) for number in range(24)]
    await asyncio.gather(*(talk.open() for talk in talks))
    return talks


async def _talk_until_opened(cluster: Cluster, talks: Sequence[Talk]) -> None:
    """Talk everywhere at once until the first provider's breaker opens once more."""
    openings = (await _breaker(cluster)).get("openings", 0)
    while (await _breaker(cluster)).get("openings", 0) == openings:
        replies = await asyncio.gather(*(_say(talk, "still there?") for talk in talks))
        assert {reply["status"] for reply in replies} == {"answered"}


async def _until_half_open(cluster: Cluster) -> None:
    opens_at = datetime.fromisoformat((await _breaker(cluster))["open_until"])
    await asyncio.sleep((opens_at - datetime.now(UTC)).total_seconds())


async def _breaker(cluster: Cluster) -> dict[str, Any]:
    rows = await cluster.rows("select state from provider_state where provider = 'first'")
    return json.loads(rows[0]["state"])["breaker"] if rows else {}


async def _verdicts(cluster: Cluster) -> list[Any]:
    rows = await cluster.rows("select provider, state from provider_state order by provider")
    return [(row["provider"], json.loads(row["state"])) for row in rows]


async def _all_ended(cluster: Cluster) -> bool:
    """Tell whether no attempt is under way and no place is held."""
    (row,) = await cluster.rows(
        "select (select count(*) from attempts where ended_at is null) as attempts, count(attempt_id) as places"
        " from provider_slots"
    )
    return tuple(row) == (0, 0)


async def _ends(cluster: Cluster, provider: str) -> list[str | None]:
    rows = await cluster.rows("select failure from attempts where provider = $1 order by started_at", provider)
    return [row["failure"] for row in rows]


async def _spent(cluster: Cluster, provider: str) -> Decimal:
    (row,) = await cluster.rows(
        "select coalesce(sum(usd), 0) as usd from spending where scope = $1", f"provider:{provider}"
    )
    usd: Decimal = row["usd"]
    return usd


async def _transcript(cluster: Cluster, session_id: str) -> list[str]:
    rows = await cluster.rows("select text from messages where session_id = $1 and turn > 0 order by seq", session_id)
    return [row["text"] for row in rows]


async def _money_is_conserved(cluster: Cluster, simulator: ProviderSimulator) -> None:
    """Compare the ledger with what the providers have billed: what was answered exactly, what was lost at most."""
    attempts = await cluster.rows("select provider, failure, cost_usd, cost_at_most_usd from attempts")
    answered = sum(row["cost_usd"] for row in attempts if row["failure"] is None)
    assert answered == sum(_billed(exchange) for exchange in simulator.log if exchange.outcome == "served")
    at_most = sum(row["cost_at_most_usd"] for row in attempts)
    assert sum(_billed(exchange) for exchange in simulator.log) <= at_most
    assert at_most == sum([await _spent(cluster, name) for name in NAMES])


def _billed(exchange: Exchange) -> Decimal:
    return (exchange.input_tokens + exchange.output_tokens) * PER_TOKEN
