"""However much there is, figures are read from an index that has all that they count."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from benchmarks.analytics import A_MONTH, A_PART, EVERYTHING, STATEMENTS, load, reads
from tertulia.domain.analytics import Selection
from tertulia.storage.pool import Pool, connect, open_pool

# A twentieth of the million messages for which plans are made in earnest. Costs grow with the number of pages, on both
# sides of each choice, so that it comes out the same; `make bench` holds the plans of the million against these rules.
SESSIONS = 2_500
# Of these a large part of what there is may have to be read.
COVERED = ("turns", "passages", "attempts", "messages")
# Here a table that is read as a whole is read fastest as it stands; a part of it is to be found by an index.
FOUND = ("sessions", "applications")
SMALL = ("segments", "jobs")


@pytest.fixture(scope="module")
async def crowd(postgres_dsn: str, migrated_template: str) -> AsyncIterator[Pool]:
    """Fifty thousand messages in sessions of two tenants."""
    name = f"crowd_{uuid4().hex}"
    async with connect(postgres_dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
        dsn = urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
        async with connect(dsn) as loading:
            await load(loading, sessions=SESSIONS)
        async with open_pool(dsn) as pool:
            yield pool
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("figure", STATEMENTS)
@pytest.mark.parametrize("of", [EVERYTHING, A_MONTH, A_PART], ids=["everything", "a month", "a part"])
async def test_what_is_large_is_read_from_an_index_alone(crowd: Pool, figure: str, of: Selection) -> None:
    found = await reads(crowd, STATEMENTS[figure](of), of)

    assert {table for _, table in found} <= {*COVERED, *FOUND, *SMALL}
    assert {how for how, table in found if table in COVERED} <= {"Index Only Scan"}, found


@pytest.mark.parametrize("figure", STATEMENTS)
async def test_a_part_of_the_sessions_and_applications_is_found_by_an_index(crowd: Pool, figure: str) -> None:
    found = await reads(crowd, STATEMENTS[figure](A_PART), A_PART)

    assert "Seq Scan" not in {how for how, table in found if table in FOUND}, found


async def test_what_was_loaded_is_as_large_as_it_is_said_to_be(crowd: Pool) -> None:
    async with crowd.connection() as connection:
        messages = await connection.fetchval("SELECT count(*) FROM messages")

    assert 40_000 < messages < 70_000
