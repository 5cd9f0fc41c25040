"""The command line: `tertulia`, or `python -m starter`."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from dotenv import load_dotenv
from typer.core import TyperGroup

from starter.options import API_URL, FAILED, MISUSED, ApiUrl
from tertulia.domain.errors import InvalidInput, TertuliaError
from tertulia.domain.ids import SessionId

_INTERRUPTED = 130
# Enough to remember where one was.
_SHOWN_ON_RETURN = 20

# Where the other commands are. A command loads what it needs and nothing else: most of the time it takes is loading.
_ELSEWHERE = {
    "sessions": "session_commands:commands",
    "definitions": "definition_commands:commands",
    "keys": "key_commands:commands",
    "channels": "channel_commands:commands",
    "providers": "provider_commands:commands",
    "jobs": "job_commands:commands",
    "applications": "application_commands:commands",
    "analytics": "analytics_commands:analytics",
}


class _Commands(TyperGroup):
    """All commands, of which those elsewhere are loaded when they are called for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, name = _ELSEWHERE[cmd_name].partition(":")
        found = getattr(import_module(f"starter.{module}"), name)
        holder = typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=cmd_name)
        else:
            holder.command(cmd_name)(found)
        return typer.main.get_group(holder).commands[cmd_name]


app = typer.Typer(
    cls=_Commands,
    name="tertulia",
    help="Durable conversations on Temporal.",
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks with local variables would show keys.
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    *,
    host: Annotated[str | None, typer.Option(help="Where the API listens.  [TERTULIA_HOST]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port.  [TERTULIA_PORT]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where everything is kept.  [TERTULIA_DATA_DIR]")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Run everything on this machine: Postgres, Temporal, a worker and the API."""
    from starter.process_settings import process_settings
    from starter.up import up as run

    settings = process_settings(TERTULIA_HOST=host, TERTULIA_PORT=port, TERTULIA_DATA_DIR=data_dir)
    raise typer.Exit(asyncio.run(run(settings, open_browser=not no_open)))


@app.command()
def worker() -> None:
    """Run a worker; it needs DATABASE_URL and TEMPORAL_ADDRESS."""
    from starter.process_settings import process_settings
    from starter.work import work

    _run_until_stopped(work(process_settings()))


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Where to listen.  [TERTULIA_HOST]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="On which port.  [TERTULIA_PORT]")] = None,
) -> None:
    """Serve the API; it needs DATABASE_URL and TEMPORAL_ADDRESS."""
    from starter.process_settings import process_settings
    from starter.serve import serve as run

    _run_until_stopped(run(process_settings(TERTULIA_HOST=host, TERTULIA_PORT=port)))


@app.command()
def chat(
    *,
    definition: Annotated[str, typer.Option(help="Which application to talk to.")] = "recruiting",
    session: Annotated[str | None, typer.Option(help="Go on with this session.")] = None,
    user: Annotated[str, typer.Option(help="Who talks.", envvar="USER", show_envvar=False)] = "terminal",
    url: ApiUrl = API_URL,
) -> None:
    """Chat in the terminal. With a pipe each line is a message, and each reply goes to standard output."""
    from starter.api_client import open_api
    from starter.chat import chat as talk
    from starter.chat import screen
    from starter.session_client import SessionClient
    from tertulia.domain.conversation import NextAction

    with open_api(url, SessionClient) as api:
        if session is None:
            opened = api.start({"definition": definition, "user_id": user, "channel": "terminal"})
            talk(api, screen(), opened.session_id, opened.messages, opened.next_action, url=url)
        else:
            detail = api.session(SessionId(session))
            said = api.last_messages(detail.session_id, _SHOWN_ON_RETURN)
            talk(api, screen(), detail.session_id, said, detail.next_action or NextAction(kind="talk"), url=url)


@app.command()
def openapi() -> None:
    """Print the description of the API, as clients are generated from."""
    from tertulia.api.app import description

    typer.echo(json.dumps(description(), indent=1, ensure_ascii=False))


@app.command()
def doctor(url: ApiUrl = API_URL) -> None:
    """Tell what can be reached, and what to do about what can't."""
    from starter.doctor import examine

    findings = asyncio.run(examine(url))
    for finding in findings:
        typer.echo(finding)
    raise typer.Exit(FAILED if any(not finding.ok for finding in findings) else 0)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process.

    The interpreter's own way out is not taken: one in ten processes in which the Temporal client's threads have run
    crashes on it (github.com/temporalio/sdk-python/issues/300).
    """
    # Into the environment, so that it counts for what others read there too: Temporal's client, the HTTP server.
    load_dotenv(".env")
    code = _run(arguments)
    for stream in (sys.stdout, sys.stderr):
        # Whoever read our output may have left.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(arguments, prog_name="tertulia")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except TertuliaError as error:
        typer.echo(f"tertulia: {error}", err=True)
        return MISUSED if isinstance(error, InvalidInput) else FAILED
    except BrokenPipeError:
        return FAILED
    except BaseException:  # noqa: BLE001 the process's edge
        traceback.print_exc()
        return FAILED
    return 0


def _run_until_stopped(part: Coroutine[Any, Any, None]) -> None:
    """Run a part until Ctrl-C or SIGTERM, and let it end in order."""
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_stoppable(part))


async def _stoppable(part: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(part)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await task
