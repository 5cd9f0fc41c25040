"""Stored jobs."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import JobId, TenantId
from tertulia.domain.recruiting import jobs
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobStatus
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tests.domain.applying import NOON, job, question

from .examples import at

ACME, UMBRELLA = TenantId("acme"), TenantId("umbrella")
EVERYTHING = JobFilter()
ENGINEER = job(
    question(
        "years", weight=0.5, must_have=True, validation_rule={"unit": "years", "min": 2}, fit={"worst": 2, "best": 8}
    ),
    question("mode", "choice", choices=["remote", "office"], fit={"worth": {"office": 0.5}}),
    question("start", "date", required=False, validation_rule={"not_before": "today", "not_after": "2027-01-01"}),
    title="Engineer 🛠",
    description="Builds\nthings",
    location="Madrid",
    skills=["Python", "SQL"],
    currency="CHF",
)


@pytest.fixture
def stored(pool: Pool) -> PostgresJobs:
    return PostgresJobs(pool)


async def many(stored: PostgresJobs, number: int = 7) -> None:
    """Jobs j0, j1, …, two in each minute; the odd ones are closed."""
    for each in range(number):
        made = job(job_id=f"j{each}", created_at=at(each // 2), status="closed" if each % 2 else "open")
        await stored.create(ACME, made)


async def ids(stored: PostgresJobs, where: JobFilter = EVERYTHING, *, limit: int = 50) -> list[str]:
    """Read a list to its end."""
    found: list[str] = []
    cursor = None
    while True:
        page = await stored.find(ACME, where, cursor=cursor, limit=limit)
        found += [each.job_id for each in page.jobs]
        if page.next is None:
            return found
        cursor = page.next


async def test_a_job_is_read_as_it_was_stored(stored: PostgresJobs) -> None:
    assert await stored.create(ACME, ENGINEER) == ENGINEER
    assert await stored.get(ACME, ENGINEER.job_id) == ENGINEER


async def test_the_first_job_of_an_id_stays(stored: PostgresJobs) -> None:
    await stored.create(ACME, ENGINEER)

    assert await stored.create(ACME, job(title="Baker")) == ENGINEER


async def test_a_job_is_its_tenant_s_alone(stored: PostgresJobs) -> None:
    await stored.create(ACME, ENGINEER)

    with pytest.raises(NotFound):
        await stored.get(UMBRELLA, ENGINEER.job_id)
    with pytest.raises(NotFound):
        await stored.change(UMBRELLA, ENGINEER.job_id, lambda job: job)
    assert (await stored.find(UMBRELLA, EVERYTHING)).jobs == ()
    assert await stored.create(UMBRELLA, job(title="Baker")) == job(title="Baker")


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_of_any_size_together_are_the_list(stored: PostgresJobs, limit: int) -> None:
    await many(stored)

    assert await ids(stored, limit=limit) == ["j6", "j5", "j4", "j3", "j2", "j1", "j0"]
    assert await ids(stored, JobFilter(status=JobStatus.CLOSED), limit=limit) == ["j5", "j3", "j1"]


async def test_changes_at_the_same_time_are_all_kept(stored: PostgresJobs) -> None:
    await stored.create(ACME, job())

    def adding(number: int) -> Any:
        return lambda before: jobs.with_question(before, question(f"q{number}"), NOON)

    await asyncio.gather(*(stored.change(ACME, JobId("j-1"), adding(number)) for number in range(10)))

    after = await stored.get(ACME, JobId("j-1"))
    assert {each.qid for each in after.questions} == {f"q{number}" for number in range(10)}


async def test_a_refused_change_leaves_the_job_as_it_was(stored: PostgresJobs) -> None:
    await stored.create(ACME, ENGINEER)

    def refuse(_: Job) -> Job:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        await stored.change(ACME, ENGINEER.job_id, refuse)

    assert await stored.get(ACME, ENGINEER.job_id) == ENGINEER


@pytest.mark.parametrize("cursor", ["x", "bm9uc2Vuc2U=", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCBz", "\0", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(stored: PostgresJobs, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await stored.find(ACME, EVERYTHING, cursor=cursor)


@settings(max_examples=50)
@given(cursor=st.text(min_size=1) | st.binary().map(lambda raw: raw.hex()))
async def test_no_cursor_breaks_the_list(stored: PostgresJobs, cursor: str) -> None:
    with suppress(InvalidInput):
        await stored.find(ACME, EVERYTHING, cursor=cursor)
