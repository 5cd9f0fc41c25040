"""From a job to a shortlist: a recruiter by HTTP, candidates in chats, and what is kept of both."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.api.recruiting import NOTICE, PERMIT, WHY, YEARS
from tests.e2e.cluster import Cluster
from tests.e2e.talking import post
from tests.e2e.test_prescreens import NO_KEYS
from tests.resumes.documents import LINES

QUESTIONS = {"permit": PERMIT, "years": YEARS, "notice": NOTICE, "why": WHY}
ABOUT_ADA = ("Ada Lovelace", "ada@example.org", "+34 612 345 678", "12 years", "skip")


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("cluster"), NO_KEYS) as running:
        yield running


async def test_from_a_job_to_a_shortlist(cluster: Cluster) -> None:
    await offered(cluster, "engineer")
    chat = await begun(cluster, "ada", "engineer")
    application = await only_application(cluster, user_id="ada")
    assert application["status"] == "draft"

    for text in ABOUT_ADA:
        reply = await said(cluster, chat, text)
    assert "May you work here?" in reply["reply"]
    await said(cluster, chat, "yes, and my years are 4")
    application = await only_application(cluster, user_id="ada")
    assert (application["status"], application["answers"]) == ("in_progress", {"permit": True, "years": 4})

    first = await said(cluster, chat, "my years are actually 5", "corrects")
    again = await said(cluster, chat, "my years are actually 5", "corrects")
    assert first == again
    await said(cluster, chat, "9 days")
    assert "Thank you" in (await said(cluster, chat, "Because I like it."))["reply"]

    application = await only_application(cluster, user_id="ada")
    path = f"/v1/applications/{application['application_id']}"
    assert application["answers"] == {"permit": True, "years": 5, "notice": 9, "why": "Because I like it."}
    assert [(entry["kind"], entry["status"]) for entry in (await read(cluster, f"{path}/timeline"))["entries"]] == [
        ("created", "draft"),
        ("answered", "in_progress"),
        ("answered", "in_progress"),
        ("answered", "in_progress"),
        ("answered", "in_progress"),
        ("moved", "submitted"),
        ("moved", "screened"),
    ]

    await worse(cluster, "bo", "engineer")
    ranked = (await read(cluster, "/v1/jobs/engineer/candidates"))["candidates"]
    assert [each["profile"]["name"] for each in ranked] == ["Ada Lovelace", "Bo Diddley"]
    assert [each["application"]["prescreen"]["jd_match_score"] for each in ranked] == [60, 7.5]
    assert [each["application"]["prescreen"]["must_have_failed"] for each in ranked] == [[], ["permit"]]
    assert ranked[0]["application"]["prescreen"]["points"] == {
        "years": {"earned": 37.5, "most": 75},
        "notice": {"earned": 22.5, "most": 25},
    }

    move = {"to": "shortlisted", "reason": "the best answers", "by": "recruiter"}
    assert (await cluster.http.post(f"{path}/transition", json=move)).json()["status"] == "shortlisted"
    exported = (await cluster.http.get("/v1/jobs/engineer/candidates", params={"format": "csv"})).text
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [(row["name"], row["status"], row["jd_match_score"], row["notice"]) for row in rows] == [
        ("Ada Lovelace", "shortlisted", "60.0", "9"),
        ("Bo Diddley", "screened", "7.5", "90"),
    ]


async def test_a_second_application_asks_only_what_is_new(cluster: Cluster) -> None:
    await offered(cluster, "first", permit=PERMIT, why=WHY)
    await offered(cluster, "second", permit=PERMIT, notice=NOTICE, why=WHY)
    first = await begun(cluster, "grace", "first")
    for text in ("Grace Hopper", "grace@example.org", "skip", "20 years", "skip", "yes", "Because I like it."):
        await said(cluster, first, text)

    second = await begun(cluster, "grace", "second")

    detail = await read(cluster, f"/v1/sessions/{second}")
    assert (detail["slots"]["name"], detail["slots"]["permit"]) == ("Grace Hopper", True)
    # The phone number and the résumé were not given, so they are asked for again, and so is what is about the job.
    for text in ("skip", "skip", "30 days", "To learn."):
        reply = await said(cluster, second, text)
    assert reply["state"] == "completed"
    application = await only_application(cluster, user_id="grace", job_id="second")
    assert (application["status"], application["answers"]) == (
        "screened",
        {"permit": True, "notice": 30, "why": "To learn."},
    )


async def test_a_correction_after_the_end_is_screened_again(cluster: Cluster) -> None:
    await offered(cluster, "careful", years=YEARS)
    chat = await begun(cluster, "ida", "careful")
    for text in ("Ida Rhodes", "ida@example.org", "skip", "3 years", "skip", "2"):
        await said(cluster, chat, text)

    await said(cluster, chat, "sorry, my years are 8")

    application = await only_application(cluster, user_id="ida")
    assert (application["status"], application["prescreen"]["jd_match_score"]) == ("screened", 80)


async def test_a_resume_sent_in_the_chat_answers_what_it_says(cluster: Cluster) -> None:
    await offered(cluster, "read", years=YEARS)
    chat = await begun(cluster, "katherine", "read")

    sent = await cluster.http.put(f"/v1/sessions/{chat}/resume", content="\n".join(LINES).encode())

    assert sent.status_code == 200, sent.text
    slots = (await read(cluster, f"/v1/sessions/{chat}"))["slots"]
    assert (slots["name"], slots["email"], slots["resume"]["media_type"]) == (
        "Ada Lovelace",
        "ada@example.org",
        "text/plain",
    )
    told = " ".join(message["text"] for message in (await read(cluster, f"/v1/sessions/{chat}/messages"))["messages"])
    assert "Thank you, I have received a text file of 1 KB" in told
    assert LINES[-1] not in told
    (row,) = await cluster.rows("SELECT content FROM resumes WHERE user_id = 'katherine'")
    assert row["content"].decode() == "\n".join(LINES)


async def test_who_stops_withdraws(cluster: Cluster) -> None:
    await offered(cluster, "left", years=YEARS)
    chat = await begun(cluster, "eve", "left")

    await said(cluster, chat, "withdraw my application")
    await said(cluster, chat, "yes")

    assert (await only_application(cluster, user_id="eve"))["status"] == "withdrawn"


async def test_a_worker_that_dies_between_a_turn_and_its_application_loses_and_doubles_nothing(
    cluster: Cluster,
) -> None:
    await offered(cluster, "durable", years=YEARS)
    chat = await begun(cluster, "mary", "durable")
    for text in ("Mary Jackson", "mary@example.org", "skip", "3 years", "skip"):
        await said(cluster, chat, text)
    turn = (await read(cluster, f"/v1/sessions/{chat}"))["turn"]

    async with nobody_changes_applications(cluster) as lock:
        answering = asyncio.create_task(said(cluster, chat, "seven", "m-seven"))
        await waits_for(lock, "SELECT turn > $2 FROM sessions WHERE session_id = $1", chat, turn)
        await waits_for(lock, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        await cluster.kill_worker()
    await cluster.start_worker()
    reply = await answering

    application = await only_application(cluster, user_id="mary")
    timeline = await read(cluster, f"/v1/applications/{application['application_id']}/timeline")
    assert (reply["state"], application["status"], application["answers"]) == ("completed", "screened", {"years": 7})
    assert [entry["qids"] for entry in timeline["entries"] if entry["kind"] == "answered"] == [["years"]]
    spoken = (await read(cluster, f"/v1/sessions/{chat}/messages"))["messages"]
    assert [message["text"] for message in spoken].count("seven") == 1


async def test_a_job_is_written_from_a_shell(cluster: Cluster) -> None:
    await cluster.run("jobs", "create", "Backend engineer", "--id", "shell", "--skill", "Python")
    assert "by the bank: 16" in await cluster.run("jobs", "suggest", "shell", "--take")
    asked = [json.loads(line) for line in (await cluster.run("jobs", "questions", "shell", "--json")).splitlines()]
    assert [question["qid"] for question in asked][:2] == ["years_python", "work_authorisation"]
    assert "must-have" in await cluster.run("jobs", "show", "shell")
    await cluster.run("jobs", "close", "shell")
    assert "shell" not in await cluster.run("jobs", "list", "--status", "open")


async def test_candidates_are_read_and_moved_from_a_shell(cluster: Cluster) -> None:
    await offered(cluster, "counter", years=YEARS)
    chat = await begun(cluster, "joan", "counter")
    for text in ("Joan Clarke", "joan@example.org", "skip", "3 years", "skip", "8"):
        await said(cluster, chat, text)

    assert "Joan Clarke" in await cluster.run("jobs", "candidates", "counter")
    assert '"Joan Clarke"' in await cluster.run("jobs", "candidates", "counter", "--csv")
    assert chat in await cluster.run("applications", "list", "--job", "counter", "--status", "screened")
    assert "shortlisted" in await cluster.run("applications", "move", chat, "shortlisted", "--reason", "the best")
    shown = await cluster.run("applications", "show", chat)
    assert "80 of 100" in shown
    assert "(the best)" in shown


# --- what people do ---------------------------------------------------------------------------------------------------


async def offered(cluster: Cluster, job_id: str, **questions: Any) -> None:
    body = {"title": "Backend engineer", "job_id": job_id}
    assert (await cluster.http.post("/v1/jobs", json=body)).status_code == 201
    for qid, question in (questions or QUESTIONS).items():
        put = await cluster.http.put(f"/v1/jobs/{job_id}/questions/{qid}", json=question)
        assert put.status_code == 200, put.text


async def begun(cluster: Cluster, user_id: str, job_id: str) -> str:
    """Open a chat about a job; return the session's id."""
    session_id = f"{user_id}-{job_id}"
    body = {"definition": "recruiting", "user_id": user_id, "job_id": job_id, "session_id": session_id}
    opened = await post(cluster.http, "/v1/sessions", body)
    assert "Backend engineer" in opened["messages"][0]["text"]
    return session_id


async def said(cluster: Cluster, session_id: str, text: str, message_id: str | None = None) -> dict[str, Any]:
    body = {"text": text, "message_id": message_id or uuid4().hex}
    return await post(cluster.http, f"/v1/sessions/{session_id}/messages", body)


async def worse(cluster: Cluster, user_id: str, job_id: str) -> None:
    """Apply without a permit, with little experience and a long notice period."""
    chat = await begun(cluster, user_id, job_id)
    for text in ("Bo Diddley", "bo@example.org", "skip", "1 year", "skip", "no", "1", "3 months", "skip"):
        await said(cluster, chat, text)


async def read(cluster: Cluster, path: str) -> Any:
    answer = await cluster.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def only_application(cluster: Cluster, **where: str) -> dict[str, Any]:
    (found,) = (await cluster.http.get("/v1/applications", params=where)).json()["applications"]
    application: dict[str, Any] = found
    return application


@asynccontextmanager
async def nobody_changes_applications(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Keep everybody else waiting who wants to lock or change an application."""
    connection = await asyncpg.connect(cluster.postgres.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE applications IN EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def waits_for(connection: asyncpg.Connection, condition: str, *arguments: object) -> None:
    while not await connection.fetchval(condition, *arguments):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
