"""`tertulia jobs …`: write jobs and their questions, and see who has applied."""

import sys
from typing import Annotated

import typer
from rich.text import Text

from starter.api_client import open_api
from starter.options import API_URL, ApiUrl, AsJson, JobArgument, Limit
from starter.recruiting_client import RecruitingClient
from starter.tables import console, print_table
from tertulia.domain.recruiting.applications import Candidate
from tertulia.domain.recruiting.jobs import Job, JobStatus, Question

commands = typer.Typer(no_args_is_help=True, help="Write jobs and their questions; see who has applied.")

_NOTHING = "-"


@commands.command("list")
def list_jobs(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only open or closed ones.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """List jobs, newest first."""
    with open_api(url, RecruitingClient) as api:
        found = list(api.jobs(limit=limit, status=status))
    if as_json:
        for job in found:
            typer.echo(job.model_dump_json())
        return
    print_table(
        ("job", "title", "location", "status", "questions"),
        ((job.job_id, job.title, job.location or _NOTHING, job.status, len(job.questions)) for job in found),
    )


@commands.command()
def show(job: JobArgument, *, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """Show a job with its questions."""
    with open_api(url, RecruitingClient) as api:
        found = api.job(job)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    _print_job(found)
    _print_questions(found.questions)


@commands.command()
def create(
    title: Annotated[str, typer.Argument(help="What the job is called.")],
    *,
    job: Annotated[str | None, typer.Option("--id", help="Its id; made up where it is left out.")] = None,
    description: Annotated[str, typer.Option(help="What it is about.")] = "",
    location: Annotated[str, typer.Option(help="Where it is.")] = "",
    skill: Annotated[list[str] | None, typer.Option(help="What it takes; may be repeated.")] = None,
    currency: Annotated[str, typer.Option(help="In which its salaries are.")] = "EUR",
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Create a job, without questions yet."""
    fields = {"title": title, "description": description, "location": location, "currency": currency}
    with open_api(url, RecruitingClient) as api:
        made = api.create_job({**fields, "skills": skill or [], "job_id": job})
    typer.echo(made.model_dump_json() if as_json else f"created: {made.job_id}")


@commands.command()
def close(job: JobArgument, *, url: ApiUrl = API_URL) -> None:
    """Close a job for good: it takes no applications any more."""
    with open_api(url, RecruitingClient) as api:
        api.close_job(job)


@commands.command()
def questions(job: JobArgument, *, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """List the questions of a job, in the order in which they are asked."""
    with open_api(url, RecruitingClient) as api:
        found = api.job(job).questions
    if as_json:
        for question in found:
            typer.echo(question.model_dump_json())
        return
    _print_questions(found)


@commands.command()
def suggest(
    job: JobArgument,
    *,
    take: Annotated[bool, typer.Option("--take", help="Add them to the job.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Suggest questions that a job does not have yet: by a provider, or else from the usual ones."""
    with open_api(url, RecruitingClient) as api:
        suggested = api.suggest_questions(job)
        for question in suggested.questions if take else ():
            api.put_question(job, question)
    if as_json:
        for question in suggested.questions:
            typer.echo(question.model_dump_json())
        return
    _print_questions(suggested.questions)
    typer.echo(f"{'added' if take else 'suggested'} by the {suggested.source}: {len(suggested.questions)}")


@commands.command()
def candidates(
    job: JobArgument,
    *,
    limit: Limit = 50,
    csv: Annotated[bool, typer.Option("--csv", help="All of them, as a table for spreadsheets.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """List who has applied for a job, best score first."""
    with open_api(url, RecruitingClient) as api:
        if csv:
            for piece in api.candidates_csv(job):
                sys.stdout.buffer.write(piece)
            return
        found = list(api.candidates(job, limit=limit))
    if as_json:
        for candidate in found:
            typer.echo(candidate.model_dump_json())
        return
    print_table(
        ("application", "person", "name", "status", "score", "must-haves failed"),
        (_row(candidate) for candidate in found),
    )


def _row(candidate: Candidate) -> tuple[object, ...]:
    application, prescreen = candidate.application, candidate.application.prescreen
    return (
        application.application_id,
        application.user_id,
        candidate.profile.name or _NOTHING,
        application.status,
        _NOTHING if prescreen is None else f"{prescreen.jd_match_score:g}",
        _NOTHING if prescreen is None else ", ".join(prescreen.must_have_failed) or "none",
    )


def _print_job(job: Job) -> None:
    on = console()
    on.print(Text(job.title, style="bold"))
    facts = {
        "job": job.job_id,
        "status": job.status,
        "location": job.location,
        "skills": ", ".join(job.skills),
        "currency": job.currency,
        "description": job.description,
    }
    for fact, value in facts.items():
        on.print(Text(f"  {fact:<14}{value or _NOTHING}"))


def _print_questions(found: tuple[Question, ...]) -> None:
    print_table(
        ("question", "type", "weight", "", "text"),
        ((each.qid, each.type, f"{each.weight:g}", _kind(each), each.text) for each in found),
    )


def _kind(question: Question) -> str:
    if question.must_have:
        return "must-have"
    return "required" if question.required else "optional"
