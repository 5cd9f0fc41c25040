"""`tertulia sessions …`: what operators do from a shell."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from starter.api_client import open_api
from starter.options import API_URL, ApiUrl, AsJson, SessionArgument
from starter.session_client import SessionClient
from starter.tables import console, print_table
from tertulia.api.ids import new_id
from tertulia.api.views import ExportFormat, SessionDetail, SessionSummary
from tertulia.domain.conversation import Message, SessionStatus, TurnStatus
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import MessageId, SessionId, is_identifier
from tertulia.domain.turns import AttemptRecord, TurnRecord

commands = typer.Typer(
    no_args_is_help=True, help="List, read, close and erase sessions; send to them; take them over; put them right."
)
Operator = Annotated[str | None, typer.Option(help="Who does it; kept with the turn.")]
RequestId = Annotated[str | None, typer.Option(help="Sent twice under one id, it is done once.")]


@commands.command("list")
def list_sessions(
    *,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    status: Annotated[SessionStatus | None, typer.Option(help="Only open or closed ones.")] = None,
    definition: Annotated[str | None, typer.Option(help="Only of this application.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    user: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """List sessions, newest first."""
    with open_api(url, SessionClient) as api:
        found = api.sessions(
            limit=limit, state=state, status=status, definition=definition, channel=channel, user_id=user
        )
        if as_json:
            for session in found:
                typer.echo(session.model_dump_json())
        else:
            _print_table(list(found))


@commands.command()
def show(
    session: SessionArgument,
    *,
    last: Annotated[int, typer.Option(min=1, max=500, help="How many messages, and of how many turns.")] = 50,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Show a session: where it stands, its transcript, and who was asked in each turn."""
    with open_api(url, SessionClient) as api:
        detail = api.session(session)
        messages = api.last_messages(session, last)
        turns = [api.turn(session, turn) for turn in sorted({message.turn for message in messages} - {0})]
    if as_json:
        typer.echo(detail.model_dump_json(exclude={"live"}))
        for line in (*messages, *turns):
            typer.echo(line.model_dump_json())
    else:
        _print_session(console(), detail, messages, {turn.turn: turn for turn in turns})


