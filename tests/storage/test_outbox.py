"""What sessions say on messengers: planned once, sent in order, and found again by what platforms tell of it."""

from datetime import timedelta

import pytest

from tertulia.domain import deliveries
from tertulia.domain.channels import ChannelName, Purpose, Receipt, Received
from tertulia.domain.deliveries import Delivery, DeliveryKey, DeliveryStatus, Manner
from tertulia.domain.ids import MessageId, SessionId
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.outbox import PostgresOutbox
from tertulia.storage.pool import Pool
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.turns import PostgresTurns

from .examples import GREETING, at, begin, end, new_session, said, shown

LIMIT = 4096


@pytest.fixture
def outbox(pool: Pool) -> PostgresOutbox:
    return PostgresOutbox(pool)


async def heard(pool: Pool, message_id: str = "m1", minute: float = 0) -> None:
    message = Received(message_id=MessageId(message_id), person="ana", address="77", position=1, sent_at=at(minute))
    await PostgresChannelInbox(pool).take(ChannelName.WHATSAPP, Purpose(definition="greeting"), b"key", [message])


@pytest.fixture
async def session(pool: Pool) -> SessionId:
    """A session of a chat in which a greeting, a message and its answer stand."""
    await heard(pool)
    async with pool.connection() as connection:
        chat_id = await connection.fetchval("SELECT chat_id FROM channel_chats")
    session = await PostgresChannelInbox(pool).session(chat_id, after=0, opened_by=MessageId("m1"))
    session_id, turns = session.session_id, PostgresTurns(pool)
    await turns.open(new_session(session_id, channel="whatsapp"), GREETING)
    await turns.end(end(0, shown(1, 0, text="Hello"), session_id=session_id))
    await turns.begin(begin(1, said("m1", 2, 1), session_id=session_id))
    await turns.end(end(1, shown(3, 1, text="One. Two."), ids=["m1"], session_id=session_id))
    return session_id


async def plan(outbox: PostgresOutbox, session_id: SessionId, up_to_turn: int, limit: int = LIMIT) -> list[str]:
    """Plan what is new; return which messages that were."""
    found = await outbox.unplanned(session_id, up_to_turn)
    for message in found:
        await outbox.plan(session_id, deliveries.pieces(message, limit), at(5))
    return [message.text for message in found]


async def sent(outbox: PostgresOutbox, key: DeliveryKey, platform_id: str = "p1") -> Delivery:
    await outbox.change(key, lambda before: deliveries.begun(before, at(6), by_template=False))
    after = await outbox.change(key, lambda before: deliveries.accepted(before, platform_id, at(7)))
    assert after is not None
    return after


async def test_what_was_shown_is_planned_once_up_to_a_turn_and_never_what_the_person_wrote(
    outbox: PostgresOutbox, session: SessionId
) -> None:
    assert await plan(outbox, session, 0) == ["Hello"]
    assert await plan(outbox, session, 1) == ["One. Two."]
    assert await plan(outbox, session, 1) == []


async def test_a_turn_that_runs_says_nothing_yet(outbox: PostgresOutbox, session: SessionId, pool: Pool) -> None:
    await plan(outbox, session, 1)
    await PostgresTurns(pool).begin(begin(2, said("m2", 4, 2), session_id=session))

    assert await outbox.unplanned(session, 2) == []


async def test_parts_go_one_after_the_other_and_say_what_stands_in_the_transcript(
    outbox: PostgresOutbox, session: SessionId
) -> None:
    await plan(outbox, session, 1, limit=5)
    went = []
    while key := await outbox.next(session):
        waiting = await outbox.to_send(key)
        assert waiting is not None
        went.append((key.seq, key.part, waiting.text, waiting.chat.address))
        await sent(outbox, key)

    assert went == [(1, 1, "Hello", "77"), (3, 1, "One.", "77"), (3, 2, "Two.", "77")]
    assert [(each.key.seq, each.status) for each in await outbox.of_session(session)] == [
        (seq, DeliveryStatus.SENT) for seq in (1, 3, 3)
    ]


async def test_a_change_is_kept_as_it_was_made(outbox: PostgresOutbox, session: SessionId) -> None:
    await plan(outbox, session, 0)
    key = await outbox.next(session)
    assert key is not None

    after = await sent(outbox, key)

    assert list(await outbox.of_session(session)) == [after]
    assert (after.status, after.attempts, after.platform_id, after.sent_at) == (DeliveryStatus.SENT, 1, "p1", at(7))


async def test_a_receipt_is_of_the_delivery_that_it_names_or_whose_name_at_the_platform_it_knows(
    outbox: PostgresOutbox, session: SessionId
) -> None:
    await plan(outbox, session, 0)
    key = await outbox.next(session)
    assert key is not None
    await sent(outbox, key, "p1")

    def receipt(platform_id: str, delivery_id: str | None = None) -> Receipt:
        return Receipt(platform_id=platform_id, delivery_id=delivery_id, status="read", at=at(9))

    assert await outbox.key_of(receipt("p1")) == key
    assert await outbox.key_of(receipt("p9", str(key))) == key
    assert await outbox.key_of(receipt("p9")) is None
    assert await outbox.key_of(receipt("p1", "of another program")) == key


async def test_what_is_held_goes_when_the_person_has_written_again(
    outbox: PostgresOutbox, session: SessionId, pool: Pool
) -> None:
    await plan(outbox, session, 0)
    key = await outbox.next(session)
    assert key is not None
    await outbox.change(key, lambda before: deliveries.put_off(before, Manner.HOLD))
    chat = await outbox.chat(session)
    assert chat is not None

    assert await outbox.next(session) is None
    assert await outbox.holding(chat.chat_id) == [session]
    await heard(pool, "m2", minute=timedelta(days=2) / timedelta(minutes=1))
    assert await outbox.next(session) == key
    assert await outbox.holding(chat.chat_id) == []


async def test_deliveries_are_read_by_whole_messages(outbox: PostgresOutbox, session: SessionId) -> None:
    await plan(outbox, session, 1, limit=5)

    first = await outbox.of_session(session, limit=1)
    rest = await outbox.of_session(session, after=1, limit=1)

    assert [(each.key.seq, each.key.part) for each in first] == [(1, 1)]
    assert [(each.key.seq, each.key.part) for each in rest] == [(3, 1), (3, 2)]


async def test_a_session_of_no_messenger_has_no_chat(outbox: PostgresOutbox) -> None:
    assert await outbox.chat(SessionId("web")) is None


async def test_deliveries_go_with_their_session(outbox: PostgresOutbox, session: SessionId, pool: Pool) -> None:
    await plan(outbox, session, 1)
    key = await outbox.next(session)
    assert key is not None

    await PostgresSessionRecords(pool).erase(session)

    assert await outbox.of_session(session) == []
    assert await outbox.to_send(key) is None
    assert await outbox.change(key, lambda before: before) is None
