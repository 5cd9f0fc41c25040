"""The schema, as numbered SQL files: applied once, in order, each whole or not at all, and never edited afterwards."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tertulia.domain.errors import CannotStart
from tertulia.storage.pool import Connection, connect

MIGRATIONS = Path(__file__).with_suffix("")

# Any number will do, as long as nobody else locks by it in the same database.
_LOCK = "SELECT pg_advisory_xact_lock(7226914350117284)"
_CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_APPLIED = "SELECT name, sha256 FROM schema_migrations ORDER BY name"
_RECORD = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; its name orders it, and its digest tells whether it was edited."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


async def migrate(dsn: str, *, directory: Path = MIGRATIONS) -> Sequence[str]:
    """Bring a database up to date; any number of processes may do so at once.

    Returns:
        Names of the migrations that this call has applied, in order.

    Raises:
        CannotStart: The database is newer than this code, or was made by a migration that has been edited since.
        Unavailable: Postgres can't be reached.
    """
    known = _known(directory)
    applied = []
    async with connect(dsn) as connection:
        while migration := await _apply_next(connection, known):
            applied.append(migration.name)
    return applied


def _known(directory: Path) -> Sequence[Migration]:
    return [Migration(file.stem, file.read_text(encoding="utf-8")) for file in sorted(directory.glob("*.sql"))]


async def _apply_next(connection: Connection, known: Sequence[Migration]) -> Migration | None:
    async with connection.transaction():
        await connection.execute(_LOCK)
        await connection.execute(_CREATE_LEDGER)
        applied = [(row["name"], row["sha256"]) for row in await connection.fetch(_APPLIED)]
        _check(known, applied)
        if len(applied) == len(known):
            return None
        migration = known[len(applied)]
        await connection.execute(migration.sql)
        await connection.execute(_RECORD, migration.name, migration.sha256)
        return migration


def _check(known: Sequence[Migration], applied: Sequence[tuple[str, str]]) -> None:
    by_name = {migration.name: migration.sha256 for migration in known}
    for name, sha256 in applied:
        if name not in by_name:
            raise CannotStart(
                "the database", f"it was migrated by a newer version of Tertulia ({name}); start that one"
            )
        if by_name[name] != sha256:
            raise CannotStart(
                "the database", f"migration {name} was edited after it had been applied; restore the file"
            )