@commands.command()
def send(
    session: SessionArgument,
    text: Annotated[str, typer.Argument(help="What the person says.")],
    *,
    message_id: Annotated[str | None, typer.Option(help="Sent twice under one id, it counts once.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Send a message and print the reply."""
    with open_api(url, SessionClient) as api:
        reply = api.send(session, text, MessageId(message_id or new_id()))
    typer.echo(reply.model_dump_json() if as_json else reply.reply)


@commands.command()
def close(
    session: SessionArgument,
    *,
    reason: Annotated[str, typer.Option(help="Kept with the session.")] = "closed from the command line",
    erase: Annotated[bool, typer.Option("--erase", help="Delete all that was said, for good.")] = False,
    url: ApiUrl = API_URL,
) -> None:
    """Close a session; its transcript stays, unless it is erased."""
    with open_api(url, SessionClient) as api:
        api.close(session, reason, erase=erase)


@commands.command("hand-over")
def hand_over(
    session: SessionArgument,
    *,
    reason: Annotated[str | None, typer.Option(help="Told to whoever takes over.")] = None,
    operator: Operator = None,
    request_id: RequestId = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Let a human have a session; the bot is silent from then on."""
    _order(url, session, "hand-over", as_json=as_json, reason=reason, operator=operator, request_id=request_id)


@commands.command("take-back")
def take_back(
    session: SessionArgument,
    *,
    state: Annotated[str | None, typer.Option(help="Where to go on; else where it stands.")] = None,
    operator: Operator = None,
    request_id: RequestId = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Let the bot have a session again, and print what it says."""
    _order(url, session, "take-back", as_json=as_json, state=state, operator=operator, request_id=request_id)


@commands.command()
def say(
    session: SessionArgument,
    text: Annotated[str, typer.Argument(help="What the human says to the person.")],
    *,
    operator: Operator = None,
    message_id: Annotated[str | None, typer.Option(help="Sent twice under one id, it is said once.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Say something to the person, as the human who has the session."""
    _order(url, session, "operator-messages", as_json=as_json, text=text, operator=operator, message_id=message_id)


@commands.command()
def undo(
    session: SessionArgument,
    *,
    operator: Operator = None,
    request_id: RequestId = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Go back to before the person's last turn, and print the question that is open again."""
    _order(url, session, "undo", as_json=as_json, operator=operator, request_id=request_id)


@commands.command()
def regenerate(
    session: SessionArgument,
    *,
    operator: Operator = None,
    request_id: RequestId = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Have the last free reply written anew, and print it."""
    _order(url, session, "regenerate", as_json=as_json, operator=operator, request_id=request_id)


@commands.command()
def edit(
    session: SessionArgument,
    slot: Annotated[str, typer.Argument(help="The slot's name.")],
    value: Annotated[str, typer.Argument(help="In the words that the person would use.")],
    *,
    operator: Operator = None,
    request_id: RequestId = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Give a slot a value; what depends on it is asked anew."""
    # Whatever else was typed could lead to another call.
    if not is_identifier(slot):
        raise InvalidInput("must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", field="a slot's name")
    _order(url, session, f"slots/{slot}", as_json=as_json, value=value, operator=operator, request_id=request_id)


@commands.command()
def export(
    session: SessionArgument,
    *,
    file_format: Annotated[ExportFormat, typer.Option("--format", help="json, csv or txt.")] = ExportFormat.TXT,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="A file instead of standard output.")] = None,
    url: ApiUrl = API_URL,
) -> None:
    """Export a whole transcript."""
    with open_api(url, SessionClient) as api:
        pieces = api.export(session, file_format)
        # Nothing is overwritten before the API has agreed.
        first = next(pieces, b"")
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as file:
            file.write(first)
            file.writelines(pieces)


def _order(url: str, session: SessionId, what: str, *, as_json: bool, **fields: str | None) -> None:
    with open_api(url, SessionClient) as api:
        outcome = api.order(session, what, fields)
    if outcome.status is not TurnStatus.ANSWERED:
        typer.echo(f"the turn ended as {outcome.status}", err=True)
    if as_json:
        typer.echo(outcome.model_dump_json())
    elif outcome.reply:
        typer.echo(outcome.reply)


def _print_table(sessions: list[SessionSummary]) -> None:
    print_table(
        ("session", "state", "status", "turns", "definition", "channel", "user", "last change"),
        (
            (
                s.session_id,
                s.state,
                s.status,
                s.turn,
                s.definition,
                s.channel,
                s.user_id,
                f"{s.updated_at:%Y-%m-%d %H:%M:%S}",
            )
            for s in sessions
        ),
    )


def _print_session(
    on: Console, detail: SessionDetail, messages: tuple[Message, ...], turns: dict[int, TurnRecord]
) -> None:
    on.print(Text(f"{detail.session_id} · {detail.definition} · {detail.state} · {detail.status}", style="bold"))
    on.print(Text(f"user {detail.user_id} · channel {detail.channel} · {detail.turn} turns"))
    for slot, value in detail.slots.items():
        on.print(Text(f"  {slot}: {value}"))
    for position, message in enumerate(messages):
        withdrawn = "" if message.withdrawn_in is None else f" (withdrawn in turn {message.withdrawn_in})"
        on.print(Text(f"[{message.created_at:%Y-%m-%d %H:%M:%S}] {message.role}{withdrawn}: {message.text}"))
        ends_turn = position + 1 == len(messages) or messages[position + 1].turn != message.turn
        if ends_turn and message.turn in turns:
            for line in evidence(turns[message.turn]):
                on.print(Text(f"    {line}", style="dim"))


def evidence(turn: TurnRecord) -> list[str]:
    """Tell in lines who was asked in a turn, who wasn't, and what came of it."""
    lines = [f"turn {turn.turn} · {turn.status} · {turn.state_before} → {turn.state_after}"]
    lines += [f"passed over: {passed.provider} ({passed.reason})" for passed in turn.passed_over]
    lines += [_attempt(attempt) for attempt in turn.attempts]
    return lines


def _attempt(attempt: AttemptRecord) -> str:
    asked = f"{attempt.key.provider}, attempt {attempt.key.attempt}"
    outcome = attempt.outcome
    if outcome is None:
        return f"{asked}: no outcome yet"
    if outcome.failure is not None:
        return f"{asked}: {outcome.failure} after {outcome.latency_ms:.0f} ms ({outcome.detail})"
    usage = outcome.usage
    tokens_in = usage.input_uncached + usage.input_cached + usage.input_cache_write
    tokens_out = usage.output_visible + usage.output_reasoning
    cost = "" if outcome.cost_usd is None else f", ${outcome.cost_usd}"
    return f"{asked}: answered in {outcome.latency_ms:.0f} ms, {tokens_in} → {tokens_out} tokens{cost}"
