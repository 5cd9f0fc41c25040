"""A server's data directory: whether it can be used, and by whom; one at a time."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tertulia.domain.errors import CannotStart

_POLL_S = 0.02
# An empty PostgreSQL takes 40 MB, and its write-ahead log grows by 16 MB at a time.
_LEAST_SPACE_MB = 64


@contextmanager
def explained(part: str) -> Iterator[None]:
    """Turn what the operating system refuses (full disk, no permission, read-only) into a CannotStart."""
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise CannotStart(part, f"{error.strerror or error}{where}") from error


@contextmanager
def sole_use(part: str, directory: Path) -> Iterator[None]:
    """Hold a data directory, made if it is missing, until the block ends or this process dies.

    Raises:
        CannotStart: Another process holds it, or it can't be written.
    """
    with explained(part):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _open(directory / "lock")
    try:
        with explained(part):
            if not _take(lock):
                holder = os.pread(lock, 20, 0).decode() or "unknown"
                problem = f"{directory} is in use by another tertulia (process {holder}); stop that one first"
                raise CannotStart(part, problem)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def require_space(part: str, directory: Path) -> None:
    """Refuse a disk that is as good as full: a server would die on it, and could not even write why.

    Raises:
        CannotStart: With how much is free.
    """
    free_mb = shutil.disk_usage(directory).free // 2**20
    if free_mb < _LEAST_SPACE_MB:
        raise CannotStart(part, f"only {free_mb} MB are free at {directory}; it needs {_LEAST_SPACE_MB} MB at least")


async def claim(part: str, path: Path, timeout_s: float) -> int:
    """Take a lock that a server inherits, and that therefore lasts until the last of its processes has ended.

    Args:
        timeout_s: How long to wait for what an earlier server left running.

    Returns:
        The locked file descriptor, to be passed to the server and then closed here.

    Raises:
        CannotStart: Something still runs in the data directory.
    """
    with explained(part):
        lock = _open(path)
        try:
            await _taken(part, path, lock, timeout_s)
        except BaseException:
            os.close(lock)
            raise
    return lock


async def _taken(part: str, path: Path, lock: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _take(lock):
        if time.monotonic() > deadline:
            raise CannotStart(part, f"an earlier one still runs in {path.parent}; end it first")
        await asyncio.sleep(_POLL_S)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
