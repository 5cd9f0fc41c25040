import asyncio

import httpx
import pytest

from tertulia.domain.conversation import Reply, Role, TurnStatus
from tertulia.domain.errors import InvalidInput, NotFound, SessionClosed, TooManyWaiting, TurnInProgress
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import TurnRecord
from tests.api.conftest import SESSION, World
from tests.fakes import NOON, OPEN_QUESTION, InMemoryTranscripts, turn_record

HELLO = {"text": "hello", "message_id": "m-1"}
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def messages(session: SessionId) -> str:
    """The path of a session's messages."""
    return f"/v1/sessions/{session}/messages"


async def test_a_message_is_answered_with_the_reply(api: httpx.AsyncClient, messages: str) -> None:
    answer = await api.post(messages, json=HELLO)

    assert answer.status_code == 200
    assert answer.json() == {
        "session_id": "s-1",
        "message_id": "m-1",
        "turn": 1,
        "status": "answered",
        "reply": "You said: hello",
        "state": "onboarding",
        "next_action": {"kind": "answer", "slot": "name", "type": "text", "choices": []},
        "provider": "groq",
        "owner": "bot",
    }


async def test_the_engine_gets_exactly_what_was_written(api: httpx.AsyncClient, world: World, messages: str) -> None:
    text = "  Zürich,\tfür\r\n  日本語 👩‍💻 \u202e\u200f ' OR 1=1 -- <b>\\n  "

    await api.post(messages, json={"text": text})

    assert [message.text for message in world.sessions.taken] == [text]


@pytest.mark.parametrize(
    ("body", "headers"),
    [(HELLO, {}), ({"text": "hello"}, {"Idempotency-Key": "m-1"}), (HELLO, {"Idempotency-Key": '"m-1"'})],
)
async def test_a_message_sent_five_times_at_once_is_one_turn(
    api: httpx.AsyncClient, world: World, messages: str, body: dict[str, str], headers: dict[str, str]
) -> None:
    answers = await asyncio.gather(*(api.post(messages, json=body, headers=headers) for _ in range(5)))

    assert {answer.text for answer in answers} == {answers[0].text}
    assert [message.message_id for message in world.sessions.taken] == ["m-1"]


async def test_messages_without_an_id_are_each_a_turn(api: httpx.AsyncClient, messages: str) -> None:
    turns = [(await api.post(messages, json={"text": "again"})).json()["turn"] for _ in range(2)]

    assert turns == [1, 2]


async def test_a_turn_in_which_every_provider_failed_is_a_reply_all_the_same(
    api: httpx.AsyncClient, world: World, messages: str
) -> None:
    world.sessions.outcome = TurnStatus.FAILED

    answer = await api.post(messages, json=HELLO)

    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


