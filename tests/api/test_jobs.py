"""Jobs over HTTP."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tertulia.domain.errors import Unavailable
from tests.api.recruiting import NOTICE, PERMIT, WHY, YEARS, Office, ScriptedSuggester, offer, opened, submitted
from tests.domain.applying import question


@pytest.fixture
async def office(database: str) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
    async with opened(database) as both:
        yield both


@pytest.fixture
def api(office: tuple[Office, httpx.AsyncClient]) -> httpx.AsyncClient:
    return office[1]


async def test_a_job_is_created_read_changed_and_closed(api: httpx.AsyncClient) -> None:
    created = await api.post("/v1/jobs", json={"title": "Engineer", "skills": ["Go"], "description": "Build\nthings"})
    path = created.headers["location"]

    changed = await api.patch(path, json={"title": "Senior engineer"})
    closed = await api.post(f"{path}/close")

    assert created.status_code == 201
    assert created.json()["questions"] == []
    assert (changed.json()["title"], changed.json()["skills"]) == ("Senior engineer", ["Go"])
    assert closed.json()["status"] == "closed"
    assert (await api.get(path)).json() == closed.json()
    assert (await api.patch(path, json={"title": "Other"})).json()["code"] == "refused"


async def test_a_job_with_an_id_of_the_client_s_choice_is_created_once(api: httpx.AsyncClient) -> None:
    first = await api.post("/v1/jobs", json={"title": "Engineer"}, headers={"Idempotency-Key": "j-9"})
    again = await api.post("/v1/jobs", json={"title": "Engineer", "job_id": "j-9"})
    other = await api.post("/v1/jobs", json={"title": "Baker", "job_id": "j-9"})

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "refused")


async def test_jobs_are_listed_page_by_page(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await offer(api, f"j-{number}")
    await api.post("/v1/jobs/j-1/close")

    first = (await api.get("/v1/jobs", params={"limit": 3})).json()
    second = (await api.get("/v1/jobs", params={"limit": 3, "cursor": first["next"]})).json()
    closed = (await api.get("/v1/jobs", params={"status": "closed"})).json()

    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == ["j-4", "j-3", "j-2", "j-1", "j-0"]
    assert second["next"] is None
    assert [job["job_id"] for job in closed["jobs"]] == ["j-1"]


async def test_questions_are_put_listed_and_deleted(api: httpx.AsyncClient) -> None:
    job = await offer(api, years=YEARS, permit=PERMIT)

    await api.put(f"{job}/questions/years", json={**YEARS, "weight": 0.5})
    listed = (await api.get(f"{job}/questions")).json()["questions"]
    deleted = await api.delete(f"{job}/questions/permit")

    assert [(each["qid"], each["weight"], each["must_have"]) for each in listed] == [
        ("years", 0.5, False),
        ("permit", 0.0, True),
    ]
    assert deleted.status_code == 204
    assert [each["qid"] for each in (await api.get(job)).json()["questions"]] == ["years"]
    assert (await api.delete(f"{job}/questions/permit")).status_code == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"validation_rule": {"min_length": 3}}, "min_length does not go with this type"),
        ({"fit": {"best": 3}}, "belong together"),
        ({"fit": {"canary": 3}}, ""),
        ({"validation_rule": {"unit": "\ud800"}}, ""),
        ({"validation_rule": {"min": 1e400}}, ""),
        ({"weight": 2}, ""),
        ({"weight": True}, ""),
        ({"fit": {"best": False, "worst": 90}}, ""),
        ({"weight": "nan"}, ""),
        ({"text": ""}, ""),
        ({"text": "a\0b"}, ""),
        ({"type": "canary"}, ""),
        ({"choices": ["a", "b"]}, "choices does not go"),
        ({"type": "choice", "validation_rule": {}, "fit": {}, "choices": ["a", "\ud800"]}, ""),
        ({"canary": 1}, ""),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], said: str
) -> None:
    job = await offer(api)
    # httpx would refuse to write some of these.
    body = json.dumps({**NOTICE, **change}).encode()

    answer = await api.put(f"{job}/questions/q", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert said in answer.json()["detail"]
    assert "canary" not in answer.text
    assert (await api.get(job)).json()["questions"] == []


async def test_the_usual_questions_are_suggested_without_a_provider(api: httpx.AsyncClient) -> None:
    job = await offer(api, notice_period=NOTICE)

    suggested = (await api.post(f"{job}/questions/suggest")).json()

    assert suggested["source"] == "bank"
    assert len(suggested["questions"]) == 14
    assert (await api.get(job)).json()["questions"] != suggested["questions"]


async def test_a_suggested_question_can_be_put_as_it_is(api: httpx.AsyncClient) -> None:
    job = await offer(api)

    for each in (await api.post(f"{job}/questions/suggest")).json()["questions"]:
        qid = each.pop("qid")
        assert (await api.put(f"{job}/questions/{qid}", json=each)).status_code == 200


async def test_a_provider_suggests_where_there_is_one(office: tuple[Office, httpx.AsyncClient]) -> None:
    suggester = ScriptedSuggester([question("own")])
    office[0].suggest_by(suggester)
    job = await offer(office[1])

    suggested = (await office[1].post(f"{job}/questions/suggest")).json()

    assert (suggested["source"], [each["qid"] for each in suggested["questions"]]) == ("provider", ["own"])
    assert [asked.job_id for asked in suggester.asked] == ["j-1"]


async def test_the_usual_questions_stand_in_for_a_provider_that_is_away(
    office: tuple[Office, httpx.AsyncClient],
) -> None:
    office[0].suggest_by(ScriptedSuggester(Unavailable("the provider", "no answer")))
    job = await offer(office[1])

    suggested = (await office[1].post(f"{job}/questions/suggest")).json()

    assert (suggested["source"], len(suggested["questions"])) == ("bank", 15)


async def test_candidates_are_listed_best_first(api: httpx.AsyncClient) -> None:
    job = await offer(api, years=YEARS, notice=NOTICE, permit=PERMIT)
    await submitted(api, "ada", years=2, notice=90, permit="no")
    await submitted(api, "bo", years=10, notice=0, permit="yes")

    first = (await api.get(f"{job}/candidates", params={"limit": 1})).json()
    second = (await api.get(f"{job}/candidates", params={"limit": 1, "cursor": first["next"]})).json()

    found = [page["candidates"][0]["application"] for page in (first, second)]
    assert [(each["user_id"], each["prescreen"]["jd_match_score"]) for each in found] == [("bo", 100), ("ada", 15)]
    assert [each["prescreen"]["must_have_failed"] for each in found] == [[], ["permit"]]
    assert second["next"] is None


async def test_candidates_are_exported_whole_and_without_formulas(api: httpx.AsyncClient) -> None:
    job = await offer(api, years=YEARS, permit=PERMIT, why=WHY)
    await submitted(api, "ada", years=10, permit=False, why="=HYPERLINK(1)")
    await api.patch("/v1/candidates/ada", json={"name": '@Ada "the" first', "phone": "+34612345678"})
    for number in range(201):
        applying = await api.post("/v1/applications", json={"job_id": "j-1", "user_id": f"u{number}"})
        assert applying.status_code == 201

    answer = await api.get(f"{job}/candidates", params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="candidates-j-1.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 202
    assert {key: value for key, value in rows[0].items() if key != "application_id"} == {
        "user_id": "ada",
        "name": '\'@Ada "the" first',
        "email": "",
        "phone": "'+34612345678",
        "status": "screened",
        "jd_match_score": "100.0",
        "must_have_failed": "permit",
        "years": "10",
        "permit": "no",
        "why": "'=HYPERLINK(1)",
    }
    assert {row["user_id"] for row in rows[1:]} == {f"u{number}" for number in range(201)}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/close"),
        ("GET", "/questions"),
        ("PUT", "/questions/q"),
        ("DELETE", "/questions/q"),
        ("POST", "/questions/suggest"),
        ("GET", "/candidates"),
        ("GET", "/candidates?format=csv"),
    ],
)
async def test_another_tenant_s_job_is_not_there(api: httpx.AsyncClient, method: str, path: str) -> None:
    job = await offer(api, q=YEARS)
    body = {"PATCH": {"title": "Mine"}, "PUT": YEARS}.get(method)

    answer = await api.request(method, job + path, json=body, headers={"X-Tenant": "umbrella"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await api.get("/v1/jobs", headers={"X-Tenant": "umbrella"})).json()["jobs"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "canary\n"},
        {"title": "a", "skills": ["canary" * 30]},
        {"title": "a", "currency": "canary"},
        {"title": "a", "canary": 1},
        {"title": "a", "job_id": "can ary"},
        {"title": None},
    ],
)
async def test_a_job_that_can_not_be_used_is_refused(api: httpx.AsyncClient, body: object) -> None:
    answer = await api.post("/v1/jobs", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "canary" not in answer.text
