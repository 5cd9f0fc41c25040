"""Everything on one machine: `tertulia up` starts what is not given, connects it, and stops it all together."""

import asyncio
import os
import shutil
import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console

from starter.options import API_URL
from starter.progress import Steps, say
from starter.serve import serve
from starter.work import prepare
from tertulia.config import Settings
from tertulia.domain.errors import TertuliaError
from tertulia.embedded.directory import sole_use
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.tcp import free_port, given_port
from tertulia.embedded.temporal import EmbeddedTemporal
from worker import run_worker

_TEMPORAL_PORT = 7233
_TEMPORAL_UI_PORT = 8233
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KILLED = 130


class Part(Protocol):
    """A composition root: runs until it is cancelled."""

    async def __call__(self, settings: Settings, *, ready: asyncio.Event | None = None) -> None: ...


async def up(settings: Settings, *, open_browser: bool) -> int:
    """Run Postgres, Temporal, the worker and the API until Ctrl-C or SIGTERM.

    Where the settings give a database or a Temporal server, that one is used. A second Ctrl-C ends this process at
    once, and the kernel ends its servers.

    Returns:
        The exit code: 0 after a stop that was asked for, 1 after an error, which has been shown.
    """
    console = Console()
    everything = asyncio.create_task(_run_everything(settings, console, open_browser=open_browser))
    with _stopped_by_signals(everything, console):
        await asyncio.wait({everything})
    if everything.cancelled():
        say(console, "Stopped.")
        return 0
    try:
        everything.result()
    except* TertuliaError as group:
        for error in _leaves(group):
            say(Console(stderr=True), f"tertulia: {error}")
    return 1


async def _run_everything(settings: Settings, console: Console, *, open_browser: bool) -> None:
    port = given_port("the API", settings.port, settings.host)
    settings = settings.model_copy(update={"port": port, "data_dir": settings.data_dir.resolve()})
    steps = Steps(console)
    async with AsyncExitStack() as servers, asyncio.TaskGroup() as parts:
        with steps.shown():
            settings = await _with_servers(settings, servers, steps)
            with steps.step("Database schema and Temporal namespace"):
                await prepare(settings)
            await _start(parts, steps, "Worker", run_worker, settings)
            await _start(parts, steps, "API", serve, settings)
        _show(console, settings)
        if open_browser and console.is_terminal and _has_display():
            await asyncio.to_thread(webbrowser.open, f"{_api_url(settings)}/chat")


async def _with_servers(settings: Settings, servers: AsyncExitStack, steps: Steps) -> Settings:
    """Start the servers that are not given; return the settings with their addresses."""
    needs_postgres, needs_temporal = settings.database_url is None, settings.temporal_address is None
    if needs_postgres or needs_temporal:
        servers.enter_context(sole_use("tertulia", settings.data_dir))
    async with asyncio.TaskGroup() as starting:
        postgres = starting.create_task(_postgres(settings, servers, steps)) if needs_postgres else None
        temporal = starting.create_task(_temporal(settings, servers, steps)) if needs_temporal else None
    ours: dict[str, str] = {}
    if postgres:
        ours["database_url"] = postgres.result().dsn
    if temporal:
        server = temporal.result()
        ours |= {
            "temporal_address": server.address,
            "temporal_namespace": server.namespace,
            "temporal_ui": server.ui_url,
        }
    return settings.model_copy(update=ours)


async def _postgres(settings: Settings, servers: AsyncExitStack, steps: Steps) -> EmbeddedPostgres:
    with steps.step("Postgres"):
        return await servers.enter_async_context(EmbeddedPostgres(settings.data_dir / "postgres"))


async def _temporal(settings: Settings, servers: AsyncExitStack, steps: Steps) -> EmbeddedTemporal:
    with steps.step("Temporal"):
        server = EmbeddedTemporal(
            settings.data_dir / "temporal", port=free_port(_TEMPORAL_PORT), ui_port=free_port(_TEMPORAL_UI_PORT)
        )
        return await servers.enter_async_context(server)


async def _start(parts: asyncio.TaskGroup, steps: Steps, name: str, part: Part, settings: Settings) -> None:
    """Start a part, and return when it is at work; it then runs as long as the group."""
    ready = asyncio.Event()
    with steps.step(name):
        parts.create_task(part(settings, ready=ready))
        await ready.wait()


def _show(console: Console, settings: Settings) -> None:
    providers = ", ".join(provider.name for provider in settings.providers if provider.unusable is None)
    url = _api_url(settings)
    facts = {
        "Chat": f"{url}/chat",
        "": f"or in another terminal: {_command()} chat{'' if url == API_URL else f' --url {url}'}",
        "Console": f"{url}/console",
        "API": f"{url}/docs",
        "Temporal UI": settings.temporal_ui,
        "Temporal": settings.temporal_address,
        "Providers": providers,
        "Data": str(settings.data_dir),
    }
    say(console, "\nTertulia is running. Ctrl-C stops it.")
    for name, value in facts.items():
        if value:
            say(console, f"  {name:<13}{value}")


def _api_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _command() -> str:
    """Return what to type to get this program again."""
    return "tertulia" if shutil.which("tertulia") else os.path.relpath(Path(sys.executable).with_name("tertulia"))


def _has_display() -> bool:
    """Without one, a browser would open inside this terminal."""
    return sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ


@contextmanager
def _stopped_by_signals(everything: asyncio.Task[None], console: Console) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM stop everything in order, and the second one end this process at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop() -> None:
        if asked.is_set():
            console.show_cursor()
            os._exit(_KILLED)
        asked.set()
        say(console, "\nStopping; Ctrl-C once more ends it at once.")
        everything.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
