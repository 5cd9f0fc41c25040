"""A whole prescreen, held in every way that a newcomer would try. What came of it is read from Postgres itself."""

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from tests.e2e.cluster import ROOT, Cluster
from tests.e2e.commands import curl, run, temporal
from tests.recruiting_script import (
    ANSWERS,
    CLOSING,
    EXCHANGES,
    FINAL_STATE,
    GOODBYE,
    GREETING,
    MOTIVATION,
    final_slots,
)

# Whatever a developer's own `.env` says: no provider has a key here, so the offline one answers.
NO_KEYS = {
    **dict.fromkeys(("PRIMARY_PROVIDER", "SECONDARY_PROVIDER", "FALLBACK_PROVIDER"), ""),
    **dict.fromkeys(("OPENROUTER_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY"), ""),
}
# In the terminal a line is a message, so there the résumé is one line.
ONE_LINE_ANSWERS = tuple(" ".join(answer.split()) for answer in ANSWERS)
PERSONAL = ("Ana López", "ana.lopez@example.org", "612345678", "612 345 678", "Almacenes Rueda", MOTIVATION)
BINARIES = Path(sys.executable).parent


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path_factory.mktemp("cluster"), NO_KEYS) as running:
        yield running


async def test_by_tertulia_chat_through_a_pipe(cluster: Cluster) -> None:
    printed = await cluster.run("chat", "--user", "pipe", stdin="\n".join(ONE_LINE_ANSWERS) + "\n")

    session = await _session_of(cluster, "pipe")
    assert printed.splitlines() == "\n".join(await _said_by_the_bot(cluster, session)).splitlines()
    await _is_complete(cluster, session, ONE_LINE_ANSWERS)


async def test_by_tertulia_chat_in_a_terminal(cluster: Cluster) -> None:
    shown = await _in_a_terminal(cluster, "chat", "--user", "typist", typed="\n".join(ONE_LINE_ANSWERS) + "\n")

    assert GREETING in shown
    assert "(remote / hybrid / on-site)" in shown
    await _is_complete(cluster, await _session_of(cluster, "typist"), ONE_LINE_ANSWERS)


async def test_by_curl(cluster: Cluster) -> None:
    body = {"definition": "recruiting", "user_id": "ana", "session_id": "by-curl"}
    opened = await _post(f"{cluster.url}/v1/sessions", body)
    assert opened["messages"][0]["text"].startswith(GREETING)
    messages = f"{cluster.url}/v1/sessions/by-curl/messages"
    replies = [
        await _post(messages, {"text": answer, "message_id": f"m{number}"}) for number, answer in enumerate(ANSWERS)
    ]

    assert [reply["turn"] for reply in replies] == list(range(1, len(ANSWERS) + 1))
    assert (replies[-1]["state"], replies[-1]["next_action"]["kind"]) == (FINAL_STATE, "none")
    assert await _post(messages, {"text": ANSWERS[0], "message_id": "m0"}) == replies[0]
    await _is_complete(cluster, "by-curl", ANSWERS)


async def test_by_the_temporal_command(cluster: Cluster) -> None:
    session = ("--workflow-id", "session/by-cli")
    await _open_by_temporal(cluster, "by-cli")
    for answer in ANSWERS[:-1]:
        message = json.dumps({"text": answer})
        await temporal(cluster, "workflow", "signal", *session, "--name", "message", "--input", message)
    last = json.dumps({"text": ANSWERS[-1]})
    updated = await temporal(
        cluster, "workflow", "update", "execute", *session, "--name", "send", "--input", last, "--output", "json"
    )
    queried = await temporal(cluster, "workflow", "query", *session, "--type", "state", "--output", "json")

    reply, state = json.loads(updated)["result"], json.loads(queried)["queryResult"][0]
    assert (reply["turn"], reply["state"]) == (len(ANSWERS), FINAL_STATE)
    assert (state["state"], state["slots"]["email"]) == (FINAL_STATE, "ana.lopez@example.org")
    await _is_complete(cluster, "by-cli", ANSWERS)


async def test_by_a_script_that_knows_only_the_contract(cluster: Cluster) -> None:
    script = str(Path(__file__).with_name("bare_client.py"))
    told = json.loads(await run(sys.executable, script, cluster.temporal.address, "by-script", *ANSWERS))

    assert told["opened"]["messages"][0]["text"].startswith(GREETING)
    assert [reply["turn"] for reply in told["replies"]] == list(range(1, len(ANSWERS) + 1, 2))
    assert told["state"]["state"] == FINAL_STATE
    assert told["history"]["messages"][-1]["text"].startswith(GOODBYE)
    await _is_complete(cluster, "by-script", ANSWERS)
    (session,) = await cluster.rows("select status, closed_reason from sessions where session_id = 'by-script'")
    assert tuple(session) == ("closed", "all is said")


