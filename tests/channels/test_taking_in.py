"""What platforms deliver: five times, mixed up, all at once, forged."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import pytest
from temporalio.client import Client

from tertulia.domain.conversation import Close, TransitionTo
from tertulia.domain.definitions.definition import Prompts
from tertulia.domain.ids import SessionId, workflow_id
from tertulia.embedded.messengers import Refuse, TelegramSimulator, WhatsAppSimulator
from tertulia.embedded.messengers import whatsapp as whatsapp_platform
from tertulia.embedded.simulator import BlackHole
from tertulia.storage.profiles import PostgresCandidates
from tests.channels.world import World, channel_world
from tests.engine import DEFINITIONS
from tests.recruiting_script import RESUME
from tests.resumes.documents import pdf

PEOPLE = (7001, 7002, 7003)
PHONES = ("34600000001", "34600000002")
ASSISTANT: dict[str, object] = {"telegram_definition": "assistant", "whatsapp_definition": "assistant"}
SEED = 20260314
ENDING = """
name: assistant
version: "1"
title: Assistant
initial: talking
transitions: {talking: [over]}
states:
  talking: {say: Hello!, reply: Answer the last message.}
  over: {ends: true}
"""
ENDS_AT_ONCE = """
name: assistant
version: "1"
title: Assistant
initial: over
states:
  over: {say: We are not hiring., ends: true}
