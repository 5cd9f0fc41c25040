"""`tertulia applications …`: see where applications stand, and move them on."""

from typing import Annotated

import typer
from rich.text import Text

from starter.api_client import open_api
from starter.options import API_URL, ApiUrl, ApplicationArgument, AsJson, Limit
from starter.recruiting_client import RecruitingClient
from starter.tables import console, print_table
from tertulia.api.recruiting_views import ApplicationDetail, Timeline
from tertulia.domain.definitions.templates import shown
from tertulia.domain.recruiting.applications import ApplicationStatus, Prescreen

commands = typer.Typer(no_args_is_help=True, help="See where applications stand, and move them on.")

_NOTHING = "-"


@commands.command("list")
def list_applications(
    *,
    job: Annotated[str | None, typer.Option(help="Only for this job.")] = None,
    user: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    status: Annotated[ApplicationStatus | None, typer.Option(help="Only those that stand so.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """List applications, newest first."""
    with open_api(url, RecruitingClient) as api:
        found = list(api.applications(limit=limit, job_id=job, user_id=user, status=status))
    if as_json:
        for application in found:
            typer.echo(application.model_dump_json())
        return
    print_table(
        ("application", "job", "person", "status", "score", "changed"),
        (
            (
                each.application_id,
                each.job_id,
                each.user_id,
                each.status,
                _score(each.prescreen),
                f"{each.updated_at:%Y-%m-%d %H:%M}",
            )
            for each in found
        ),
    )


@commands.command()
def show(application: ApplicationArgument, *, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """Show an application: its answers, how its score is made, and what happened to it."""
    with open_api(url, RecruitingClient) as api:
        found, timeline = api.application(application), api.timeline(application)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    _print_application(found, timeline)


@commands.command()
def move(
    application: ApplicationArgument,
    to: Annotated[ApplicationStatus, typer.Argument(help="Where to.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the timeline.")] = "",
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Move an application along its life cycle; a move that it does not have is refused with those that it has."""
    with open_api(url, RecruitingClient) as api:
        moved = api.move_application(application, to, reason)
    typer.echo(moved.model_dump_json() if as_json else f"{moved.application_id}: {moved.status}")


def _score(prescreen: Prescreen | None) -> str:
    return _NOTHING if prescreen is None else f"{prescreen.jd_match_score:g}"


def _print_application(found: ApplicationDetail, timeline: Timeline) -> None:
    on = console()
    on.print(Text(f"{found.user_id} for {found.job_id}: {found.status}", style="bold"))
    facts = {
        "score": _score(found.prescreen),
        "failed": ", ".join(found.prescreen.must_have_failed) if found.prescreen else "",
        "unanswered": ", ".join(found.unanswered),
        "may become": ", ".join(found.allowed),
    }
    for fact, value in facts.items():
        on.print(Text(f"  {fact:<12}{value or _NOTHING}"))
    points = found.prescreen.points if found.prescreen else {}
    print_table(
        ("question", "answer", "points"),
        (
            (qid, shown(answer), f"{points[qid].earned:g} of {points[qid].most:g}" if qid in points else _NOTHING)
            for qid, answer in found.answers.items()
        ),
    )
    for entry in timeline.entries:
        what = ", ".join(entry.qids) or entry.status
        on.print(Text(f"[{entry.at:%Y-%m-%d %H:%M}] {entry.by} {entry.kind}: {what}{_because(entry.reason)}"))


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
