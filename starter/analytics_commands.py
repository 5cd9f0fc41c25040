"""`tertulia analytics …`: figures about many conversations."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from starter.api_client import ApiClient, open_api
from starter.options import API_URL, ApiUrl, AsJson
from starter.tables import print_table
from tertulia.domain.analytics import By


class Figure(StrEnum):
    """What is to be shown, as the API names it."""

    FUNNEL = "funnel"
    STATE_TIMES = "state-times"
    SLOTS = "slots"
    KNOCK_OUTS = "knock-outs"
    RESPONSE_TIMES = "response-times"
    VOLUMES = "volumes"
    OUTCOMES = "outcomes"
    COSTS = "costs"
    PROVIDERS = "providers"


def analytics(
    figure: Annotated[Figure, typer.Argument(help="Which figure; docs/analytics.md says what each counts.")],
    *,
    definition: Annotated[str | None, typer.Option(help="Only of this application.")] = None,
    job: Annotated[str | None, typer.Option(help="Only about this job.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: a day (UTC), a time, or how long ago, such as 7d; 30d by default.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then; now by default.")] = None,
    by: Annotated[By | None, typer.Option(help="Told apart by time: volumes, outcomes and response times can.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Show a figure about many conversations: how far they came, what they cost, how long people waited …"""
    of = {"definition": definition, "job_id": job, "channel": channel, "since": since, "until": until, "by": by}
    with open_api(url, ApiClient) as api:
        if as_csv:
            # The file's own line ends are kept.
            sys.stdout.flush()
            sys.stdout.buffer.write(api.figures(figure, format="csv", **of))
        elif as_json:
            typer.echo(api.figures(figure, **of))
        else:
            _print(api.figure_rows(figure, **of))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        typer.echo("nothing in this time")
        return
    # A column that says nothing in any row, as the day where rows are of no day, is left out.
    columns = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    print_table(
        [column.replace("_", " ") for column in columns], ([_cell(row[column]) for column in columns] for row in rows)
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case dict():
            return ", ".join(f"{count} {name}" for name, count in value.items()) or "-"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
