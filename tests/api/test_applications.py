"""Applications and candidates over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tertulia.domain.conversation import Attachment, OpenSession
from tertulia.domain.ids import SessionId
from tertulia.domain.recruiting.media_types import PDF
from tests.api.recruiting import NOTICE, PERMIT, WHY, YEARS, Office, applied, offer, opened, submitted
from tests.resumes.documents import LINES, pdf, word


@pytest.fixture
async def api(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(database) as (_, client):
        yield client


@pytest.fixture
async def job(api: httpx.AsyncClient) -> str:
    return await offer(api, years=YEARS, notice=NOTICE, permit=PERMIT, why=WHY)


@pytest.mark.usefixtures("job")
async def test_an_application_goes_from_draft_to_hired(api: httpx.AsyncClient) -> None:
    path = await applied(api)
    drafted = (await api.get(path)).json()
    answers = {"years": "five", "notice": "30 days", "permit": "yes"}
    answered = (await api.patch(f"{path}/answers", json={"answers": answers})).json()
    screened = (await api.post(f"{path}/transition", json={"to": "submitted", "by": "candidate"})).json()
    await api.post(f"{path}/transition", json={"to": "shortlisted", "reason": "good"})
    hired = (await api.post(f"{path}/transition", json={"to": "hired"})).json()

    assert (drafted["status"], drafted["unanswered"]) == ("draft", ["years", "notice", "permit"])
    assert (answered["status"], answered["unanswered"]) == ("in_progress", [])
    assert answered["answers"] == {"years": 5, "notice": 30, "permit": True}
    assert (screened["status"], screened["allowed"]) == (
        "screened",
        ["shortlisted", "rejected", "withdrawn", "hired"],
    )
    assert screened["prescreen"]["jd_match_score"] == 54.2
    assert screened["prescreen"]["must_have_failed"] == []
    assert screened["prescreen"]["points"] == {
        "years": {"earned": 37.5, "most": 75},
        "notice": {"earned": 16.7, "most": 25},
    }
    assert (hired["status"], hired["allowed"]) == ("hired", [])
    first = (await api.get(f"{path}/timeline", params={"limit": 4})).json()
    rest = (await api.get(f"{path}/timeline", params={"after": first["next"]})).json()
    assert [(entry["status"], entry["by"]) for entry in first["entries"] + rest["entries"]] == [
        ("draft", "candidate"),
        ("in_progress", "candidate"),
        ("submitted", "candidate"),
        ("screened", "system"),
        ("shortlisted", "recruiter"),
        ("hired", "recruiter"),
    ]
    assert (rest["entries"][0]["reason"], rest["next"]) == ("good", None)


@pytest.mark.usefixtures("job")
async def test_a_refused_transition_names_the_allowed_ones(api: httpx.AsyncClient) -> None:
    path = await applied(api)

    answer = await api.post(f"{path}/transition", json={"to": "hired"})

    assert (answer.status_code, answer.json()["code"]) == (409, "transition_refused")
    assert answer.json()["allowed"] == ["in_progress", "withdrawn"]


@pytest.mark.usefixtures("job")
async def test_what_is_missing_is_named(api: httpx.AsyncClient) -> None:
    path = await applied(api)
    await api.patch(f"{path}/answers", json={"answers": {"years": 3}})

    answer = await api.post(f"{path}/transition", json={"to": "submitted"})

    assert (answer.status_code, answer.json()["detail"]) == (409, "still to be answered: notice, permit")


@pytest.mark.usefixtures("job")
async def test_invalid_answers_are_named_and_nothing_is_taken(api: httpx.AsyncClient) -> None:
    path = await applied(api)

    answer = await api.patch(f"{path}/answers", json={"answers": {"years": 3, "notice": 1500}})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "body.answers", "problem": "notice: is not valid (too large)"}]
    assert (await api.get(path)).json()["answers"] == {}


async def test_a_repeated_application_finds_the_first(api: httpx.AsyncClient, job: str) -> None:
    path = await applied(api)

    again = await api.post("/v1/applications", json={"job_id": "j-1", "user_id": "ada"})

    assert (again.status_code, again.headers["location"]) == (200, path)
    await api.post(f"{job}/close")
    closed = await api.post("/v1/applications", json={"job_id": "j-1", "user_id": "bo"})
    assert (closed.status_code, closed.json()["code"]) == (409, "refused")
    missing = await api.post("/v1/applications", json={"job_id": "j-0", "user_id": "bo"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.usefixtures("job")
async def test_later_applications_begin_with_what_is_known(api: httpx.AsyncClient) -> None:
    await submitted(api, "ada", years=4, notice=10, permit=True, why="I like the place")
    await offer(api, "j-2", notice=NOTICE, permit=PERMIT, why=WHY)

    later = (await api.get(await applied(api, "ada", "j-2"))).json()

    assert later["answers"] == {"notice": 10, "permit": True}
    assert later["unanswered"] == []


@pytest.mark.usefixtures("job")
async def test_applications_are_listed_by_person_job_and_status(api: httpx.AsyncClient) -> None:
    await submitted(api, "ada", years=4, notice=10, permit=True)
    await offer(api, "j-2")
    await applied(api, "ada", "j-2")
    await applied(api, "bo", "j-2")

    async def listed(**where: Any) -> list[tuple[str, str]]:
        page = (await api.get("/v1/applications", params=where)).json()
        return [(each["user_id"], each["job_id"]) for each in page["applications"]]

    assert await listed() == [("bo", "j-2"), ("ada", "j-2"), ("ada", "j-1")]
    assert await listed(user_id="ada") == [("ada", "j-2"), ("ada", "j-1")]
    assert await listed(job_id="j-2", user_id="bo") == [("bo", "j-2")]
    assert await listed(status="screened") == [("ada", "j-1")]
    assert await listed(limit=1) == [("bo", "j-2")]


@pytest.mark.usefixtures("job")
async def test_another_tenant_s_application_is_not_there(api: httpx.AsyncClient) -> None:
    path = await applied(api)
    elsewhere = {"X-Tenant": "umbrella"}

    answers = [
        await api.get(path, headers=elsewhere),
        await api.get(f"{path}/timeline", headers=elsewhere),
        await api.patch(f"{path}/answers", json={"answers": {"years": 1}}, headers=elsewhere),
        await api.post(f"{path}/transition", json={"to": "withdrawn"}, headers=elsewhere),
        await api.post("/v1/applications", json={"job_id": "j-1", "user_id": "ada"}, headers=elsewhere),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not_found")}
    assert (await api.get("/v1/applications", headers=elsewhere)).json()["applications"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"answers": {}},
        {"answers": {"can ary": "\0"}},
        {"answers": ["canary"]},
        {"answers": {"years": 1}, "by": "system"},
        {"answers": {"years": 1}, "canary": 1},
        {},
    ],
)
@pytest.mark.usefixtures("job")
async def test_answers_that_can_not_be_read_are_refused(api: httpx.AsyncClient, body: object) -> None:
    path = await applied(api)

    answer = await api.patch(f"{path}/answers", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "canary" not in answer.text


# --- candidates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"), [(pdf(), "pdf"), (word(), "wordprocessingml"), (b"Ada Lovelace\n", "text")]
)
async def test_a_resume_is_taken_in_read_and_given_back(api: httpx.AsyncClient, content: bytes, kind: str) -> None:
    headers = {"Content-Type": "image/png"}

    taken = await api.put("/v1/candidates/ada/resume", content=content, headers=headers)
    file = await api.get("/v1/candidates/ada/resume/file")

    assert taken.status_code == 200
    assert kind in taken.json()["media_type"]
    assert taken.json()["found"]["name"] == {
        "value": "Ada Lovelace",
        "line": 1,
        "quote": "Ada Lovelace",
        "by": "rule",
    }
    assert (await api.get("/v1/candidates/ada/resume")).json()["found"] == taken.json()["found"]
    assert file.content == content
    assert file.headers["content-disposition"].startswith("attachment")
    assert (await api.get("/v1/candidates/ada/resume", headers={"X-Tenant": "umbrella"})).status_code == 404
    assert (await api.get("/v1/candidates/ada/resume/file", headers={"X-Tenant": "umbrella"})).status_code == 404


async def test_a_resume_fills_what_is_empty_in_the_profile(api: httpx.AsyncClient) -> None:
    await api.patch("/v1/candidates/ada", json={"name": "Augusta"})

    await api.put("/v1/candidates/ada/resume", content="\n".join(LINES).encode())

    profile = (await api.get("/v1/candidates/ada")).json()
    assert (profile["name"], profile["email"], profile["skills"]) == ("Augusta", "ada@example.org", ["Python", "Go"])


@pytest.mark.parametrize("content", [b"", pdf(password="secret"), b"\x89PNG\r\n\x1a\n\0", b"%PDF-1.4 nothing"])
async def test_a_resume_that_can_not_be_read_is_refused_and_not_stored(api: httpx.AsyncClient, content: bytes) -> None:
    answer = await api.put("/v1/candidates/ada/resume", content=content)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert (await api.get("/v1/candidates/ada/resume")).status_code == 404


async def test_a_file_may_be_larger_than_other_bodies_but_not_endless(api: httpx.AsyncClient) -> None:
    large = b"Ada Lovelace\n" + b"many words\n" * 200_000

    taken = await api.put("/v1/candidates/ada/resume", content=large)
    refused = await api.put("/v1/candidates/ada/resume", content=large * 3)

    assert (taken.status_code, taken.json()["size_bytes"]) == (200, len(large))
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")


async def test_a_resume_can_be_erased_by_itself(api: httpx.AsyncClient) -> None:
    await api.put("/v1/candidates/ada/resume", content=b"Ada Lovelace\n")

    assert (await api.delete("/v1/candidates/ada/resume")).status_code == 204

    assert (await api.get("/v1/candidates/ada/resume/file")).status_code == 404
    assert (await api.get("/v1/candidates/ada")).json()["name"] == "Ada Lovelace"


@pytest.mark.usefixtures("job")
async def test_an_erased_candidate_is_gone_from_every_list(api: httpx.AsyncClient) -> None:
    path = await submitted(api, "ada", years=4, notice=10, permit=True)
    await api.put("/v1/candidates/ada/resume", content=pdf())

    assert (await api.delete("/v1/candidates/ada")).status_code == 204

    assert (await api.get(path)).status_code == 404
    assert (await api.get("/v1/jobs/j-1/candidates")).json()["candidates"] == []
    assert (await api.get("/v1/candidates/ada/resume")).status_code == 404
    profile = (await api.get("/v1/candidates/ada")).json()
    assert (profile["name"], profile["answers"]) == (None, {})


@pytest.mark.parametrize(
    "change",
    [
        {"email": "canary"},
        {"phone": "canary"},
        {"links": ["javascript:canary"]},
        {"experience_years": -1},
        {"experience_years": 1e400},
        {"canary": 1},
        {"skills": None},
    ],
)
async def test_a_profile_that_makes_no_sense_is_refused(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    answer = await api.patch(
        "/v1/candidates/ada",
        content=json.dumps(change).encode(),
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "canary" not in answer.text


# --- in a chat --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def office(database: str) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
    async with opened(database) as both:
        yield both


async def test_a_resume_sent_in_a_chat_reaches_it_by_reference_and_is_stored_for_its_person(
    office: tuple[Office, httpx.AsyncClient],
) -> None:
    behind, api = office
    await behind.sessions.open(SessionId("s-1"), OpenSession(definition="recruiting", user_id="ada"))

    answer = await api.put("/v1/sessions/s-1/resume", content=pdf(), headers={"Idempotency-Key": "file-1"})
    again = await api.put("/v1/sessions/s-1/resume", content=pdf(), headers={"Idempotency-Key": "file-1"})

    assert (answer.status_code, answer.json()) == (200, again.json())
    (message,) = behind.sessions.taken
    assert message.message_id == "file-1"
    assert message.attachment == Attachment(
        media_type=PDF, size_bytes=len(pdf()), facts={"name": "Ada Lovelace", "email": "ada@example.org"}
    )
    assert (await api.get("/v1/candidates/ada/resume/file")).content == pdf()


@pytest.mark.parametrize(("session", "content", "status"), [("s-1", b"", 422), ("nowhere", b"Ada\n", 404)])
async def test_a_resume_that_can_not_be_taken_in_disturbs_no_chat(
    office: tuple[Office, httpx.AsyncClient], session: str, content: bytes, status: int
) -> None:
    behind, api = office
    await behind.sessions.open(SessionId("s-1"), OpenSession(definition="recruiting", user_id="ada"))

    assert (await api.put(f"/v1/sessions/{session}/resume", content=content)).status_code == status

    assert behind.sessions.taken == []
    assert (await api.get("/v1/candidates/ada/resume")).status_code == 404
