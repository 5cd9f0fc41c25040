"""What people write on messengers: stored once, given out in the platform's order, and forgotten when it is taken."""

import asyncio
from datetime import timedelta

import pytest

from tertulia.domain.channels import Attachment, ChannelName, ChatId, Purpose, Received
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import MessageId, SessionId, TenantId
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates

from .examples import at, begin, end, opened, said, shown

AT_ONCE = timedelta(0)
RECRUITING = Purpose(definition="recruiting")


@pytest.fixture
def inbox(pool: Pool) -> PostgresChannelInbox:
    return PostgresChannelInbox(pool)


def wrote(message_id: str, position: int = 0, person: str = "ana", **more: object) -> Received:
    fields = {"address": person, "text": f"this is {message_id}", "sent_at": at(position)} | more
    return Received.model_validate({"message_id": message_id, "person": person, "position": position} | fields)


async def take(inbox: PostgresChannelInbox, *messages: Received, purpose: Purpose = RECRUITING) -> set[ChatId]:
    return set(await inbox.take(ChannelName.TELEGRAM, purpose, b"key", messages))


async def taken_in_turn(inbox: PostgresChannelInbox, chat_id: ChatId) -> list[str]:
    """Take everything that waits; return it in the order in which it was given out."""
    found = []
    while arrival := await inbox.next(chat_id, AT_ONCE):
        found.append(arrival.message_id)
        await inbox.settle(chat_id, arrival.message_id, session_id=SessionId("s"))
    return [str(message_id) for message_id in found]


async def test_messages_are_given_out_in_the_platforms_order_and_then_as_they_came(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("third", 7), wrote("second", 5))
    await take(inbox, wrote("first", 1), wrote("fourth", 7))

    assert await taken_in_turn(inbox, chat_id) == ["first", "second", "third", "fourth"]


async def test_a_message_is_stored_once_however_often_it_comes_and_at_once(inbox: PostgresChannelInbox) -> None:
    chats = await asyncio.gather(*(take(inbox, wrote("m1"), wrote("m2", 1)) for _ in range(8)))
    (chat_id,) = set.union(*chats)

    assert await taken_in_turn(inbox, chat_id) == ["m1", "m2"]
    assert await take(inbox, wrote("m1")) == set()
    assert await inbox.next(chat_id, AT_ONCE) is None


