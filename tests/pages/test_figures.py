"""The console's figures: what the charts show is what one gets by counting one by one."""

import csv
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from playwright.async_api import Error, Page, expect

from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.ids import TenantId
from tertulia.storage.pool import open_pool
from tests.e2e.cluster import Cluster
from tests.pages.conftest import Visitor, Visits, new_key
from tests.storage.analytics_world import Reckoning, World, made_up, store

FIRST, LAST = "2026-03-28", "2026-04-02"
OUTCOMES = ("contained", "handed_over", "abandoned", "in_progress")
# Each chart as the browser has drawn it: its names along the axis, and its values by the names of the series.
DRAWN = """Object.fromEntries([...document.querySelectorAll('[data-figure]')].map(section => {
    const drawn = getElement(section.querySelector('.chart').id.slice(1)).chart?.getOption();
    const axis = drawn && [drawn.xAxis[0], drawn.yAxis[0]].find(each => each.type === 'category');
    const series = (drawn?.series ?? []).filter(each => each.data.length);
    return [section.dataset.figure, [axis?.data ?? [], Object.fromEntries(series.map(each => [each.name, each.data]))]];
}))"""

Chart = tuple[list[str], dict[str, list[Any]]]


@pytest.fixture(scope="module")
async def world(cluster: Cluster) -> World:
    """Sessions of the tenants acme and umbrella that are known one by one."""
    world = made_up(Random(7), sessions=80)
    async with open_pool(cluster.postgres.dsn) as pool:
        await store(pool, world)
    return world


@pytest.fixture(scope="module")
async def acme(cluster: Cluster) -> str:
    """A key of an operator of acme."""
    key, _ = await new_key(cluster, "operate", tenant="acme")
    return key


async def test_the_charts_show_the_known_numbers_of_one_tenant(visits: Visits, world: World, acme: str) -> None:
    operator = await _before_the_figures(visits, acme)

    await _shows(operator, _counted(world, of := _of()))
    sessions = sum(row.sessions for row in Reckoning(world, of).outcomes(ByDay.ALL))
    await expect(_tile(operator.page, "Sessions")).to_have_text(str(sessions))
    # Whoever can't see the chart is told its values.
    told = await operator.page.locator("[data-figure=providers] .chart").get_attribute("aria-label")
    assert told is not None
    assert all(f"{row.provider} is" in told for row in Reckoning(world, of).providers())
    assert operator.complaints == []
    await operator.keeps("all")


async def test_the_figures_are_those_of_the_conversations_chosen(visits: Visits, world: World, acme: str) -> None:
    operator = await _before_the_figures(visits, acme)
    page = operator.page

    await page.get_by_label("Channel", exact=True).fill("sms")
    await page.get_by_label("Channel", exact=True).press("Enter")
    await _shows(operator, _counted(world, _of(channel="sms")))
    await page.get_by_label("Job", exact=True).fill("baker")
    await page.get_by_label("Job", exact=True).press("Enter")
    await _shows(operator, _counted(world, _of(channel="sms", job_id="baker")))
    await page.get_by_label("From", exact=True).fill("2026-03-30")
    await _shows(operator, _counted(world, _of(first="2026-03-30", channel="sms", job_id="baker")))
    # The applications that one can choose are those on offer, and nobody is in one.
    await page.get_by_role("combobox", name="Application").click()
    await page.get_by_role("option", name="recruiting").click()
    await expect(_tile(page, "Sessions")).to_have_text("0")

    await page.get_by_label("Channel", exact=True).fill("no such channel")
    await page.get_by_label("Channel", exact=True).press("Enter")
    await operator.reads("no conversation can be chosen by this")
    await expect(_tile(page, "Sessions")).to_have_text("0")


async def test_each_chart_is_a_file_for_a_spreadsheet(visits: Visits, world: World, acme: str) -> None:
    operator = await _before_the_figures(visits, acme)
    await _shows(operator, _counted(world, _of()))
    counted = Reckoning(world, _of()).funnel()

    async with operator.page.expect_download() as started:
        await operator.page.locator("[data-figure=funnel]").get_by_role("button", name="CSV").click()
    file = await started.value

    assert file.suggested_filename == "funnel.csv"
    rows = list(csv.DictReader((await file.path()).read_text().splitlines()))
    assert [(row["definition"], row["state"], int(row["reached"]), int(row["went_on"])) for row in rows] == [
        (row.definition, row.state, row.reached, row.went_on) for row in counted
    ]


