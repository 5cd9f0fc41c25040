"""What sessions say, on its way to people: in order, once, whatever the platform is up to."""

from datetime import timedelta

import pytest

from tertulia.channels.whatsapp import message_name
from tertulia.domain.conversation import Close, Undo
from tertulia.embedded.messengers import Refuse, StaySilent
from tests.channels.world import World

ANA = 7001
ADDRESS = str(ANA)
PHONE = "34600000001"


@pytest.fixture
def settings() -> dict[str, object]:
    return {"telegram_definition": "assistant", "whatsapp_definition": "assistant"}


async def _say(world: World, *texts: str) -> None:
    for text in texts:
        await world.telegram.deliver(world.telegram.text(ANA, text))


async def test_a_long_reply_goes_in_parts_in_order(world: World) -> None:
    long = " ".join(f"word{number}" for number in range(1100))
    await _say(world, long)
    await world.carried()

    (session,) = await world.sessions()
    _, *parts = world.telegram.sending.to(ADDRESS)
    assert len(parts) == 3
    assert " ".join(part.text for part in parts) == f"You said: {long}"
    assert [(d["seq"], d["part"], d["status"]) for d in await world.deliveries(session)] == [
        (1, 1, "sent"),
        (3, 1, "sent"),
        (3, 2, "sent"),
        (3, 3, "sent"),
    ]


async def test_a_dead_platform_holds_up_no_turn_and_gets_everything_in_order_when_it_is_back(world: World) -> None:
    world.telegram.sending.always(Refuse(502, message="Bad Gateway"))
    await _say(world, "one", "two", "three")
    await world.telegram.sending.until(lambda: world.telegram.sending.attempts >= 2)
    session = await world.answered(3)
    await world.engine.sessions.close(session, Close())
    shown = await world.shown(session)
    assert shown[1:] == ["You said: one", "You said: two", "You said: three"]
    assert world.telegram.sending.sent == []

    world.telegram.sending.always(None)
    await world.carried()

    assert [sent.text for sent in world.telegram.sending.to(ADDRESS)] == shown
    first, *others = await world.deliveries(session)
    assert isinstance(first["attempts"], int)
    assert first["attempts"] > 1
    assert {other["attempts"] for other in others} == {1}


async def test_what_was_undone_before_it_could_go_does_not_go(world: World) -> None:
    await _say(world, "one")
    await world.carried()
    (session,) = await world.sessions()
    sending = world.telegram.sending
    before = sending.attempts
    sending.always(Refuse(502, message="Bad Gateway"))
    await _say(world, "two")
    await sending.until(lambda: sending.attempts > before)
    await world.engine.sessions.order(session, Undo(operator="eve"))
    sending.always(None)
    await world.carried()

    assert "You said: two" in await world.shown(session)
    assert "You said: two" not in [sent.text for sent in sending.to(ADDRESS)]
    assert [delivery["status"] for delivery in await world.deliveries(session)][2] == "skipped"


async def test_a_rate_limit_is_waited_for_as_long_as_the_platform_asks(world: World) -> None:
    world.telegram.sending.react(Refuse(429, message="Too Many Requests", retry_after=2))
    await _say(world, "Hello")
    await world.carried()

    (session,) = await world.sessions()
    assert [sent.text for sent in world.telegram.sending.to(ADDRESS)] == await world.shown(session)
    assert (await world.deliveries(session))[0]["attempts"] == 2
    (first,) = await world.engine.rows("SELECT attempted_at, planned_at FROM deliveries WHERE seq = 1")
    assert first["attempted_at"] - first["planned_at"] >= timedelta(seconds=2)


async def test_a_person_who_has_blocked_the_bot_ends_no_session(world: World) -> None:
    world.telegram.blocked.add(ADDRESS)
    await _say(world, "Hello")
    await world.carried()
    world.telegram.blocked.clear()
    await _say(world, "Here again")
    await world.carried()

    (session,) = await world.sessions()
    states = [(d["status"], d["problem"]) for d in await world.deliveries(session)]
    assert states == [("failed", "undeliverable"), ("failed", "undeliverable"), ("sent", None)]
    assert world.telegram.sending.to(ADDRESS)[-1].text == "You said: Here again"


async def test_an_answer_that_never_comes_is_looked_for_in_the_receipts_before_the_message_goes_again(
    world: World,
) -> None:
    whatsapp = world.whatsapp
    whatsapp.sending.react(StaySilent(takes=True))
    await whatsapp.deliver(whatsapp.text(PHONE, "Hello"))
    await world.carried()

    (session,) = await world.sessions()
    assert [sent.text for sent in whatsapp.sending.to(PHONE)] == await world.shown(session)
    first = (await world.deliveries(session))[0]
    assert (first["status"], first["attempts"], first["maybe_twice"]) == ("delivered", 1, False)


async def test_receipts_are_recorded_in_whatever_order_they_come(world: World) -> None:
    whatsapp = world.whatsapp
    whatsapp.receipts = ()
    await whatsapp.deliver(whatsapp.text(PHONE, "Hello"))
    await world.carried()
    greeting, reply = whatsapp.sending.to(PHONE)

    await whatsapp.webhook.deliver(
        whatsapp.receipt(greeting, "read"),
        whatsapp.receipt(greeting, "sent"),
        whatsapp.receipt(greeting, "delivered"),
        whatsapp.receipt(reply, "failed", code=131026),
        times=2,
    )

    (session,) = await world.sessions()
    first, second = await world.deliveries(session)
    assert (first["status"], first["platform_id"]) == ("read", message_name(greeting.platform_id))
    assert all(first[name] for name in ("sent_at", "delivered_at", "read_at"))
    assert (second["status"], second["problem"]) == ("failed", "undeliverable")
    assert "131026" in str(second["detail"])


async def test_receipts_of_messages_that_are_not_ours_are_passed_over(world: World) -> None:
    whatsapp = world.whatsapp
    whatsapp.receipts = ()
    await whatsapp.deliver(whatsapp.text(PHONE, "Hello"))
    await world.carried()
    sent = whatsapp.sending.to(PHONE)[0]
    body = whatsapp.receipt(sent, "read").replace(sent.platform_id.encode(), b"another")
    body = body.replace(str(sent.reference).encode(), b"another")

    assert await whatsapp.webhook.deliver(body) == [200]

    (session,) = await world.sessions()
    assert {d["status"] for d in await world.deliveries(session)} == {"sent"}


async def test_sessions_of_other_channels_have_no_deliveries(world: World) -> None:
    chat = await world.engine.chat()
    await chat.say("Hello")

    assert await world.deliveries(chat.id) == []
    missing = await world.http.get("/v1/sessions/nobody/deliveries")
    assert missing.status_code == 404
