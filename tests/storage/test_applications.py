"""Stored applications, their timelines, and the lists of candidates."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import InvalidInput, NotFound, TransitionRefused
from tertulia.domain.ids import ApplicationId, JobId, SessionId, TenantId
from tertulia.domain.recruiting.applications import (
    DECIDED,
    Actor,
    Application,
    ApplicationFilter,
    ApplicationStatus,
    Kind,
    Step,
    ToApply,
    answered,
    created,
    moved,
)
from tertulia.domain.recruiting.jobs import JobFilter, JobStatus
from tertulia.domain.recruiting.profiles import Profile, corrected
from tertulia.storage import applications, cursors, jobs, profiles
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tests.domain.applying import ADA, NOON, job, question

from .examples import at
from .test_schema import explained

ACME, UMBRELLA = TenantId("acme"), TenantId("umbrella")
EVERYTHING = ApplicationFilter()
ENGINEER = job(
    question("years", weight=1, fit={"worst": 0, "best": 8}), question("why", "text", required=False), job_id="engineer"
)
BAKER = job(job_id="baker")


@pytest.fixture
async def stored(pool: Pool) -> PostgresApplications:
    for tenant in (ACME, UMBRELLA):
        for each in (ENGINEER, BAKER):
            await PostgresJobs(pool).create(tenant, each)
    return PostgresApplications(pool)


def begun(application_id: str = "a-1", user_id: str = "ada", *, of: str = "engineer", minute: float = 0) -> Step:
    order = ToApply(
        application_id=ApplicationId(application_id), user_id=user_id, session_id=SessionId(f"s-{application_id}")
    )
    return created(order, ENGINEER if of == "engineer" else BAKER, ADA, Actor.CANDIDATE, at(minute))


def answering(**answers: object) -> Callable[[Application], Step]:
    return lambda before: answered(before, ENGINEER, answers, Actor.CANDIDATE, NOON)  # type: ignore[arg-type]


def moving(to: ApplicationStatus) -> Callable[[Application], Step]:
    return lambda before: moved(before, to, ENGINEER, Actor.RECRUITER, NOON, "because")


async def screened(stored: PostgresApplications, application_id: str, user_id: str, years: float) -> None:
    await stored.open(ACME, begun(application_id, user_id))
    await stored.change(ACME, ApplicationId(application_id), answering(years=years))
    await stored.change(ACME, ApplicationId(application_id), moving(ApplicationStatus.SUBMITTED))


async def test_an_application_is_read_as_it_was_stored(stored: PostgresApplications) -> None:
    opened = await stored.open(ACME, begun())
    await stored.change(ACME, opened.application_id, answering(years=4, why="I like to build things 🛠"))
    after = await stored.change(ACME, opened.application_id, moving(ApplicationStatus.SUBMITTED))

    assert after.prescreen is not None
    assert await stored.get(ACME, opened.application_id) == after


async def test_the_timeline_tells_each_step_in_order(stored: PostgresApplications) -> None:
    await stored.open(ACME, begun())
    await stored.change(ACME, ApplicationId("a-1"), answering(years=4))
    await stored.change(ACME, ApplicationId("a-1"), answering(years=4))
    await stored.change(ACME, ApplicationId("a-1"), moving(ApplicationStatus.SUBMITTED))

    told = await stored.timeline(ACME, ApplicationId("a-1"))

    assert [(entry.seq, entry.kind, entry.status, entry.by, entry.qids, entry.reason) for entry in told] == [
        (1, "created", "draft", "candidate", (), ""),
        (2, "answered", "in_progress", "candidate", ("years",), ""),
        (3, "moved", "submitted", "recruiter", (), "because"),
        (4, "moved", "screened", "system", (), ""),
    ]
    assert await stored.timeline(ACME, ApplicationId("a-1"), after=1, limit=2) == told[1:3]


async def test_a_person_has_one_application_for_a_job_until_it_is_decided(stored: PostgresApplications) -> None:
    first = await stored.open(ACME, begun("a-1"))

    assert await stored.open(ACME, begun("a-2")) == first
    assert (await stored.open(ACME, begun("a-3", of="baker"))).application_id == "a-3"
    await stored.change(ACME, first.application_id, moving(ApplicationStatus.WITHDRAWN))
    assert (await stored.open(ACME, begun("a-4"))).application_id == "a-4"


async def test_of_many_at_once_one_is_opened(stored: PostgresApplications) -> None:
    opened = await asyncio.gather(*(stored.open(ACME, begun(f"a-{number}")) for number in range(10)))

    assert len({each.application_id for each in opened}) == 1
    assert len(await stored.timeline(ACME, opened[0].application_id)) == 1


async def test_answers_given_at_the_same_time_are_all_kept_and_told(stored: PostgresApplications) -> None:
    await stored.open(ACME, begun())

    await asyncio.gather(
        *(stored.change(ACME, ApplicationId("a-1"), answering(years=number)) for number in range(1, 11))
    )

    told = await stored.timeline(ACME, ApplicationId("a-1"))
    assert [entry.seq for entry in told] == list(range(1, 12))


async def test_a_refused_step_leaves_no_trace(stored: PostgresApplications) -> None:
    await stored.open(ACME, begun())

    with pytest.raises(TransitionRefused):
        await stored.change(ACME, ApplicationId("a-1"), moving(ApplicationStatus.HIRED))

    assert (await stored.get(ACME, ApplicationId("a-1"))).status is ApplicationStatus.DRAFT
    assert len(await stored.timeline(ACME, ApplicationId("a-1"))) == 1


async def test_an_application_is_its_tenant_s_alone(stored: PostgresApplications) -> None:
    await stored.open(ACME, begun())

    with pytest.raises(NotFound):
        await stored.get(UMBRELLA, ApplicationId("a-1"))
    with pytest.raises(NotFound):
        await stored.change(UMBRELLA, ApplicationId("a-1"), moving(ApplicationStatus.WITHDRAWN))
    assert await stored.timeline(UMBRELLA, ApplicationId("a-1")) == []
    assert (await stored.find(UMBRELLA, EVERYTHING)).applications == ()
    assert (await stored.candidates(UMBRELLA, ENGINEER.job_id)).candidates == ()
    assert (await stored.open(UMBRELLA, begun("a-9"))).application_id == "a-9"


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (EVERYTHING, ["a4", "a3", "a2", "a1", "a0"]),
        (ApplicationFilter(user_id="ada"), ["a4", "a0"]),
        (ApplicationFilter(job_id="baker"), ["a4"]),
        (ApplicationFilter(status=ApplicationStatus.WITHDRAWN, job_id="engineer"), ["a1"]),
    ],
)
async def test_applications_are_listed_newest_first_on_pages_of_any_size(
    stored: PostgresApplications, where: ApplicationFilter, expected: list[str], limit: int
) -> None:
    for number, person in enumerate(["ada", "bo", "cy", "di"]):
        await stored.open(ACME, begun(f"a{number}", person, minute=number // 2))
    await stored.open(ACME, begun("a4", "ada", of="baker", minute=9))
    await stored.change(ACME, ApplicationId("a1"), moving(ApplicationStatus.WITHDRAWN))

    found: list[str] = []
    cursor = None
    while True:
        page = await stored.find(ACME, where, cursor=cursor, limit=limit)
        found += [each.application_id for each in page.applications]
        cursor = page.next
        if cursor is None:
            break
    assert found == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
async def test_candidates_are_listed_best_first_and_unscreened_ones_last(
    stored: PostgresApplications, limit: int
) -> None:
    await screened(stored, "a1", "ada", 2)
    await screened(stored, "a2", "bo", 6)
    await screened(stored, "a3", "cy", 6)
    await stored.open(ACME, begun("a4", "di"))

    found: list[str] = []
    cursor = None
    while True:
        page = await stored.candidates(ACME, ENGINEER.job_id, cursor=cursor, limit=limit)
        found += [each.application.user_id for each in page.candidates]
        cursor = page.next
        if cursor is None:
            break
    assert found == ["cy", "bo", "ada", "di"]


async def test_candidates_come_with_what_is_known_of_them(stored: PostgresApplications, pool: Pool) -> None:
    await PostgresCandidates(pool).change(ACME, "ada", lambda before: corrected(before, {"name": "Ada"}, NOON))
    await stored.open(ACME, begun("a1", "ada"))
    await stored.open(ACME, begun("a2", "bo"))

    page = await stored.candidates(ACME, ENGINEER.job_id)

    assert [each.profile for each in page.candidates] == [
        Profile(user_id="bo"),
        Profile(user_id="ada", name="Ada", updated_at=NOON),
    ]


@settings(max_examples=50)
@given(cursor=st.text(min_size=1) | st.sampled_from(["bmFuIGEx", "aW5mIGEx", "MWUzMDkgYQ==", "MSAA"]))
async def test_no_cursor_breaks_a_list(stored: PostgresApplications, cursor: str) -> None:
    with suppress(InvalidInput):
        await stored.find(ACME, EVERYTHING, cursor=cursor)
    with suppress(InvalidInput):
        await stored.candidates(ACME, ENGINEER.job_id, cursor=cursor)


# --- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column", "values"),
    [
        ("jobs", "status", {"open", "closed"}),
        ("applications", "status", {*ApplicationStatus}),
        ("application_timeline", "by", {*Actor}),
        ("application_timeline", "kind", {*get_args(Kind)}),
    ],
)
async def test_closed_sets_are_the_same_in_the_tables_and_in_the_code(
    pool: Pool, table: str, column: str, values: set[str]
) -> None:
    async with pool.connection() as connection:
        check = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", f"{table}_{column}_check"
        )

    assert set(check.split("'")[1::2]) == {str(value) for value in values}


async def test_what_is_decided_is_the_same_in_the_index_and_in_the_code(pool: Pool) -> None:
    async with pool.connection() as connection:
        index = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'applications_undecided'")

    assert set(index.partition(" WHERE ")[2].split("'")[1::2]) == {str(status) for status in DECIDED}


_CROWD = """
WITH offered AS (
    INSERT INTO jobs (tenant, job_id, title, description, location, skills, currency, status, questions, created_at,
                      updated_at)
    SELECT 't' || n % 3, 'j' || n, 'Engineer', '', '', '[]', 'EUR', CASE n % 2 WHEN 0 THEN 'open' ELSE 'closed' END,
           '[]', now() - n * interval '1 minute', now()
    FROM generate_series(1, 12000) AS n
)
INSERT INTO applications (tenant, application_id, job_id, user_id, status, answers, prescreen, created_at, updated_at)
SELECT 't' || n % 3, 'a' || n, 'j' || n % 20, 'u' || n % 20, 'rejected', '{}',
       jsonb_build_object('jd_match_score', n % 100), now() - n * interval '1 minute', now()