async def _before_the_figures(visits: Visits, key: str) -> Visitor:
    operator = await visits(guarded=True)
    await operator.logs_in(key)
    await operator.opens("/console/figures")
    await operator.page.get_by_label("From", exact=True).fill(FIRST)
    await operator.page.get_by_label("To", exact=True).fill(LAST)
    return operator


def _of(*, first: str = FIRST, **chosen: str) -> Selection:
    since, until = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, LAST))
    return Selection(tenant=TenantId("acme"), since=since, until=until + timedelta(days=1), **chosen)


def _tile(page: Page, name: str) -> Any:
    return page.locator(".tile", has=page.get_by_text(name, exact=True)).locator(".tile-value")


async def _shows(operator: Visitor, expected: dict[str, Chart]) -> None:
    """Wait until the charts show this; tell what they show instead where they never do."""
    with suppress(Error):
        await operator.page.wait_for_function(
            f"expected => JSON.stringify({DRAWN}) === JSON.stringify(expected)", arg=expected
        )
    drawn: dict[str, list[Any]] = await operator.page.evaluate(DRAWN)
    assert {name: tuple(chart) for name, chart in drawn.items()} == expected


def _counted(world: World, of: Selection) -> dict[str, Chart]:
    """Count what each chart shows, in the order of the page."""
    counted = Reckoning(world, of)
    daily, volumes = counted.outcomes(ByDay.DAY), counted.volumes(By.HOUR_OF_DAY)
    funnel, stays = counted.funnel(), counted.state_times()
    slots = [row for row in counted.slots() if row.heard]
    waits = [(row.at, row) for row in counted.response_times(ByDay.DAY) if row.at]
    days = sorted({row.at for row in daily if row.at})
    charts: dict[str, Chart] = {
        "outcomes": (
            [f"{day:%d %b}" for day in days],
            {
                _name(each): [sum(getattr(row, each) for row in daily if row.at == day) for day in days]
                for each in OUTCOMES
            },
        ),
        "funnel": (
            [f"{row.definition} · {row.state}" for row in funnel],
            {_name(each): [getattr(row, each) for row in funnel] for each in ("went_on", *OUTCOMES)},
        ),
        "slots": (
            [row.slot for row in slots],
            {
                "put again": [_percent(row.re_asked, row.heard) for row in slots],
                "not understood": [_percent(row.not_understood, row.heard) for row in slots],
            },
        ),
        "state-times": (
            [f"{row.definition} · {row.state}" for row in stays],
            {"minutes": [round(row.p50_s / 60, 2) for row in stays]},
        ),
        "volumes": (
            [f"{hour:02}" for hour in range(24)],
            {
                channel: [
                    sum(row.messages for row in volumes if (row.hour, row.channel) == (hour, channel))
                    for hour in range(24)
                ]
                for channel in sorted({row.channel for row in volumes})
            },
        ),
        "response-times": (
            [f"{at:%d %b}" for at, _ in waits],
            {
                "median": [_seconds(row.p50_ms) for _, row in waits],
                "95th percentile": [_seconds(row.p95_ms) for _, row in waits],
            },
        ),
        "knock-outs": (
            [row.question or row.qid for row in counted.knock_outs()],
            {"turned away": [_percent(row.knocked_out, row.screened) for row in counted.knock_outs()]},
        ),
        "providers": (
            [row.provider for row in counted.providers()],
            {"answered": [row.success_rate and round(100 * row.success_rate, 1) for row in counted.providers()]},
        ),
    }
    return {
        name: (names, {line: values for line, values in lines.items() if values})
        for name, (names, lines) in charts.items()
    }


def _name(field: str) -> str:
    return field.replace("_", " ")


def _percent(part: int, whole: int) -> float:
    return round(100 * round(part / whole, 4), 1)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else round(ms / 1000, 2)