async def test_a_finished_prescreen_answers_who_comes_back(cluster: Cluster) -> None:
    session = await _held(cluster, "comes-back")

    answer = await cluster.http.post(f"/v1/sessions/{session}/messages", json={"text": "Thank you!"})

    assert CLOSING in answer.json()["reply"]
    (row,) = await cluster.rows("select state from sessions where session_id = $1", session)
    assert row["state"] == FINAL_STATE


async def test_the_tour_of_the_readme_works_as_written(cluster: Cluster) -> None:
    tour = (ROOT / "README.md").read_text().partition("## A tour")[2]
    printed = await _shell(cluster, *_commands(tour))

    for told in (
        GREETING,
        "event: turn.completed",
        "OPENROUTER_API_KEY is not set",
        '"slots":{',
        "passed over: gemini",
    ):
        assert told in printed
    # Its turn comes after the tour's last, which was a signal, and nobody waited for it.
    await cluster.http.post("/v1/sessions/tour/messages", json={"text": "skip"})
    (session,) = await cluster.rows("select slots::text from sessions where session_id = 'tour'")
    assert json.loads(session["slots"]) == {"name": "Ada Lovelace", "email": "ada@example.org"}


async def test_the_example_for_temporal_clients_works_as_written(cluster: Cluster) -> None:
    printed = await _shell(cluster, *_commands((ROOT / "docs/temporal.md").read_text()))

    assert "phone" in printed
    (session,) = await cluster.rows("select slots::text from sessions where session_id = 'ada-1'")
    assert json.loads(session["slots"]) == {"name": "Ada Lovelace", "email": "ada@example.org"}


async def test_a_session_opened_by_temporal_is_seen_by_every_other_way_in(cluster: Cluster) -> None:
    await _open_by_temporal(cluster, "seen")

    assert "Nice to meet you, Ana López!" in await cluster.run("sessions", "send", "seen", ANSWERS[0])
    assert "seen" in await cluster.run("sessions", "list", "--state", "onboarding")
    assert GREETING in await cluster.run("sessions", "show", "seen")
    exported = json.loads(await cluster.run("sessions", "export", "seen", "--format", "json"))
    read = (await cluster.http.get("/v1/sessions/seen/messages")).json()["messages"]
    assert [message["text"] for message in exported["messages"]] == [message["text"] for message in read]
    assert read[1]["text"] == ANSWERS[0]
    await cluster.run("sessions", "close", "seen")
    assert (await cluster.http.get("/v1/sessions/seen")).json()["status"] == "closed"
    refused = await cluster.http.post("/v1/sessions/seen/messages", json={"text": "Hello?"})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")


