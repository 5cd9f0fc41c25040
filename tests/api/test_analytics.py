"""Figures by HTTP: whose, of which time, as JSON and as CSV. What they count is proved over storage."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tertulia.domain.analytics import (
    By,
    ByDay,
    CostRow,
    FigureRow,
    FunnelRow,
    KnockOutRow,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.ids import DEFAULT_TENANT
from tests.api.conftest import World
from tests.fakes import NOON

ROWS: dict[str, FigureRow] = {
    "funnel": FunnelRow(
        definition="greeter", state="talk", reached=8, in_progress=1, contained=2, handed_over=1, abandoned=2
    ),
    "state-times": StateTimeRow(
        definition="greeter", state="talk", stays=3, mean_s=1.5, p50_s=1.0, p95_s=3.25, longest_s=3.25
    ),
    "slots": SlotRow(
        definition="greeter",
        slot="name",
        asked=9,
        heard=8,
        answered=5,
        not_understood=2,
        declined=0,
        skipped=0,
        asked_again=1,
        left=0,
        re_asked=3,
    ),
    "knock-outs": KnockOutRow(
        job_id="baker", qid="permit", question="=May you?", screened=4, knocked_out=1, by_this_alone=1
    ),
    "response-times": ResponseTimeRow(
        at=None,
        replies=5,
        p50_ms=300,
        p95_ms=900,
        first_texts=1,
        first_text_p50_ms=80.5,
        first_text_p95_ms=80.5,
    ),
    "volumes": VolumeRow(
        at=NOON, hour=None, channel="web", sessions=1, turns=3, from_person=2, from_assistant=3, from_operator=1
    ),
    "outcomes": OutcomeRow(
        at=None,
        definition="greeter",
        channel="web",
        sessions=10,
        in_progress=2,
        contained=6,
        handed_over=1,
        abandoned=1,
        completed=5,
    ),
    "costs": CostRow(
        definition="greeter",
        sessions=10,
        completed=3,
        cost_usd=Decimal("0.50"),
        completed_cost_usd=Decimal("0.20"),
        unpriced=1,
    ),
    "providers": ProviderRow(
        provider="groq",
        attempts=4,
        answered=3,
        failures={"timeout": 1},
        cost_usd=Decimal("0.5"),
        latency_p50_ms=400,
        latency_p95_ms=410.5,
        first_text_p50_ms=80,
        first_text_p95_ms=90,
    ),
}
WORKED_OUT: dict[str, dict[str, Any]] = {
    "funnel": {"went_on": 2, "drop_off_rate": 0.25},
    "slots": {"no_match_rate": 0.25, "re_ask_rate": 0.375},
    "knock-outs": {"knock_out_rate": 0.25},
    "volumes": {"messages": 6},
    "outcomes": {"containment_rate": 0.75, "completion_rate": 0.5},
    "costs": {"usd_per_completed": "0.066667", "usd_spent_per_completed": "0.166667"},
    "providers": {"success_rate": 0.75},
}


@pytest.mark.parametrize("figure", ROWS)
async def test_a_table_has_its_rows_with_what_follows_from_them(
    api: httpx.AsyncClient, world: World, figure: str
) -> None:
    world.analytics.rows[figure] = [ROWS[figure]]

    table = (await api.get(f"/v1/analytics/{figure}")).json()

    assert (table["since"], table["until"]) == ("2026-02-12T12:00:00Z", "2026-03-14T12:00:00Z")
    assert table["rows"] == [ROWS[figure].model_dump(mode="json")]
    assert WORKED_OUT.get(figure, {}).items() <= table["rows"][0].items()


@pytest.mark.parametrize("figure", ROWS)
async def test_as_a_spreadsheet_it_has_the_same_in_columns(api: httpx.AsyncClient, world: World, figure: str) -> None:
    world.analytics.rows[figure] = [ROWS[figure]]
    (row,) = (await api.get(f"/v1/analytics/{figure}")).json()["rows"]

    answer = await api.get(f"/v1/analytics/{figure}", params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{figure}.csv"'
    headings, cells = list(csv.reader(io.StringIO(answer.text)))
    plain = row | ({"failures": "timeout 1"} if figure == "providers" else {})
    plain |= {"question": "'=May you?"} if figure == "knock-outs" else {}
    assert dict(zip(headings, cells, strict=True)) == {
        name: "" if value is None else str(value) for name, value in plain.items()
    }


@pytest.mark.parametrize("figure", ROWS)
async def test_of_nothing_there_are_headings(api: httpx.AsyncClient, figure: str) -> None:
    answer = await api.get(f"/v1/analytics/{figure}", params={"format": "csv"})

    assert len(list(csv.reader(io.StringIO(answer.text)))) == 1
    assert (await api.get(f"/v1/analytics/{figure}")).json()["rows"] == []


@pytest.mark.parametrize("figure", ROWS)
async def test_every_figure_can_be_of_a_part_of_the_conversations(
    api: httpx.AsyncClient, world: World, figure: str
) -> None:
    part = {"definition": "greeter", "job_id": "baker", "channel": "web"}

    await api.get(
        f"/v1/analytics/{figure}", params={**part, "since": "2026-03-01", "until": "2026-03-08T00:00:00+01:00"}
    )

    ((asked, of, _),) = world.analytics.asked
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 7, 23, tzinfo=UTC)
    assert (asked, of) == (figure, Selection(tenant=DEFAULT_TENANT, since=since, until=until, **part))


async def test_without_a_time_figures_are_of_the_last_thirty_days(api: httpx.AsyncClient, world: World) -> None:
    await api.get("/v1/analytics/costs")
    await api.get("/v1/analytics/costs", params={"window": "7d"})

    windows = [(of.since, of.until) for _, of, _ in world.analytics.asked]
    assert windows == [(NOON - timedelta(days=30), NOON), (NOON - timedelta(days=7), NOON)]


async def test_rows_are_told_apart_by_time_where_that_is_asked_for(api: httpx.AsyncClient, world: World) -> None:
    for figure, by in (("response-times", "day"), ("outcomes", "day"), ("volumes", "hour_of_day"), ("volumes", None)):
        await api.get(f"/v1/analytics/{figure}", params={"by": by} if by else {})

    assert [by for _, _, by in world.analytics.asked] == [ByDay.DAY, ByDay.DAY, By.HOUR_OF_DAY, By.DAY]


@pytest.mark.parametrize(
    ("figure", "query", "field"),
    [
        ("funnel", {"since": "yesterday"}, "query.since"),
        ("funnel", {"since": "2026-03-15"}, "query.since"),
        ("funnel", {"window": "367d"}, "query.window"),
        ("funnel", {"by": "day"}, "query"),
        ("funnel", {"definition": "no name"}, "query.definition"),
        ("outcomes", {"by": "hour"}, "query.by"),
        ("volumes", {"by": "week"}, "query.by"),
        ("volumes", {"by": "hour", "window": "32d"}, "query.by"),
        ("costs", {"format": "xml"}, "query.format"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_by_its_name(
    api: httpx.AsyncClient, world: World, figure: str, query: dict[str, str], field: str
) -> None:
    answer = await api.get(f"/v1/analytics/{figure}", params=query)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]
    assert not world.analytics.asked


async def test_states_come_in_the_order_in_which_their_definition_has_them(
    api: httpx.AsyncClient, world: World
) -> None:
    def row(definition: str, state: str, reached: int) -> FunnelRow:
        return FunnelRow(
            definition=definition,
            state=state,
            reached=reached,
            in_progress=0,
            contained=0,
            handed_over=0,
            abandoned=0,
        )

    # `talk` is the only state that the definition has today; of a definition that is gone nothing is known.
    rows = (("gone", "b", 9), ("gone", "a", 3), ("greeter", "removed", 5), ("greeter", "talk", 2))
    world.analytics.rows["funnel"] = [row(*each) for each in rows]

    shown = (await api.get("/v1/analytics/funnel")).json()["rows"]

    assert [(each["definition"], each["state"]) for each in shown] == [
        ("gone", "b"),
        ("gone", "a"),
        ("greeter", "talk"),
        ("greeter", "removed"),
    ]
