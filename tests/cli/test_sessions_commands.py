import asyncio
import json

import httpx
import pytest

from tertulia.domain.conversation import (
    EditSlot,
    HandOverToHuman,
    OperatorMessage,
    Order,
    Regenerate,
    Role,
    TakeBack,
    Undo,
)
from tertulia.domain.errors import ActionRefused, SessionClosed
from tertulia.domain.ids import MessageId, SessionId
from tests.api.conftest import World
from tests.cli.conftest import Cli

NOBODY = "http://127.0.0.1:9"


async def test_a_list_shows_each_session_on_a_line(tertulia: Cli, api: httpx.AsyncClient, session: SessionId) -> None:
    long_id = "s" * 128
    await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "grace", "session_id": long_id})

    outcome = await tertulia("sessions", "list")

    assert outcome.code == 0
    head, newest, oldest = outcome.out.splitlines()
    assert head.split() == ["session", "state", "status", "turns", "definition", "channel", "user", "last", "change"]
    assert newest.split()[0] == long_id
    assert oldest.split()[:7] == [session, "onboarding", "open", "0", "greeter", "api", "ada"]


async def test_a_list_is_filtered_and_written_for_machines(
    tertulia: Cli, api: httpx.AsyncClient, session: SessionId
) -> None:
    await api.post("/v1/sessions", json={"definition": "greeter", "user_id": "grace"})

    outcome = await tertulia("sessions", "list", "--user", "ada", "--status", "open", "--json")

    assert [json.loads(line)["session_id"] for line in outcome.out.splitlines()] == [session]


async def test_a_long_list_is_fetched_page_by_page(tertulia: Cli, api: httpx.AsyncClient) -> None:
    for number in range(205):
        given = {"definition": "greeter", "user_id": "ada", "session_id": f"s-{number}"}
        await api.post("/v1/sessions", json=given)

    outcome = await tertulia("sessions", "list", "--limit", "203", "--json")

    listed = [json.loads(line)["session_id"] for line in outcome.out.splitlines()]
    assert listed == [f"s-{number}" for number in range(204, 1, -1)]


async def test_a_message_is_sent_once_under_its_id(tertulia: Cli, world: World, session: SessionId) -> None:
    outcomes = [await tertulia("sessions", "send", session, "hello", "--message-id", "m-1") for _ in range(2)]

    assert [(outcome.code, outcome.out) for outcome in outcomes] == [(0, "You said: hello\n")] * 2
    assert len(world.sessions.taken) == 1


async def test_a_reply_that_takes_long_is_looked_up(tertulia: Cli, world: World, session: SessionId) -> None:
    world.do_not_wait_for_replies()
    world.sessions.ending.clear()

    sending = asyncio.create_task(tertulia("sessions", "send", session, "hello", "--json"))
    await world.transcripts.looked_up.wait()
    world.sessions.ending.set()

    assert json.loads((await sending).out)["reply"] == "You said: hello"


async def test_a_message_that_the_sessions_end_leaves_without_a_turn_is_not_waited_for(
    tertulia: Cli, world: World, session: SessionId
) -> None:
    world.do_not_wait_for_replies()
    world.sessions.ending.clear()

    sending = asyncio.create_task(tertulia("sessions", "send", session, "hello", "--message-id", "m-1"))
    await world.transcripts.looked_up.wait()
    world.transcripts.refused.add((session, MessageId("m-1")))
    world.sessions.refusal = SessionClosed("the session is closed")

    outcome = await sending
    assert (outcome.code, outcome.out) == (1, "")
    assert "closed before this message had its turn" in outcome.err


async def test_a_session_is_shown_with_the_evidence_of_its_turns(
    tertulia: Cli, api: httpx.AsyncClient, session: SessionId
) -> None:
    await api.post(f"/v1/sessions/{session}/messages", json={"text": "[bold]hello"})

    outcome = await tertulia("sessions", "show", session)

    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "s-1 · greeter · onboarding · open",
        "user ada · channel api · 1 turns",
        "  name: Ada",
        "[2026-03-14 12:00:01] assistant: Hello! What is your name?",
        "[2026-03-14 12:00:02] user: [bold]hello",
        "[2026-03-14 12:00:03] assistant: You said: [bold]hello",
        "    turn 1 · answered · onboarding → onboarding",
        "    passed over: openrouter (unhealthy by its last probes)",
        "    groq, attempt 1: answered in 410 ms, 210 → 18 tokens, $0.00031",
    ]