async def test_sessions_are_found_by_their_search_attributes(cluster: Cluster) -> None:
    finished, begun = await _held(cluster, "finished"), await _held(cluster, "begun", ANSWERS[:2])
    query = "TertuliaDefinition = 'recruiting' AND TertuliaChannel = 'api' AND TertuliaOwner = 'bot'"

    for session, state in ((finished, FINAL_STATE), (begun, "onboarding")):
        # The server's index follows a moment later.
        while session not in (found := await _found(cluster, f"{query} AND TertuliaState = '{state}'")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert not {finished, begun} - {session} & found


async def test_nothing_personal_stands_where_operators_look(cluster: Cluster) -> None:
    session = await _held(cluster, "discreet")
    path = f"/v1/sessions/{session}/messages"
    # What is refused is where people's words would slip into a message about it.
    await cluster.http.post(path, json={"text": f"{MOTIVATION}\x07"})
    await cluster.http.post(path, json={"text": {"name": "Ana López"}, "message_id": "ana.lopez@example.org"})
    client = await Client.connect(cluster.temporal.address)
    workflow = client.get_workflow_handle(f"session/{session}")
    await workflow.signal("message", {"words": MOTIVATION})
    with pytest.raises(WorkflowUpdateFailedError):
        await workflow.execute_update("send", {"text": {"name": "Ana López"}})
    (user,) = await cluster.rows("select user_id from sessions where session_id = $1", session)

    shown = await _shown_by_temporal(workflow)
    logged = {log.name: log.read_text() for log in cluster.directory.rglob("*.log")}

    assert f"**State** {FINAL_STATE}" in shown
    assert "recruiting · api" in shown
    assert "/v1/sessions/{session_id}/messages" in logged["serve.log"]
    assert {"worker.log", "serve.log", "server.log"} <= logged.keys()
    for text in (shown, *logged.values()):
        assert [personal for personal in (*PERSONAL, user["user_id"]) if personal in text] == []


async def _held(cluster: Cluster, session_id: str, answers: Sequence[str] = ANSWERS) -> str:
    """Hold a prescreen, or its beginning, by HTTP."""
    body = {"definition": "recruiting", "user_id": f"user-of-{session_id}", "session_id": session_id}
    (await cluster.http.post("/v1/sessions", json=body)).raise_for_status()
    for answer in answers:
        (await cluster.http.post(f"/v1/sessions/{session_id}/messages", json={"text": answer})).raise_for_status()
    return session_id


async def _is_complete(cluster: Cluster, session_id: str, answers: Sequence[str]) -> None:
    """Compare everything that is stored of a prescreen with the script of it."""
    (session,) = await cluster.rows(
        "select state, slots::text, created_at from sessions where session_id = $1", session_id
    )
    expected = final_slots(session["created_at"])
    (resume,) = (answer for exchange, answer in zip(EXCHANGES, answers, strict=True) if exchange.slot == "resume")
    assert isinstance(expected["resume"], dict)
    expected["resume"]["characters"] = len(resume.strip())
    assert session["state"] == FINAL_STATE
    assert json.loads(session["slots"]) == expected
    messages = await cluster.rows("select role, text from messages where session_id = $1 order by seq", session_id)
    assert [row["role"] for row in messages] == ["assistant", *["user", "assistant"] * len(answers)]
    assert [row["text"] for row in messages if row["role"] == "user"] == list(answers)
    greeting, *_, goodbye = said = await _said_by_the_bot(cluster, session_id)
    assert greeting.startswith(GREETING)
    assert [text for text, exchange in zip(said, EXCHANGES, strict=False) if not text.endswith(exchange.question)] == []
    assert goodbye.startswith(GOODBYE)


async def _said_by_the_bot(cluster: Cluster, session_id: str) -> list[str]:
    rows = await cluster.rows(
        "select text from messages where session_id = $1 and role = 'assistant' order by seq", session_id
    )
    return [row["text"] for row in rows]


async def _session_of(cluster: Cluster, user_id: str) -> str:
    (row,) = await cluster.rows("select session_id from sessions where user_id = $1", user_id)
    return str(row["session_id"])


async def _post(url: str, body: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await curl(url, "-H", "content-type: application/json", "-d", json.dumps(body)))
    return answer


async def _open_by_temporal(cluster: Cluster, session_id: str) -> None:
    opening = json.dumps({"definition": "recruiting", "user_id": "somebody"})
    options = ("--type", "Session", "--task-queue", "tertulia", "--workflow-id", f"session/{session_id}")
    await temporal(cluster, "workflow", "start", *options, "--input", opening)


async def _found(cluster: Cluster, query: str) -> set[str]:
    listed = json.loads(await temporal(cluster, "workflow", "list", "--query", query, "--output", "json"))
    return {each["execution"]["workflowId"].removeprefix("session/") for each in listed}


async def _shown_by_temporal(workflow: WorkflowHandle[Any, Any]) -> str:
    """Collect what Temporal shows of a session to whoever does not open its inputs and results."""
    described = await workflow.describe()
    shown = [
        described.id,
        described.typed_search_attributes,
        await described.memo(),
        await described.static_summary(),
        await described.static_details(),
        await workflow.query("__temporal_workflow_metadata"),
    ]
    async for event in workflow.fetch_history_events():
        shown += [event.user_metadata.summary.data.decode(), event.user_metadata.details.data.decode()]
    return "\n".join(map(str, shown))


def _commands(document: str) -> list[str]:
    """Read the shell commands out of a document, block by block."""
    return re.findall(r"^```sh\n(.*?)^```", document, re.MULTILINE | re.DOTALL)


async def _shell(cluster: Cluster, *commands: str) -> str:
    """Run commands as they are written, but for where the API listens and the programs lie."""
    script = "\n".join(commands).replace("localhost:8080", cluster.url).replace(".venv/bin/", f"{BINARIES}/")
    environment = cluster.environment | {"PATH": f"{BINARIES}:{os.environ['PATH']}"}
    return await run("bash", "-euo", "pipefail", "-c", script, environment=environment)


async def _in_a_terminal(cluster: Cluster, *arguments: str, typed: str) -> str:
    """Run a command of `tertulia` in a terminal, where all has been typed ahead; return what was shown."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter", *arguments),
        cwd=ROOT,
        env=cluster.environment | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # what Linux says instead of an end, when the other side has closed
        while piece := await asyncio.to_thread(os.read, ours, 4096):
            shown += piece
    os.close(ours)
    assert await process.wait() == 0
    return shown.decode()
