"""A whole prescreen, held in every way that a newcomer would try. What came of it is read from Postgres itself."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.cluster import ROOT, Cluster
from tests.recruiting_script import ANSWERS, FINAL_STATE, GREETING, RESUME, final_slots

# In the terminal a line is a message, so this résumé has only one.
ONE_LINE_ANSWERS = tuple(" ".join(answer.split()) for answer in ANSWERS)
PERSONAL = ("Ana López", "ana.lopez@example.org", "612345678", "Almacenes Rueda", "key-of-openrouter")
TEMPORAL = Path(sys.executable).parent / "temporal"


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    # No provider of ours is reachable, and none is needed: the rules understand every answer.
    environment = {"PRIMARY_PROVIDER": "offline", "OPENROUTER_API_KEY": "key-of-openrouter"}
    async with Cluster(tmp_path_factory.mktemp("cluster"), environment) as running:
        yield running


async def test_by_tertulia_chat(cluster: Cluster) -> None:
    printed = await cluster.run("chat", "--user", "by-chat", stdin="\n".join(ONE_LINE_ANSWERS) + "\n")
    assert GREETING in printed
    await _is_complete(cluster, await _session_of(cluster, "by-chat"), ONE_LINE_ANSWERS)


async def test_by_curl(cluster: Cluster) -> None:
    body = {"definition": "recruiting", "user_id": "by-curl", "session_id": "by-curl"}
    opened = json.loads(await _curl(f"{cluster.url}/v1/sessions", body))
    assert opened["messages"][0]["text"].startswith(GREETING)
    for number, answer in enumerate(ANSWERS):
        message = {"text": answer, "message_id": f"m{number}"}
        reply = json.loads(await _curl(f"{cluster.url}/v1/sessions/by-curl/messages", message))
    assert reply["state"] == FINAL_STATE
    await _is_complete(cluster, "by-curl", ANSWERS)


async def test_by_the_temporal_command(cluster: Cluster) -> None:
    session = ("--workflow-id", "session/by-cli")
    opening = json.dumps({"definition": "recruiting", "user_id": "by-cli"})
    await _temporal(cluster, "start", *session, "--type", "Session", "--task-queue", "tertulia", "--input", opening)
    for answer in ANSWERS[:-1]:
        await _temporal(cluster, "signal", *session, "--name", "message", "--input", json.dumps({"text": answer}))
    last = json.dumps({"text": ANSWERS[-1]})
    await _temporal(cluster, "update", "execute", *session, "--name", "send", "--input", last)
    queried = await _temporal(cluster, "query", *session, "--type", "state", "--output", "json")
    assert json.loads(queried)["queryResult"][0]["state"] == FINAL_STATE
    await _is_complete(cluster, "by-cli", ANSWERS)
    found = await _temporal(cluster, "list", "--query", f"TertuliaState = '{FINAL_STATE}'", "--output", "json")
    assert "session/by-cli" in found


async def test_by_a_script_that_knows_only_the_contract(cluster: Cluster) -> None:
    script = Path(__file__).parent / "bare_client.py"
    printed = await _run(sys.executable, str(script), cluster.temporal.address, "by-script", *ANSWERS)
    told = json.loads(printed)
    assert (told["state"]["state"], told["last"]["turn"]) == (FINAL_STATE, len(ANSWERS) + 1)
    await _is_complete(cluster, "by-script", (*ANSWERS, "Thank you!"))


async def test_a_session_of_any_way_in_is_seen_by_the_others(cluster: Cluster) -> None:
    await _temporal(
        cluster,
        *("start", "--workflow-id", "session/seen", "--type", "Session", "--task-queue", "tertulia"),
        *("--input", json.dumps({"definition": "recruiting", "user_id": "seen"})),
    )
    assert "Ana" in await cluster.run("sessions", "send", "seen", ANSWERS[0])
    assert "seen" in await cluster.run("sessions", "list")
    assert GREETING in await cluster.run("sessions", "show", "seen")
    exported = json.loads(await cluster.run("sessions", "export", "seen", "--format", "json"))
    assert exported["messages"][1]["text"] == ANSWERS[0]
    await cluster.run("sessions", "close", "seen")
    assert (await cluster.http.get("/v1/sessions/seen")).json()["status"] == "closed"
    refused = await cluster.http.post("/v1/sessions/seen/messages", json={"text": "Hello?"})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")


async def test_nothing_personal_stands_where_operators_look(cluster: Cluster) -> None:
    shown = [await _temporal(cluster, "list", "--output", "json")]
    shown.append(await _temporal(cluster, "describe", "--workflow-id", "session/by-curl", "--output", "json"))
    shown.append(await _temporal(cluster, "metadata", "--workflow-id", "session/by-curl", "--output", "json"))
    shown.extend(log.read_text() for log in cluster.directory.rglob("*.log"))
    assert f"**State** {FINAL_STATE}" in shown[2]
    for text in shown:
        assert not [secret for secret in PERSONAL if secret in text]


async def _is_complete(cluster: Cluster, session_id: str, answers: Sequence[str]) -> None:
    (session,) = await cluster.rows("select state, slots::text from sessions where session_id = $1", session_id)
    expected = final_slots(datetime.now(UTC))
    slots = json.loads(session["slots"])
    assert session["state"] == FINAL_STATE
    assert slots.pop("resume")["words"] == len(RESUME.split())
    assert slots == {name: value for name, value in expected.items() if name != "resume"}
    messages = await cluster.rows("select role, text from messages where session_id = $1 order by seq", session_id)
    assert [row["text"] for row in messages if row["role"] == "user"] == list(answers)
    assert [row["role"] for row in messages] == ["assistant", *["user", "assistant"] * len(answers)]


async def _session_of(cluster: Cluster, user_id: str) -> str:
    (row,) = await cluster.rows("select session_id from sessions where user_id = $1", user_id)
    return str(row["session_id"])


async def _curl(url: str, body: dict[str, str]) -> str:
    return await _run("curl", "-sS", url, "-H", "content-type: application/json", "-d", json.dumps(body))


async def _temporal(cluster: Cluster, *arguments: str) -> str:
    return await _run(str(TEMPORAL), "workflow", *arguments, "--address", cluster.temporal.address)


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()
