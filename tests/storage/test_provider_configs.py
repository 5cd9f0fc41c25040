"""Configurations given at runtime, and their keys, which nobody can read who has but the database."""

from base64 import urlsafe_b64encode
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import Feature, ProviderConfig, ProviderKind
from tertulia.storage.pool import Pool
from tertulia.storage.provider_configs import PostgresProviderConfigs

from .examples import at
from .provider_examples import SECRET, Stores

MINE = ProviderName("mine")
KEY = "sk-very-secret-4711"


def config(name: str = "mine", key: str | None = KEY, **fields: Any) -> ProviderConfig:
    api_key = None if key is None else SecretStr(key)
    return ProviderConfig(name=name, base_url="https://mine.example", api_key=api_key, **fields)


async def test_a_configuration_comes_back_as_it_was_stored(stores: Stores) -> None:
    stored = config(
        kind=ProviderKind.GROQ,
        cost_per_token=Decimal("0.0000001"),
        daily_budget_usd=Decimal("1.50"),
        features=frozenset({Feature.TOOLS, Feature.JSON_SCHEMA}),
        enabled=False,
        weight=2.5,
    )

    await stores.configs.store(stored, at=at(1))
    await stores.configs.store(config("keyless", None), at=at(1))

    assert await stores.configs.read() == {"mine": stored, "keyless": config("keyless", None)}


async def test_the_last_one_stored_counts(stores: Stores) -> None:
    await stores.configs.store(config(), at=at(1))
    await stores.configs.store(config(key="another", weight=3), at=at(2))

    assert await stores.configs.read() == {"mine": config(key="another", weight=3)}


async def test_what_was_removed_is_known_as_removed_and_may_come_back(stores: Stores) -> None:
    await stores.configs.store(config(), at=at(1))
    await stores.configs.remove(MINE, at=at(2))
    await stores.configs.remove(ProviderName("groq"), at=at(2))
    removed = await stores.configs.read()
    await stores.configs.store(config(), at=at(3))

    assert removed == {"mine": None, "groq": None}
    assert await stores.configs.read() == {"mine": config(), "groq": None}


async def test_whether_it_can_be_used_is_not_stored(stores: Stores) -> None:
    await stores.configs.store(config(key=None, unusable="no key"), at=at(1))

    assert await stores.configs.read() == {"mine": config(key=None)}


async def test_a_key_is_refused_where_nothing_can_seal_it(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="api_key") as refused:
        await stores.unsealed_configs.store(config(), at=at(1))

    assert KEY not in str(refused.value)
    await stores.unsealed_configs.store(config(key=None), at=at(1))
    assert await stores.unsealed_configs.read() == {"mine": config(key=None)}


async def test_a_key_is_nowhere_in_the_database_in_plain_text(pool: Pool) -> None:
    await PostgresProviderConfigs(pool, SecretStr(SECRET)).store(config(), at=at(1))

    async with pool.connection() as connection:
        [row] = await connection.fetch("SELECT providers::text AS text, sealed_key, key_fingerprint FROM providers")

    assert KEY not in row["text"]
    for encoded in (KEY.encode(), KEY.encode().hex().encode(), urlsafe_b64encode(KEY.encode()).rstrip(b"=")):
        assert encoded not in row["sealed_key"]
        assert encoded.decode() not in row["text"]
    assert row["key_fingerprint"] == config().key_fingerprint


async def test_a_removed_providers_key_is_gone(pool: Pool) -> None:
    configs = PostgresProviderConfigs(pool, SecretStr(SECRET))
    await configs.store(config(), at=at(1))

    await configs.remove(MINE, at=at(2))

    async with pool.connection() as connection:
        row = await connection.fetchrow("SELECT config, sealed_key, key_fingerprint FROM providers")
    assert row is not None
    assert [*row] == [None, None, None]


@pytest.mark.parametrize("secret", [None, SecretStr(Fernet.generate_key().decode())])
async def test_a_key_that_cannot_be_opened_makes_its_provider_unusable(pool: Pool, secret: SecretStr | None) -> None:
    await PostgresProviderConfigs(pool, SecretStr(SECRET)).store(config(), at=at(1))

    found = (await PostgresProviderConfigs(pool, secret).read())[MINE]

    assert found is not None
    assert found.api_key is None
    assert found.unusable == "its stored key can't be opened with TERTULIA_SECRET_KEY"


async def test_a_sealed_key_opens_for_its_own_provider_only(pool: Pool) -> None:
    configs = PostgresProviderConfigs(pool, SecretStr(SECRET))
    await configs.store(config("mine"), at=at(1))
    await configs.store(config("theirs", "sk-another"), at=at(1))
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE providers SET sealed_key = (SELECT sealed_key FROM providers WHERE provider = 'mine')"
        )

    found = await configs.read()

    mine, theirs = found[MINE], found[ProviderName("theirs")]
    assert mine == config("mine")
    assert theirs is not None
    assert (theirs.api_key, theirs.unusable) == (None, "its stored key can't be opened with TERTULIA_SECRET_KEY")


async def test_a_new_secret_key_in_front_seals_while_the_old_one_still_opens(pool: Pool) -> None:
    new = Fernet.generate_key().decode()
    await PostgresProviderConfigs(pool, SecretStr(SECRET)).store(config("old"), at=at(1))
    both = PostgresProviderConfigs(pool, SecretStr(f"{new}, {SECRET}"))
    await both.store(config("new"), at=at(2))

    assert await both.read() == {"old": config("old"), "new": config("new")}
    with_new_only = await PostgresProviderConfigs(pool, SecretStr(new)).read()
    assert [found.unusable is None for found in with_new_only.values() if found] == [False, True]


@pytest.mark.parametrize("standard_base64", ["n+/8Q2sqzS1hHgvWdMuGtqO9kZSLMaTTt2dNmT0cNjk="])
async def test_a_secret_key_in_standard_base64_will_do(pool: Pool, standard_base64: str) -> None:
    configs = PostgresProviderConfigs(pool, SecretStr(standard_base64))

    await configs.store(config(), at=at(1))

    assert await configs.read() == {"mine": config()}


@pytest.mark.parametrize("bad", ["hunter2", f"{SECRET},", f"{SECRET},päss", SECRET[:-4]])
def test_a_secret_key_that_is_none_is_refused_and_not_quoted(pool: Pool, bad: str) -> None:
    with pytest.raises(InvalidInput, match=r"TERTULIA_SECRET_KEY: key \d is not 32 bytes") as refused:
        PostgresProviderConfigs(pool, SecretStr(bad))

    assert not any(part and part in str(refused.value) for part in bad.split(","))
    assert refused.value.__cause__ is None