async def test_a_session_is_shown_to_machines(tertulia: Cli, api: httpx.AsyncClient, session: SessionId) -> None:
    await api.post(f"/v1/sessions/{session}/messages", json={"text": "hello"})

    lines = [json.loads(line) for line in (await tertulia("sessions", "show", session, "--json")).out.splitlines()]

    assert lines[0]["session_id"] == session
    assert [line["text"] for line in lines[1:4]] == ["Hello! What is your name?", "hello", "You said: hello"]
    assert lines[4]["attempts"][0]["key"]["provider"] == "groq"


async def test_a_session_is_closed(tertulia: Cli, api: httpx.AsyncClient, session: SessionId) -> None:
    outcome = await tertulia("sessions", "close", session, "--reason", "hired")

    assert (outcome.code, outcome.out) == (0, "")
    assert (await api.get(f"/v1/sessions/{session}")).json()["closed_reason"] == "hired"


@pytest.mark.parametrize("file_format", ["json", "csv", "txt"])
async def test_an_export_is_what_the_api_gives(
    tertulia: Cli, api: httpx.AsyncClient, world: World, session: SessionId, file_format: str
) -> None:
    world.transcripts.say(session, Role.USER, "Zürich\nand more")
    given = (await api.get(f"/v1/sessions/{session}/export", params={"format": file_format})).text

    outcome = await tertulia("sessions", "export", session, "--format", file_format)
    await tertulia("sessions", "export", session, "--format", file_format, "--output", "file")

    assert outcome.out == given
    assert (tertulia.directory / "file").read_bytes().decode() == given


async def test_a_failed_export_leaves_the_file_as_it_was(tertulia: Cli) -> None:
    (tertulia.directory / "file").write_text("precious")

    outcome = await tertulia("sessions", "export", "nobody", "--output", "file")

    assert (outcome.code, outcome.err) == (1, "tertulia: There is no such thing: there is no such session\n")
    assert (tertulia.directory / "file").read_text() == "precious"


async def test_a_refusal_is_told_and_fails(tertulia: Cli) -> None:
    outcome = await tertulia("sessions", "send", "nobody", "hello")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "tertulia: There is no such thing: there is no such session\n"


@pytest.mark.parametrize("command", [["sessions", "list"], ["chat"]])
async def test_where_nothing_listens_one_is_told_how_to_start_it(tertulia: Cli, command: list[str]) -> None:
    outcome = await tertulia(*command, TERTULIA_URL=NOBODY)

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"tertulia: the API at {NOBODY} is unavailable: nothing listens there; start it with `make run`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (("hand-over", "--reason", "they called"), HandOverToHuman(reason="they called")),
        (("take-back", "--state", "filed"), TakeBack(state="filed")),
        (("undo",), Undo()),
        (("regenerate",), Regenerate()),
        (("edit", "email", "ada@example.org"), EditSlot(slot="email", value="ada@example.org")),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
async def test_orders_are_given_and_what_the_bot_says_is_printed(
    tertulia: Cli, world: World, session: SessionId, arguments: tuple[str, ...], order: Order
) -> None:
    name, *rest = arguments
    outcome = await tertulia("sessions", name, session, *rest, "--operator", "eva", "--request-id", "k1")
    assert (outcome.code, outcome.out) == (0, f"{order.action} done\n")
    assert world.sessions.orders == [order.model_copy(update={"operator": "eva", "request_id": "k1"})]


async def test_an_operator_speaks_to_the_person(tertulia: Cli, world: World, session: SessionId) -> None:
    outcome = await tertulia("sessions", "say", session, "Hello, it's Eva.", "--message-id", "o1", "--json")
    assert json.loads(outcome.out)["owner"] == "human"
    assert world.sessions.orders == [OperatorMessage(text="Hello, it's Eva.", request_id="o1")]


async def test_an_order_that_does_not_fit_is_explained(tertulia: Cli, world: World, session: SessionId) -> None:
    world.sessions.order_refusal = ActionRefused("the bot has the session", ["hand_over"])
    outcome = await tertulia("sessions", "take-back", session)
    assert outcome.code == 1
    assert "the bot has the session" in outcome.err
    assert "hand_over" in outcome.err


async def test_a_slot_that_can_not_be_one_leads_to_no_other_call(
    tertulia: Cli, world: World, session: SessionId
) -> None:
    outcome = await tertulia("sessions", "edit", session, "../undo", "1")
    assert (outcome.code, world.sessions.orders) == (2, [])


async def test_a_session_is_erased(tertulia: Cli, api: httpx.AsyncClient, session: SessionId) -> None:
    assert (await tertulia("sessions", "close", session, "--erase")).code == 0
    assert (await api.get(f"/v1/sessions/{session}")).status_code == 404
