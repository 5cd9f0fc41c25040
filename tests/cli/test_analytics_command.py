"""`tertulia analytics …`."""

import csv
import io
import json

from tests.api.conftest import World
from tests.api.test_analytics import ROWS
from tests.cli.conftest import Cli


async def test_a_figure_is_a_table_without_the_columns_that_say_nothing(tertulia: Cli, world: World) -> None:
    world.analytics.rows["response-times"] = [ROWS["response-times"]]

    outcome = await tertulia("analytics", "response-times")

    head, row = outcome.out.splitlines()
    assert " ".join(head.split()) == "replies p50 ms p95 ms first texts first text p50 ms first text p95 ms"
    assert row.split() == ["5", "300", "900", "1", "80.5", "80.5"]


async def test_failures_are_told_in_words(tertulia: Cli, world: World) -> None:
    world.analytics.rows["providers"] = [ROWS["providers"]]

    assert "1 timeout" in (await tertulia("analytics", "providers")).out


async def test_every_figure_can_be_shown_of_a_part_of_the_conversations(tertulia: Cli, world: World) -> None:
    part = ("--definition", "greeter", "--job", "baker", "--channel", "web", "--since", "2026-03-01", "--until", "1d")
    for figure in ROWS:
        outcome = await tertulia("analytics", figure, *part)
        assert (outcome.code, outcome.out) == (0, "nothing in this time\n")

    assert [asked for asked, _, _ in world.analytics.asked] == list(ROWS)
    assert {(of.definition, of.job_id, of.channel) for _, of, _ in world.analytics.asked} == {
        ("greeter", "baker", "web")
    }


async def test_for_spreadsheets_and_machines_it_is_what_the_api_says(tertulia: Cli, world: World) -> None:
    world.analytics.rows["volumes"] = [ROWS["volumes"]]

    sheet = await tertulia("analytics", "volumes", "--by", "hour_of_day", "--csv")
    table = await tertulia("analytics", "volumes", "--json")

    headings, cells = csv.reader(io.StringIO(sheet.out))
    assert dict(zip(headings, cells, strict=True))["messages"] == "6"
    assert json.loads(table.out)["rows"][0]["messages"] == 6


async def test_what_the_api_refuses_is_told(tertulia: Cli) -> None:
    outcome = await tertulia("analytics", "funnel", "--since", "yesterday")

    assert outcome.code != 0
    assert "query.since" in outcome.err