"""


@pytest.fixture
async def settling(
    client: Client, database: str, task_queue: str, telegram: TelegramSimulator, whatsapp: WhatsAppSimulator
) -> AsyncIterator[World]:
    """A world in which messages wait for one another for as long as a storm takes on a busy machine."""
    settings = ASSISTANT | {"channel_settle_seconds": 20}
    async with channel_world(client, database, task_queue, telegram, whatsapp, settings) as world:
        yield world


@pytest.fixture
async def talking(
    client: Client, database: str, task_queue: str, telegram: TelegramSimulator, whatsapp: WhatsAppSimulator
) -> AsyncIterator[World]:
    """A world in which nothing waits, and everybody talks to the plain assistant."""
    async with channel_world(client, database, task_queue, telegram, whatsapp, ASSISTANT) as world:
        yield world


@pytest.fixture
async def writing(
    client: Client,
    database: str,
    task_queue: str,
    telegram: TelegramSimulator,
    whatsapp: WhatsAppSimulator,
    tmp_path: Path,
) -> AsyncIterator[World]:
    """A world in which everybody talks to the assistant that the test writes into `tmp_path`."""
    async with channel_world(client, database, task_queue, telegram, whatsapp, ASSISTANT, tmp_path) as world:
        yield world


async def test_telegram_deliveries_that_come_five_times_mixed_up_and_at_once_get_one_turn_each_in_order(
    settling: World,
) -> None:
    said = {person: [f"{person} says {number}" for number in range(8)] for person in PEOPLE}
    updates = [
        settling.telegram.text(person, text)
        for texts in zip(*said.values(), strict=True)
        for person, text in zip(PEOPLE, texts, strict=True)
    ]

    statuses = await settling.telegram.webhook.deliver(*updates, times=5, mixed_by=Random(SEED), at_once=12)
    await settling.carried()

    assert set(statuses) == {200}
    assert len(statuses) == 5 * len(updates)
    sessions = await settling.sessions()
    assert sorted([await settling.said(session) for session in sessions]) == sorted(said.values())
    for session in sessions:
        turns = await settling.engine.rows("SELECT status FROM turns WHERE session_id = $1 AND turn > 0", session)
        assert [turn["status"] for turn in turns] == ["answered"] * 8
    assert len(settling.telegram.sending.sent) == len(sessions) + len(updates)


async def test_whatsapp_deliveries_that_come_five_times_mixed_up_and_at_once_get_one_turn_each_in_order(
    settling: World,
) -> None:
    noon = datetime.now(UTC).replace(microsecond=0)
    said = {phone: [f"{phone} says {number}" for number in range(6)] for phone in PHONES}
    deliveries = [
        settling.whatsapp.text(phone, text, at=noon + timedelta(seconds=number))
        for phone, texts in said.items()
        for number, text in enumerate(texts)
    ]

    await settling.whatsapp.webhook.deliver(*deliveries, times=5, mixed_by=Random(SEED), at_once=12)
    await settling.carried()

    sessions = await settling.sessions()
    assert sorted([await settling.said(session) for session in sessions]) == sorted(said.values())


async def test_messages_of_one_second_keep_the_order_of_one_delivery(talking: World) -> None:
    now = datetime.now(UTC)
    bodies = [json.loads(talking.whatsapp.text(PHONES[0], f"text {n}", at=now)) for n in range(4)]
    together = bodies[0]
    together["entry"] = [entry for body in bodies for entry in body["entry"]]

    await talking.whatsapp.deliver(json.dumps(together).encode())
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == [f"text {n}" for n in range(4)]


async def test_a_message_that_comes_when_later_ones_had_their_turns_is_taken_after_them(talking: World) -> None:
    telegram = talking.telegram
    first, second = telegram.text(PEOPLE[0], "first"), telegram.text(PEOPLE[0], "second")

    await telegram.deliver(second)
    await talking.carried()
    await telegram.deliver(first)
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["second", "first"]


async def test_a_delivery_that_comes_again_after_its_session_has_ended_changes_nothing(talking: World) -> None:
    telegram = talking.telegram
    update = telegram.text(PEOPLE[0], "Hello")
    await telegram.deliver(update)
    await talking.carried()
    (session,) = await talking.sessions()
    await talking.engine.sessions.close(session, Close())

    await telegram.deliver(update)
    await talking.carried()

    assert await talking.sessions() == [session]


async def test_the_next_message_after_the_end_of_a_session_opens_another(talking: World) -> None:
    telegram = talking.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await talking.carried()
    (first,) = await talking.sessions()
    await talking.engine.sessions.close(first, Close())

    await telegram.deliver(telegram.text(PEOPLE[0], "Hello again"))
    await talking.carried()

    assert await talking.sessions() == [first, first.replace(".1", ".2")]
    assert await talking.said((await talking.sessions())[1]) == ["Hello again"]


@pytest.mark.parametrize("erased", [False, True], ids=["forgotten-by-temporal", "erased"])
async def test_a_person_whose_session_is_gone_is_answered_in_another(talking: World, erased: bool) -> None:
    telegram = talking.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await talking.carried()
    (first,) = await talking.sessions()
    if erased:
        assert (await talking.http.delete(f"/v1/sessions/{first}", params={"erase": True})).status_code == 204
    else:
        await talking.engine.sessions.close(first, Close())
        await talking.engine.sessions.erase(first)

    await telegram.deliver(telegram.text(PEOPLE[0], "Hello again"))
    await talking.carried()

    second = SessionId(first.replace(".1", ".2"))
    assert await talking.sessions() == ([second] if erased else [first, second])
    assert await talking.said(second) == ["Hello again"]


async def test_who_is_erased_is_unknown_and_begins_anew(talking: World) -> None:
    whatsapp = talking.whatsapp
    await whatsapp.deliver(whatsapp.text(PHONES[0], "Hello"), whatsapp.text(PHONES[1], "Hello"))
    await talking.carried()
    (erased,) = await talking.engine.rows(
        "SELECT tenant, user_id, session_id FROM sessions WHERE channel_user_id = $1", PHONES[0]
    )

    await PostgresCandidates(talking.engine.pool).erase(erased["tenant"], erased["user_id"])

    assert await _tables_with(talking, PHONES[0]) == []
    assert await _tables_with(talking, PHONES[1]) == ["channel_chats", "sessions"]
    assert await _tables_with(talking, base64.b64encode(PHONES[0].encode()).decode()[:12]) == []
    await whatsapp.deliver(whatsapp.text(PHONES[0], "Hello again"))
    await talking.carried()
    assert await talking.said(erased["session_id"]) == ["Hello"]
    (begun,) = await talking.engine.rows(
        "SELECT session_id FROM sessions WHERE user_id = $1 AND session_id <> $2",
        erased["user_id"],
        erased["session_id"],
    )
    assert await talking.said(begun["session_id"]) == ["Hello again"]


async def test_a_message_that_is_too_long_is_answered_with_that_and_holds_up_nothing(talking: World) -> None:
    telegram = talking.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "x" * 16_001), telegram.text(PEOPLE[0], "Hello"))
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["Hello"]
    told = {sent.text for sent in telegram.sending.to(str(PEOPLE[0]))}
    assert told == {Prompts().too_long, *await talking.shown(session)}
    rows = await talking.engine.rows("SELECT note, message FROM channel_messages WHERE session_id IS NULL")
    assert [tuple(row) for row in rows] == [("text: is longer than 16000 characters", None)]


async def test_a_message_that_is_too_long_holds_up_nothing_where_the_answer_is_refused(talking: World) -> None:
    telegram = talking.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await talking.carried()
    telegram.sending.react(Refuse(403, message="Forbidden"))

    await telegram.deliver(telegram.text(PEOPLE[0], "x" * 16_001), telegram.text(PEOPLE[0], "Hello?"))
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["Hello", "Hello?"]


@pytest.mark.parametrize("rule", ["limits: {waiting_messages: 1}", "double_text: reject"])
async def test_messages_that_a_session_has_no_room_for_get_their_turns_later(
    writing: World, telegram: TelegramSimulator, tmp_path: Path, rule: str
) -> None:
    (tmp_path / "assistant.yaml").write_text((DEFINITIONS / "assistant.yaml").read_text() + f"\n{rule}\n")
    said = [f"text {number}" for number in range(5)]
    await telegram.deliver(*(telegram.text(PEOPLE[0], text) for text in said))
    await writing.carried()

    (session,) = await writing.sessions()
    assert await writing.said(session) == said


async def _asked_with_two_waiting(world: World) -> SessionId:
    """Let one message be asked about without an answer, and two more wait behind it."""
    telegram = world.telegram
    world.provider.script("only", [BlackHole()])
    await telegram.deliver(telegram.text(PEOPLE[0], "first", language="es"))
    await world.provider.asked()
    await telegram.deliver(telegram.text(PEOPLE[0], "second"), telegram.text(PEOPLE[0], "third"))
    await world.handed_over()
    (session,) = await world.sessions()
    return session


async def test_a_message_that_its_session_has_ended_before_gets_its_turn_in_the_next_one(
    writing: World, tmp_path: Path
) -> None:
    (tmp_path / "assistant.yaml").write_text(ENDING)
    session = await _asked_with_two_waiting(writing)
    handle = writing.engine.client.get_workflow_handle(workflow_id(session))
    await handle.signal("transition", TransitionTo(state="over"))
    await handle.signal("cancel_turn")
    await writing.carried()

    sessions = await writing.sessions()
    assert [await writing.said(session) for session in sessions] == [["first"], ["second", "third"]]


async def test_a_message_that_waits_as_its_sessions_workflow_is_terminated_gets_its_turn_in_the_next_one(
    talking: World,
) -> None:
    telegram = talking.telegram
    session = await _asked_with_two_waiting(talking)
    await talking.engine.client.get_workflow_handle(workflow_id(session)).terminate()
    while not (await talking.engine.upkeep())["ended"]:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await telegram.sending.until(lambda: len(telegram.sending.sent) == 4)

    sessions = await talking.sessions()
    assert [await talking.said(session) for session in sessions] == [["first"], ["second", "third"]]
    assert [sent.text for sent in telegram.sending.sent][2:] == ["You said: second", "You said: third"]


async def test_an_application_that_cannot_be_used_costs_no_message_and_no_session(
    writing: World, telegram: TelegramSimulator, tmp_path: Path
) -> None:
    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await writing.intake_tried(3)
    (tmp_path / "assistant.yaml").write_text(ENDING)
    await writing.carried()

    (session,) = await writing.engine.rows("SELECT session_id FROM channel_sessions")
    assert await writing.said(session["session_id"]) == ["Hello"]


async def test_a_message_that_is_too_long_holds_up_nothing_where_the_application_is_gone(
    writing: World, telegram: TelegramSimulator, tmp_path: Path
) -> None:
    (tmp_path / "assistant.yaml").write_text(ENDING)
    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await writing.carried()
    (tmp_path / "assistant.yaml").unlink()
    await telegram.deliver(telegram.text(PEOPLE[0], "x" * 16_001), telegram.text(PEOPLE[0], "Hello?"))
    await writing.carried()

    (session,) = await writing.sessions()
    assert await writing.said(session) == ["Hello", "Hello?"]


@pytest.mark.parametrize("settings", [ASSISTANT | {"telegram_tenant": "acme"}])
async def test_chats_are_of_the_tenant_that_the_settings_name(world: World) -> None:
    telegram = world.telegram
    await telegram.deliver(telegram.document(PEOPLE[0], RESUME.encode(), name="cv.txt"))
    await world.whatsapp.deliver(world.whatsapp.text(PHONES[0], "Hello"))
    await world.carried()

    sessions = await world.engine.rows("SELECT channel, tenant FROM sessions ORDER BY channel")
    assert [tuple(row) for row in sessions] == [("telegram", "acme"), ("whatsapp", "default")]
    assert [row["tenant"] for row in await world.engine.rows("SELECT tenant FROM resumes")] == ["acme"]


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "sha256=\u00e4"],
    ids=["none", "empty", "wrong", "of-another-kind", "not-ascii"],
)
async def test_a_whatsapp_delivery_with_a_wrong_signature_is_refused_and_nothing_is_stored(
    world: World, signature: str
) -> None:
    body = world.whatsapp.text(PHONES[0], "Hello")

    answer = await world.http.post(
        "/v1/webhooks/whatsapp",
        content=body,
        headers={b"X-Hub-Signature-256": signature.encode("latin-1")},
    )

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authentic"
    await _nothing_is_stored(world)


async def test_a_signature_is_over_the_bytes_as_they_came(world: World) -> None:
    body = world.whatsapp.text(PHONES[0], "Hello")
    headers = world.whatsapp.signed(body)

    # The same JSON in other bytes.
    other = await world.http.post("/v1/webhooks/whatsapp", content=body.replace(b": ", b":"), headers=headers)
    assert other.status_code == 401
    await _nothing_is_stored(world)
    assert (await world.http.post("/v1/webhooks/whatsapp", content=body, headers=headers)).status_code == 200
    await world.carried()


@pytest.mark.parametrize(("in_path", "in_header"), [(True, False), (False, True), (False, False)])
async def test_a_telegram_update_without_both_secrets_is_refused_and_nothing_is_stored(
    world: World, in_path: bool, in_header: bool
) -> None:
    url = httpx.URL(world.telegram.webhook.url)
    secret = url.path.rpartition("/")[2]
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret if in_header else "wrong"}

    answer = await world.http.post(
        url.path if in_path else url.path.replace(secret, "wrong"),
        content=world.telegram.text(PEOPLE[0], "Hello"),
        headers=headers,
    )

    assert answer.status_code == 401
    await _nothing_is_stored(world)


async def test_metas_question_is_answered_to_whom_knows_the_token(world: World) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": world.whatsapp.verify_token}

    right = await world.http.get("/v1/webhooks/whatsapp", params=query)
    wrong = await world.http.get("/v1/webhooks/whatsapp", params=query | {"hub.verify_token": "guessed"})

    assert (right.status_code, right.text) == (200, "1158201444")
    assert wrong.status_code == 401
    assert "1158201444" not in wrong.text


async def test_edits_and_what_is_no_message_change_nothing(talking: World) -> None:
    telegram, whatsapp = talking.telegram, talking.whatsapp
    reaction = json.loads(whatsapp.text(PHONES[0], "?"))
    (message,) = reaction["entry"][0]["changes"][0]["value"]["messages"]
    message |= {"type": "reaction", "reaction": {"emoji": "👍"}}

    await telegram.deliver(telegram.edit(PEOPLE[0], "what I meant"))
    await telegram.deliver(json.dumps({"update_id": 1, "my_chat_member": {}}).encode())
    await whatsapp.deliver(json.dumps(reaction).encode())

    await _nothing_is_stored(talking)


async def test_what_is_no_text_is_told_as_what_it_is(talking: World) -> None:
    await talking.telegram.deliver(talking.telegram.sticker(PEOPLE[0]))
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["[sticker]"]


async def test_a_person_who_hides_the_phone_number_is_talked_to_all_the_same(talking: World) -> None:
    whatsapp = talking.whatsapp
    await whatsapp.deliver(whatsapp.text(PHONES[0], "Hello"))
    await talking.carried()
    await whatsapp.deliver(whatsapp.text(PHONES[0], "and from now on in private", hidden=True))
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["Hello", "and from now on in private"]
    assert {sent.address for sent in whatsapp.sending.sent[:2]} == {PHONES[0]}
    assert whatsapp.sending.sent[-1].address == whatsapp_platform.user_id(PHONES[0])


async def test_a_link_into_telegram_says_what_the_conversation_is_about(world: World) -> None:
    await world.telegram.deliver(world.telegram.text(PEOPLE[0], "/start job-17", language="es"))
    await world.carried()

    (session,) = await world.sessions()
    record = (await world.http.get(f"/v1/sessions/{session}")).json()
    assert record["job_id"] == "job-17"
    assert await world.said(session) == []
    assert len(await world.shown(session)) == 1


@pytest.mark.parametrize("link", ["/start", "/start job-17"])
async def test_a_chat_that_is_opened_again_goes_on_where_it_stands(world: World, link: str) -> None:
    telegram = world.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "/start job-17"), telegram.text(PEOPLE[0], "Ana López"))
    await world.carried()

    await telegram.deliver(telegram.text(PEOPLE[0], link))
    await world.carried()

    (session,) = await world.sessions()
    assert await world.said(session) == ["Ana López"]
    greeting, question = await world.shown(session)
    assert [sent.text for sent in telegram.sending.sent] == [greeting, question, question]


async def test_a_link_to_another_job_ends_the_conversation_about_the_first_one(world: World) -> None:
    telegram = world.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "/start job-17"), telegram.text(PEOPLE[0], "Ana López"))
    await world.carried()

    await telegram.deliver(telegram.text(PEOPLE[0], "/start job-18"))
    await world.carried()

    first, second = [(await world.http.get(f"/v1/sessions/{session}")).json() for session in await world.sessions()]
    assert (first["job_id"], first["status"], second["job_id"], second["status"]) == (
        "job-17",
        "closed",
        "job-18",
        "open",
    )


async def test_an_application_that_ends_as_it_opens_says_so_once_a_message(
    writing: World, telegram: TelegramSimulator, tmp_path: Path
) -> None:
    (tmp_path / "assistant.yaml").write_text(ENDS_AT_ONCE)

    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"), telegram.text(PEOPLE[0], "/start"))
    await writing.carried()

    assert [sent.text for sent in telegram.sending.sent] == ["We are not hiring."] * 2
    rows = await writing.engine.rows("SELECT note, message FROM channel_messages ORDER BY position")
    assert [tuple(row) for row in rows] == [("the session ended as it opened", None)] * 2


async def test_an_application_that_expects_nothing_hears_all_the_same(
    writing: World, telegram: TelegramSimulator, tmp_path: Path
) -> None:
    (tmp_path / "assistant.yaml").write_text(ENDS_AT_ONCE.replace(", ends: true", ""))

    await telegram.deliver(telegram.text(PEOPLE[0], "Hello"))
    await writing.carried()

    (session,) = await writing.sessions()
    assert await writing.said(session) == ["Hello"]


async def test_no_id_in_temporal_tells_who_writes(talking: World) -> None:
    whatsapp = talking.whatsapp
    await whatsapp.deliver(whatsapp.text(PHONES[0], "Hello"))
    await talking.carried()

    (session,) = await talking.sessions()
    (message,) = [m for m in await talking.transcript(session) if m.role == "user"]
    ids = [session, str(message.message_id)]
    workflows = talking.engine.client.list_workflows(f"TaskQueue = '{talking.engine.task_queue}'")
    ids += [workflow.id async for workflow in workflows]
    assert not [found for found in ids if PHONES[0] in found or base64.b64encode(PHONES[0].encode()).decode() in found]


async def test_a_document_is_taken_in_as_the_resume_and_says_what_stands_in_it(world: World) -> None:
    telegram = world.telegram
    await telegram.deliver(telegram.text(PEOPLE[0], "/start"))
    for answer in ("Ana López", "ana@example.org", "skip", "Backend engineer", "8 years"):
        await telegram.deliver(telegram.text(PEOPLE[0], answer))
        await world.carried()

    await telegram.deliver(telegram.document(PEOPLE[0], RESUME.encode(), name="cv.txt"))
    await world.carried()

    (session,) = await world.sessions()
    record = (await world.http.get(f"/v1/sessions/{session}")).json()
    assert record["slots"]["resume"]["words"] == len(RESUME.split())
    stored = await world.engine.rows("SELECT media_type, content FROM resumes WHERE user_id = $1", record["user_id"])
    assert [tuple(row) for row in stored] == [("text/plain", RESUME.encode())]


async def test_a_whatsapp_document_is_fetched_too(talking: World) -> None:
    whatsapp = talking.whatsapp
    await whatsapp.deliver(whatsapp.document(PHONES[0], pdf(("Ana Lopez", "Backend Engineer")), name="cv.pdf"))
    await talking.carried()

    (session,) = await talking.sessions()
    (said,) = await talking.said(session)
    assert "Backend Engineer" in said


async def test_a_file_that_cannot_be_read_or_is_too_large_does_not_hold_up_what_comes_after_it(talking: World) -> None:
    telegram = talking.telegram
    await telegram.deliver(
        telegram.document(PEOPLE[0], b"\x89PNG\r\n\x1a\n" + bytes(100), name="me.png", caption="That's me"),
        telegram.document(PEOPLE[0], bytes(6 * 1024 * 1024), name="huge.bin"),
        telegram.text(PEOPLE[0], "Hello?"),
    )
    await talking.carried()

    (session,) = await talking.sessions()
    assert await talking.said(session) == ["That's me", "[document]", "Hello?"]


async def test_what_was_handed_over_is_kept_in_the_transcript_only(talking: World) -> None:
    await talking.telegram.deliver(talking.telegram.text(PEOPLE[0], "my secret"))
    await talking.carried()

    rows = await talking.engine.rows("SELECT message, session_id FROM channel_messages")
    assert [(row["message"], row["session_id"]) for row in rows] == [(None, (await talking.sessions())[0])]


async def _tables_with(world: World, word: str) -> list[str]:
    tables = await world.engine.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    return [
        table
        for (table,) in map(tuple, tables)
        if await world.engine.rows(f"SELECT FROM {table} WHERE {table}::text LIKE $1", f"%{word}%")
    ]


async def _nothing_is_stored(world: World) -> None:
    for table in ("channel_chats", "channel_messages", "channel_sessions", "sessions", "deliveries"):
        assert await world.engine.rows(f"SELECT FROM {table}") == []