FROM generate_series(1, 20000) AS n
"""


async def test_every_list_and_read_finds_an_index_that_has_its_order(pool: Pool) -> None:
    async with pool.connection() as connection:
        # Applications for jobs of other tenants are as good for this as any.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_CROWD)
        await connection.execute("RESET session_replication_role")
        await connection.execute("ANALYZE")
    tenant, place = TenantId("t1"), cursors.encode(at(0), "a1")
    statements = [
        jobs._listing(tenant, wanted, cursor, 51)
        for wanted in (JobFilter(), JobFilter(status=JobStatus.OPEN))
        for cursor in (None, place)
    ] + [
        applications._listing(tenant, ApplicationFilter(**wanted), cursor, 51)
        for wanted in ({}, {"user_id": "u1"}, {"job_id": "j2"})
        for cursor in (None, place)
    ]
    candidates: tuple[str, list[object]] = (
        applications._CANDIDATES + applications._BEHIND + applications._BEST_FIRST,
        [tenant, "j2", 51, 50.0, "a1"],
    )
    of_session: tuple[str, list[object]] = (applications._OF_SESSION, ["s1", 3])
    profile: tuple[str, list[object]] = (profiles._SELECT, [tenant, "u1"])
    for statement, arguments in [*statements, candidates, of_session, profile]:
        plan = await explained(pool, statement, arguments)
        assert "Seq Scan on jobs" not in plan, plan
        assert "Seq Scan on applications" not in plan, plan
        assert "Sort" not in plan or statement is applications._OF_SESSION, plan


async def test_an_application_needs_its_job(stored: PostgresApplications) -> None:
    step = begun()
    elsewhere = step.application.model_copy(update={"job_id": JobId("nowhere")})

    with pytest.raises(Exception, match="foreign key"):
        await stored.open(ACME, Step(elsewhere, step.entries))
