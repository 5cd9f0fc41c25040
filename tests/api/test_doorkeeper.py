"""What a process of the API remembers of keys, and for how long."""

from datetime import datetime, timedelta

import pytest
from starlette.requests import Request

from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import ApiKey, Scope
from tertulia.domain.errors import Unauthenticated, Unavailable
from tertulia.storage.api_keys import PostgresApiKeys
from tertulia.storage.pool import open_pool
from tests.api.test_limits import Clock
from tests.api.whole import ACME
from tests.fakes import NOON, InMemoryApiKeys


def request(shown: str) -> Request:
    headers = [(b"authorization", f"Bearer {shown}".encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})


async def test_a_busy_key_is_read_once_a_second() -> None:
    keys, clock = InMemoryApiKeys(), Clock()
    _, secret = await keys.create(ACME, "busy", Scope.CHAT, at=NOON)
    door = Doorkeeper(keys, SessionTokens(None), required=True, monotonic=clock)

    for _ in range(100):
        await door.caller(request(secret.get_secret_value()), NOON)
        clock.seconds += 0.05

    assert keys.reads == 5


async def test_a_key_is_as_good_where_its_use_cannot_be_noted() -> None:
    class ReadOnly(InMemoryApiKeys):
        async def used(self, key: ApiKey, *, at: datetime) -> None:
            raise Unavailable("Postgres", "cannot execute UPDATE in a read-only transaction")

    keys = ReadOnly()
    _, secret = await keys.create(ACME, "reader", Scope.CHAT, at=NOON)
    door = Doorkeeper(keys, SessionTokens(None), required=True, monotonic=Clock())

    assert (await door.caller(request(secret.get_secret_value()), NOON)).tenant == ACME


async def test_a_revocation_reaches_every_process_within_a_second(database: str) -> None:
    clock = Clock()
    async with open_pool(database) as pool:
        here, there = (
            Doorkeeper(PostgresApiKeys(pool), SessionTokens(None), required=True, monotonic=clock) for _ in range(2)
        )
        key, secret = await here.keys.create(ACME, "leaked", Scope.ADMIN, at=NOON)
        shown = request(secret.get_secret_value())
        assert await here.caller(shown, NOON) == await there.caller(shown, NOON)

        await here.revoke(ACME, key.key_id, NOON)

        with pytest.raises(Unauthenticated):
            await here.caller(shown, NOON)
        clock.seconds += 1
        with pytest.raises(Unauthenticated):
            await there.caller(shown, NOON)


async def test_an_expiry_counts_at_once() -> None:
    keys = InMemoryApiKeys()
    _, secret = await keys.create(ACME, "short", Scope.CHAT, at=NOON, expires_at=NOON + timedelta(minutes=1))
    door = Doorkeeper(keys, SessionTokens(None), required=True, monotonic=Clock())
    shown = request(secret.get_secret_value())

    await door.caller(shown, NOON)

    with pytest.raises(Unauthenticated):
        await door.caller(shown, NOON + timedelta(minutes=1))


async def test_strangers_take_no_memory_and_keys_a_bounded_one() -> None:
    keys = InMemoryApiKeys()
    door = Doorkeeper(keys, SessionTokens(None), required=True, monotonic=Clock())
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await door.caller(request(f"tertulia_{number}"), NOON)
    assert door._known == {}

    for _ in range(1100):
        _, secret = await keys.create(ACME, "many", Scope.CHAT, at=NOON)
        await door.caller(request(secret.get_secret_value()), NOON)
    assert len(door._known) == 1000
