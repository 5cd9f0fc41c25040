"""Stored profiles and résumés, and their erasure."""

import asyncio

import pytest

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import ApplicationId, TenantId
from tertulia.domain.recruiting.applications import ApplicationFilter
from tertulia.domain.recruiting.profiles import Profile, corrected, remembering
from tertulia.domain.recruiting.resumes import Found, Resume, ResumeFile, StoredResume
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tests.domain.applying import NOON, question
from tests.domain.applying import job as a_job

from .examples import at
from .test_applications import ENGINEER, begun

ACME, UMBRELLA = TenantId("acme"), TenantId("umbrella")
PDF = ResumeFile("application/pdf", b"%PDF-1.7\n\x00\xff")
FOUND = Resume(name=Found(value="Ada", line=3, quote="Ada"), skills=(Found(value="C++", line=9, quote="Go, C++"),))


@pytest.fixture
def stored(pool: Pool) -> PostgresCandidates:
    return PostgresCandidates(pool)


async def test_nothing_is_known_of_a_stranger(stored: PostgresCandidates) -> None:
    assert await stored.profile(ACME, "ada") == Profile(user_id="ada")
    assert await stored.resume(ACME, "ada") is None
    assert await stored.resume_file(ACME, "ada") is None


async def test_a_profile_is_read_as_it_was_stored(stored: PostgresCandidates) -> None:
    everything = {
        "name": "Ada",
        "email": "ada@example.org",
        "phone": "+34612345678",
        "location": "Madrid",
        "links": ("https://ada.dev",),
        "experience_years": 7.5,
        "skills": ("Python", "C++"),
        "answers": {"years": 7, "modes": ["remote"]},
    }

    changed = await stored.change(ACME, "ada", lambda before: corrected(before, everything, NOON))

    assert changed == Profile(user_id="ada", updated_at=NOON, **everything)
    assert await stored.profile(ACME, "ada") == changed
    assert await stored.profile(UMBRELLA, "ada") == Profile(user_id="ada")


async def test_answers_learnt_at_the_same_time_are_all_kept(stored: PostgresCandidates) -> None:
    asking = a_job(*(question(f"q{number}") for number in range(10)))

    await asyncio.gather(
        *(
            stored.change(ACME, "ada", lambda before, n=number: remembering(before, asking, {f"q{n}": n}, NOON))  # type: ignore[misc]
            for number in range(10)
        )
    )

    assert (await stored.profile(ACME, "ada")).answers == {f"q{number}": number for number in range(10)}


async def test_a_resume_is_read_as_it_was_uploaded(stored: PostgresCandidates) -> None:
    await stored.store_resume(ACME, "ada", PDF, FOUND, NOON)

    assert await stored.resume_file(ACME, "ada") == PDF
    assert await stored.resume(ACME, "ada") == StoredResume(
        media_type="application/pdf", size_bytes=11, found=FOUND, uploaded_at=NOON
    )
    assert await stored.resume_file(UMBRELLA, "ada") is None


async def test_the_newest_resume_takes_the_place_of_the_one_before(stored: PostgresCandidates) -> None:
    await stored.store_resume(ACME, "ada", PDF, FOUND, NOON)
    text = ResumeFile("text/plain", b"Ada")

    await stored.store_resume(ACME, "ada", text, Resume(), at(1))

    assert await stored.resume_file(ACME, "ada") == text


async def test_a_resume_can_be_removed_by_itself(stored: PostgresCandidates) -> None:
    await stored.store_resume(ACME, "ada", PDF, FOUND, NOON)
    await stored.change(ACME, "ada", lambda before: corrected(before, {"name": "Ada"}, NOON))

    await stored.remove_resume(ACME, "ada")

    assert await stored.resume(ACME, "ada") is None
    assert (await stored.profile(ACME, "ada")).name == "Ada"


async def test_erasing_a_person_leaves_nothing_of_them_and_everything_of_others(
    stored: PostgresCandidates, pool: Pool
) -> None:
    applications = PostgresApplications(pool)
    for tenant, person in ((ACME, "ada"), (ACME, "bo"), (UMBRELLA, "ada")):
        await PostgresJobs(pool).create(tenant, ENGINEER)
        await applications.open(tenant, begun(f"a-{person}", person))
        await stored.store_resume(tenant, person, PDF, FOUND, NOON)
        await stored.change(tenant, person, lambda before: corrected(before, {"name": "A name"}, NOON))

    await stored.erase(ACME, "ada")

    with pytest.raises(NotFound):
        await applications.get(ACME, ApplicationId("a-ada"))
    assert await applications.timeline(ACME, ApplicationId("a-ada")) == []
    assert await stored.resume(ACME, "ada") is None
    assert await stored.profile(ACME, "ada") == Profile(user_id="ada")
    for tenant, person in ((ACME, "bo"), (UMBRELLA, "ada")):
        assert len((await applications.find(tenant, ApplicationFilter(user_id=person))).applications) == 1
        assert await stored.resume_file(tenant, person) == PDF
        assert (await stored.profile(tenant, person)).name == "A name"
