"""Keys of the API in Postgres."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from tertulia.domain.access import KeyId, Scope
from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import TenantId
from tertulia.storage.api_keys import MARK, PostgresApiKeys
from tertulia.storage.pool import Pool

from .examples import at

ACME = TenantId("acme")
OTHER = TenantId("other")


async def test_a_key_is_found_by_itself_and_stored_nowhere(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    made, secret = await keys.create(ACME, "website", Scope.CHAT, at=at(0), expires_at=at(60))
    shown = secret.get_secret_value()

    assert await keys.find(secret) == await keys.get(made.key_id) == made
    assert shown.startswith(made.prefix)
    assert len(shown) == len(MARK) + 64
    async with pool.connection() as connection:
        dumped = str(await connection.fetch("SELECT api_keys::text FROM api_keys"))
    assert shown[len(made.prefix) :] not in dumped


@pytest.mark.parametrize("shown", ["", "tertulia_", "tertulia_" + "0" * 64, "\x00", "é"])
async def test_what_is_no_key_finds_none(pool: Pool, shown: str) -> None:
    keys = PostgresApiKeys(pool)
    await keys.create(ACME, "website", Scope.CHAT, at=at(0))

    assert await keys.find(SecretStr(shown)) is None


async def test_no_two_keys_are_alike(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    made = [await keys.create(ACME, "website", Scope.CHAT, at=at(0)) for _ in range(20)]

    assert len({secret.get_secret_value() for _, secret in made}) == len({key.key_id for key, _ in made}) == 20


async def test_a_tenant_sees_its_own_keys_newest_first_page_by_page(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    made = [(await keys.create(ACME, f"key {n}", Scope.CHAT, at=at(n)))[0] for n in range(5)]
    await keys.create(OTHER, "theirs", Scope.ADMIN, at=at(9))

    first = await keys.find_all(ACME, limit=3)
    second = await keys.find_all(ACME, cursor=first.next, limit=3)

    assert [*first.keys, *second.keys] == made[::-1]
    assert second.next is None
    with pytest.raises(InvalidInput, match="cursor"):
        await keys.find_all(ACME, cursor="canary", limit=3)


async def test_a_revoked_key_stays_revoked_since_the_first_time(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    made, secret = await keys.create(ACME, "website", Scope.CHAT, at=at(0))
    assert made.is_usable(at(5))

    await keys.revoke(ACME, made.key_id, at=at(5))
    await keys.revoke(ACME, made.key_id, at=at(7))

    found = await keys.find(secret)
    assert found is not None
    assert (found.revoked_at, found.is_usable(at(5))) == (at(5), False)


@pytest.mark.parametrize("tenant", [OTHER, ACME])
async def test_only_a_key_of_the_tenant_can_be_revoked(pool: Pool, tenant: TenantId) -> None:
    keys = PostgresApiKeys(pool)
    made, secret = await keys.create(ACME, "website", Scope.CHAT, at=at(0))

    with pytest.raises(NotFound):
        await keys.revoke(tenant, KeyId("no such key") if tenant == ACME else made.key_id, at=at(1))

    assert await keys.find(secret) == made


async def test_an_expired_key_is_not_usable_from_its_time_on(pool: Pool) -> None:
    made, _ = await PostgresApiKeys(pool).create(ACME, "website", Scope.CHAT, at=at(0), expires_at=at(60))

    assert made.is_usable(at(59))
    assert not made.is_usable(at(60))


async def test_whether_any_key_opens_anything_is_known(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    assert not await keys.any_usable(at(0))
    await keys.create(ACME, "short", Scope.CHAT, at=at(0), expires_at=at(60))
    made, _ = await keys.create(OTHER, "long", Scope.CHAT, at=at(0))

    assert await keys.any_usable(at(61))
    await keys.revoke(OTHER, made.key_id, at=at(1))
    assert await keys.any_usable(at(59))
    assert not await keys.any_usable(at(60))


async def test_that_a_key_is_used_is_written_down_every_few_minutes(pool: Pool) -> None:
    keys = PostgresApiKeys(pool)
    made, secret = await keys.create(ACME, "website", Scope.CHAT, at=at(0))
    seen = []

    for minutes in (1, 3, 5, 7, 13):
        used = await keys.find(secret)
        assert used is not None
        await keys.used(used, at=at(0) + timedelta(minutes=minutes))
        again = await keys.get(made.key_id)
        assert again is not None
        assert again.last_used_at is not None
        seen.append((again.last_used_at - at(0)).total_seconds() / 60)

    assert seen == [1, 1, 1, 7, 13]