async def test_only_chats_in_which_something_waits_are_to_be_woken(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1"))
    await taken_in_turn(inbox, chat_id)

    (woken,) = await take(inbox, wrote("m1"), wrote("m2", person="eve"))

    assert woken != chat_id


async def test_a_message_waits_for_others_that_may_belong_before_it(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1", attachment=Attachment(media_id="f", kind="document")))

    waiting, settled = await inbox.next(chat_id, timedelta(hours=1)), await inbox.next(chat_id, AT_ONCE)

    assert waiting is not None
    assert settled is not None
    assert 3500 < waiting.wait_s <= 3600
    assert (settled.wait_s, settled.has_attachment) == (0, True)


async def test_a_text_takes_the_place_of_a_file(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1", attachment=Attachment(media_id="f", kind="document")))

    await inbox.replace(chat_id, MessageId("m1"), "what the file says")

    arrived, after = await inbox.read(chat_id, MessageId("m1")), await inbox.next(chat_id, AT_ONCE)
    assert arrived is not None
    assert after is not None
    assert (arrived.message.text, arrived.message.attachment) == ("what the file says", None)
    assert not after.has_attachment


async def test_what_is_settled_says_nothing_any_more(inbox: PostgresChannelInbox, pool: Pool) -> None:
    (chat_id,) = await take(inbox, wrote("m1", text="a secret"))
    await inbox.settle(chat_id, MessageId("m1"), session_id=None, note="too long")

    await inbox.replace(chat_id, MessageId("m1"), "again")
    await inbox.settle(chat_id, MessageId("m1"), session_id=SessionId("late"))

    assert await inbox.read(chat_id, MessageId("m1")) is None
    async with pool.connection() as connection:
        (row,) = await connection.fetch("SELECT message, session_id, note FROM channel_messages")
    assert tuple(row) == (None, None, "too long")


@pytest.mark.parametrize("settled_first", [True, False], ids=["settled-first", "put-back-first"])
async def test_what_a_session_has_ended_before_waits_again_where_it_stood(
    inbox: PostgresChannelInbox, pool: Pool, settled_first: bool
) -> None:
    (chat_id,) = await take(inbox, wrote("answered", 1), wrote("left", 2), wrote("later", 3))
    session = (await inbox.session(chat_id, after=0, opened_by=MessageId("answered"))).session_id
    turns = await opened(pool, session)
    await turns.begin(begin(1, said("answered", 1, 1), session_id=session))
    settling = [inbox.settle(chat_id, MessageId(each), session_id=session) for each in ("answered", "left")]
    if settled_first:
        await asyncio.gather(*settling)
    await turns.end(end(1, shown(2, 1), ids=["answered"], session_id=session, closes="done"))
    for _ in range(2):
        await inbox.put_back(chat_id, session, [wrote("left", 0, text="left behind")])
    if not settled_first:
        await asyncio.gather(*settling)

    arrived = await inbox.read(chat_id, MessageId("left"))
    assert arrived is not None
    assert await taken_in_turn(inbox, chat_id) == ["left", "later"]


async def test_what_another_session_has_taken_is_not_put_back(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1"))
    await inbox.settle(chat_id, MessageId("m1"), session_id=SessionId("second"))

    await inbox.put_back(chat_id, SessionId("first"), [wrote("m1")])

    assert await inbox.next(chat_id, AT_ONCE) is None


async def test_a_chat_is_where_the_person_wrote_last_by_the_platforms_clock(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1", 5, address="new"))
    await take(inbox, wrote("m0", 1, address="old"))
    older = await inbox.read(chat_id, MessageId("m0"))
    await take(inbox, wrote("m2", 9, address="newest"))
    newer = await inbox.read(chat_id, MessageId("m0"))

    assert older is not None
    assert newer is not None
    assert (older.chat.address, older.chat.heard_at) == ("new", at(5))
    assert (newer.chat.address, newer.chat.heard_at) == ("newest", at(9))


async def test_each_tenant_and_application_has_a_chat_of_its_own_with_a_person(inbox: PostgresChannelInbox) -> None:
    acme = Purpose(tenant=TenantId("acme"), definition="recruiting")
    chats = [await take(inbox, wrote("m1"), purpose=purpose) for purpose in (RECRUITING, acme)]
    chats.append(await take(inbox, wrote("m1"), purpose=Purpose(definition="support")))

    assert len(set.union(*chats)) == 3
    (of_acme,) = chats[1]
    arrived = await inbox.read(of_acme, MessageId("m1"))
    assert arrived is not None
    assert arrived.chat.tenant == "acme"


async def test_a_chat_goes_on_in_its_session_until_that_has_ended(inbox: PostgresChannelInbox) -> None:
    (chat_id,) = await take(inbox, wrote("m1"), wrote("m2", 1))

    begun = await asyncio.gather(*(inbox.session(chat_id, after=0, opened_by=MessageId("m1")) for _ in range(5)))
    same = await inbox.session(chat_id, after=0, opened_by=MessageId("m2"))
    following = await inbox.session(chat_id, after=1, opened_by=MessageId("m2"))

    assert {(each.session_id, each.number, each.opened_by) for each in (*begun, same)} == {(f"{chat_id}.1", 1, "m1")}
    assert (following.session_id, following.number, following.opened_by) == (f"{chat_id}.2", 2, "m2")


async def test_a_chat_that_was_erased_has_no_session_and_begins_under_another_name(
    inbox: PostgresChannelInbox, pool: Pool
) -> None:
    (chat_id,) = await take(inbox, wrote("m1"))
    arrived = await inbox.read(chat_id, MessageId("m1"))
    assert arrived is not None

    await PostgresCandidates(pool).erase(TenantId("acme"), arrived.chat.user_id)
    assert await inbox.next(chat_id, AT_ONCE) is not None
    await PostgresCandidates(pool).erase(arrived.chat.tenant, arrived.chat.user_id)

    assert await inbox.next(chat_id, AT_ONCE) is None
    with pytest.raises(NotFound):
        await inbox.session(chat_id, after=0, opened_by=MessageId("m1"))
    assert await take(inbox, wrote("m2")) not in (set(), {chat_id})