class TestReceipts:
    async def test_a_receipt_comes_at_once_and_leads_to_the_outcome(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.sessions.ending.clear()

        receipt = await api.post(messages, json=HELLO, headers=ASYNC)
        before = await api.get(receipt.headers["location"])
        world.sessions.ending.set()
        await world.sessions.settled()
        after = await api.get(receipt.headers["location"])

        assert receipt.status_code == 202
        assert receipt.headers["preference-applied"] == "respond-async"
        assert receipt.json() == before.json()
        assert (before.json()["status"], before.json()["reply"]) == ("pending", None)
        assert (after.json()["status"], after.json()["turn"]) == ("answered", 1)
        assert after.json()["reply"]["reply"] == "You said: hello"

    async def test_a_receipt_tells_until_when_the_turn_waits_for_a_provider(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        reply = Reply(
            turn=1,
            status=TurnStatus.ANSWERED,
            text="Hi!",
            state="onboarding",
            next_action=OPEN_QUESTION,
            message_id=MessageId("m-1"),
        )
        answered = turn_record(SESSION, 1, reply).model_copy(update={"resumes_at": NOON})
        world.transcripts.record(answered.model_copy(update={"status": "running", "reply": None}))
        waiting = (await api.get(f"{messages}/m-1")).json()
        world.transcripts.record(answered)
        done = (await api.get(f"{messages}/m-1")).json()

        assert (waiting["status"], waiting["resumes_at"]) == ("running", "2026-03-14T12:00:00Z")
        assert (done["status"], done["resumes_at"]) == ("answered", None)

    async def test_a_receipt_promises_only_what_has_been_taken(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.take_nothing()

        answer = await api.post(messages, json=HELLO, headers=ASYNC)

        assert answer.status_code == 503
        assert world.sessions.taken == []

    @pytest.mark.parametrize("prefer", ["wait=0", "respond-async, wait=0", "WAIT = 0 , respond-async"])
    async def test_a_client_says_how_long_it_waits(
        self, api: httpx.AsyncClient, world: World, messages: str, prefer: str
    ) -> None:
        world.sessions.ending.clear()

        answer = await api.post(messages, json=HELLO, headers={"Prefer": prefer})

        assert answer.status_code == 202

    @pytest.mark.parametrize("prefer", ["respond-async, wait=20", "wait=999999999999", "return=minimal", "wait=soon"])
    async def test_a_reply_within_that_time_is_given(self, api: httpx.AsyncClient, messages: str, prefer: str) -> None:
        answer = await api.post(messages, json=HELLO, headers={"Prefer": prefer})

        assert answer.status_code == 200

    async def test_a_reply_that_takes_too_long_becomes_a_receipt(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.do_not_wait_for_replies()
        world.sessions.ending.clear()

        late = await api.post(messages, json=HELLO)
        world.sessions.ending.set()
        await world.sessions.settled()
        again = await api.post(messages, json=HELLO)

        assert late.status_code == 202
        assert again.json()["turn"] == 1
        assert (await api.get(late.headers["location"])).json()["reply"] == again.json()

    async def test_a_turn_that_begins_and_ends_between_two_looks_is_found(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        class LateToTell(InMemoryTranscripts):
            async def turn_of(self, session_id: SessionId, message_id: MessageId) -> TurnRecord | None:
                if not self.looked_up.is_set():
                    self.looked_up.set()
                    return None
                return await world.transcripts.turn_of(session_id, message_id)

        await api.post(messages, json=HELLO)
        world.change(transcripts=LateToTell())

        assert (await api.get(f"{messages}/m-1")).json()["status"] == "answered"

    async def test_a_message_that_never_was_has_no_receipt(self, api: httpx.AsyncClient, messages: str) -> None:
        answer = await api.get(f"{messages}/m-404")

        assert answer.status_code == 404
        assert answer.json()["detail"] == "there is no such message"

    async def test_a_message_that_never_was_has_none_while_another_one_waits(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.sessions.ending.clear()
        await api.post(messages, json=HELLO, headers=ASYNC)

        assert (await api.get(f"{messages}/m-1")).json()["status"] == "pending"
        assert (await api.get(f"{messages}/m-404")).status_code == 404

    async def test_a_message_that_a_workflow_still_awaits_which_was_cut_off_is_refused(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.sessions.ending.clear()
        await api.post(messages, json=HELLO, headers=ASYNC)
        world.transcripts.refused.add((SESSION, MessageId("m-1")))

        assert (await api.get(f"{messages}/m-1")).json()["status"] == "refused"

    async def test_a_message_that_the_sessions_end_has_left_without_a_turn_is_refused(
        self, api: httpx.AsyncClient, world: World, messages: str
    ) -> None:
        world.transcripts.refused.add((SESSION, MessageId("m-1")))
        world.sessions.refusal = SessionClosed("the session is closed")

        answer = await api.get(f"{messages}/m-1")

        assert answer.json() == {
            "session_id": "s-1",
            "message_id": "m-1",
            "status": "refused",
            "turn": None,
            "reply": None,
            "resumes_at": None,
        }

    async def test_a_session_that_never_was_has_no_receipts(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v1/sessions/s-404/messages/m-1")

        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such session")

    async def test_receipts_of_a_closed_session_stay(
        self, api: httpx.AsyncClient, session: SessionId, messages: str
    ) -> None:
        await api.post(messages, json=HELLO)
        await api.delete(f"/v1/sessions/{session}")

        assert (await api.get(f"{messages}/m-1")).json()["status"] == "answered"
        assert (await api.get(f"{messages}/m-2")).status_code == 404


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (SessionClosed("the session is closed"), 409, "session_closed"),
        (TurnInProgress("a turn is running"), 409, "turn_in_progress"),
        (TooManyWaiting("20 messages are waiting"), 429, "too_many_waiting"),
        (InvalidInput("is longer than 16000 characters", field="text"), 422, "invalid_input"),
    ],
)
@pytest.mark.parametrize("headers", [{}, ASYNC, {"Accept": "text/event-stream"}])
async def test_each_way_to_send_tells_the_engines_refusal(
    api: httpx.AsyncClient,
    world: World,
    messages: str,
    refusal: Exception,
    status: int,
    code: str,
    headers: dict[str, str],
) -> None:
    world.sessions.refusal = refusal

    answer = await api.post(messages, json=HELLO, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


@pytest.mark.parametrize("headers", [{}, ASYNC, {"Accept": "text/event-stream"}])
async def test_a_closed_session_that_the_engine_has_forgotten_is_still_closed(
    api: httpx.AsyncClient, world: World, session: SessionId, messages: str, headers: dict[str, str]
) -> None:
    await api.delete(f"/v1/sessions/{session}")
    world.sessions.refusal = NotFound("session", session)

    answer = await api.post(messages, json=HELLO, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "session_closed")


@pytest.mark.parametrize("headers", [{}, ASYNC, {"Accept": "text/event-stream"}])
async def test_a_client_that_goes_away_does_not_take_its_message_with_it(
    api: httpx.AsyncClient, world: World, messages: str, headers: dict[str, str]
) -> None:
    world.sessions.asked.clear()
    world.sessions.taking.clear()
    sending = asyncio.create_task(api.post(messages, json=HELLO, headers=headers))
    await world.sessions.asked.wait()

    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await api.get("/healthz")
    world.sessions.taking.set()
    await world.sessions.settled()

    assert (await api.get(f"{messages}/m-1")).json()["reply"]["reply"] == "You said: hello"


class TestTranscript:
    @pytest.fixture(autouse=True)
    def _told(self, world: World, session: SessionId) -> None:
        for turn in range(1, 4):
            world.transcripts.say(session, Role.USER, f"question {turn}", turn=turn)
            world.transcripts.say(session, Role.ASSISTANT, f"answer {turn}", turn=turn)

    async def test_a_transcript_is_read_piece_by_piece(self, api: httpx.AsyncClient, messages: str) -> None:
        pieces, after = [], 0
        while after is not None:
            piece = (await api.get(messages, params={"after": after, "limit": 3})).json()
            pieces.append([message["seq"] for message in piece["messages"]])
            after = piece["next"]

        assert pieces == [[1, 2, 3], [4, 5, 6], [7]]

    async def test_a_piece_that_ends_with_the_transcript_has_no_next(
        self, api: httpx.AsyncClient, messages: str
    ) -> None:
        piece = (await api.get(messages, params={"limit": 7})).json()

        assert (len(piece["messages"]), piece["next"]) == (7, None)

    async def test_the_last_messages_are_read_oldest_first(self, api: httpx.AsyncClient, messages: str) -> None:
        piece = (await api.get(messages, params={"last": 2})).json()

        assert [message["text"] for message in piece["messages"]] == ["question 3", "answer 3"]
        assert piece["next"] is None

    async def test_behind_the_end_there_is_nothing(self, api: httpx.AsyncClient, messages: str) -> None:
        assert (await api.get(messages, params={"after": 2**31 - 1})).json() == {"messages": [], "next": None}

    async def test_one_asks_for_the_last_or_for_those_behind(self, api: httpx.AsyncClient, messages: str) -> None:
        answer = await api.get(messages, params={"last": 2, "after": 3})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "query.last"


async def test_a_turn_is_read_with_its_evidence(api: httpx.AsyncClient, session: SessionId, messages: str) -> None:
    await api.post(messages, json=HELLO)

    turn = (await api.get(f"/v1/sessions/{session}/turns/1")).json()

    assert turn["message_ids"] == ["m-1"]
    assert turn["passed_over"] == [{"provider": "openrouter", "reason": "unhealthy by its last probes"}]
    outcome = turn["attempts"][0]["outcome"]
    assert (outcome["ttft_ms"], outcome["usage"]["output_visible"], outcome["cost_usd"]) == (80.5, 18, "0.00031")


async def test_a_turn_that_never_was_is_not_found(api: httpx.AsyncClient, session: SessionId) -> None:
    answer = await api.get(f"/v1/sessions/{session}/turns/2")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no such turn"
