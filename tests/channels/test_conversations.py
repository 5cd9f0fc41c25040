"""Whole conversations on messengers: from the platform's webhook through the engine back to the person."""

from tests import recruiting_script
from tests.channels.world import World

ANA = 7001


async def test_a_whole_recruiting_conversation_is_held_on_telegram(world: World) -> None:
    telegram = world.telegram
    await telegram.deliver(telegram.text(ANA, "/start"))
    await world.carried()
    for exchange in recruiting_script.EXCHANGES:
        asked = telegram.sending.to(str(ANA))[-1]
        assert asked.text.endswith(exchange.question)
        await telegram.deliver(telegram.text(ANA, exchange.answer))
        await world.carried()

    (session,) = await world.sessions()
    record = (await world.http.get(f"/v1/sessions/{session}")).json()
    assert record["state"] == recruiting_script.FINAL_STATE
    assert record["channel_user_id"] == str(ANA)
    assert str(ANA) not in session
    assert str(ANA) not in record["user_id"]
    assert await world.said(session) == [*recruiting_script.ANSWERS]
    got = telegram.sending.to(str(ANA))
    assert [message.text for message in got] == await world.shown(session)
    assert all(delivery["status"] == "sent" for delivery in await world.deliveries(session))
