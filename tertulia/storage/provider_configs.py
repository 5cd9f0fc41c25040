"""Configurations of providers that were given at runtime; their keys are sealed."""

from collections.abc import Mapping
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.storage.listener import NOTIFY_PROVIDERS
from tertulia.storage.pool import Pool, Row

_READ = """
SELECT provider, config, sealed_key FROM providers
"""

_STORE = """
INSERT INTO providers (provider, config, sealed_key, key_fingerprint, updated_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (provider) DO UPDATE SET config = $2, sealed_key = $3, key_fingerprint = $4, updated_at = $5
"""

_SETTING = "TERTULIA_SECRET_KEY"


class Seal:
    """Keeps what is stored from being read without the secret key.

    Args:
        secret_key: One or more keys, separated by commas, each 32 bytes in base64: the first one seals, all of them
            open, so that a new one can be put in front while the old ones are still needed.

    Raises:
        InvalidInput: One of them is no such key; says which, and never quotes it.
    """

    def __init__(self, secret_key: SecretStr) -> None:
        keys = [key.strip() for key in secret_key.get_secret_value().split(",")]
        self._keys = MultiFernet([_fernet(number, key) for number, key in enumerate(keys, start=1)])

    def close(self, provider: ProviderName, api_key: SecretStr) -> bytes:
        """Seal a key for one provider."""
        return self._keys.encrypt(f"{provider} {api_key.get_secret_value()}".encode())

    def open(self, provider: ProviderName, sealed: bytes) -> SecretStr | None:
        """Return a provider's key; None where it was sealed by another secret key, or for another provider."""
        try:
            owner, _, api_key = self._keys.decrypt(sealed).decode().partition(" ")
        except InvalidToken:
            return None
        return SecretStr(api_key) if owner == provider else None


class PostgresProviderConfigs:
    """Implements `ports.ProviderConfigs`.

    Args:
        secret_key: As `Seal` takes it; None: configurations with a key can neither be stored nor used.

    Raises:
        InvalidInput: The secret key can't be used.
    """

    def __init__(self, pool: Pool, secret_key: SecretStr | None) -> None:
        self._pool = pool
        self._seal = Seal(secret_key) if secret_key else None

    async def read(self) -> Mapping[ProviderName, ProviderConfig | None]:
        """Return every configuration given at runtime; None for a provider that was removed.

        One whose key can't be opened is there, unusable, and says why.
        """
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_READ)
        return {ProviderName(row["provider"]): self._config(row) for row in rows}

    async def store(self, config: ProviderConfig, *, at: datetime) -> None:
        """Store a configuration in the place of any before it, and tell all workers.

        Raises:
            InvalidInput: It has a key, and there is no secret key to seal it with.
        """
        sealed = None if config.api_key is None else self._sealed(config.provider, config.api_key)
        # Whether it can be used follows from the rest.
        content = config.model_dump(mode="json", exclude={"unusable"})
        await self._write(config.provider, content, sealed, config.key_fingerprint, at)

    async def remove(self, provider: ProviderName, *, at: datetime) -> None:
        """Remove a provider, even one of the environment, with its key, and tell all workers."""
        await self._write(provider, None, None, None, at)

    async def _write(
        self,
        provider: ProviderName,
        content: Mapping[str, object] | None,
        sealed: bytes | None,
        fingerprint: str | None,
        at: datetime,
    ) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(_STORE, provider, content, sealed, fingerprint, at)
            await connection.execute(NOTIFY_PROVIDERS)

    def _sealed(self, provider: ProviderName, api_key: SecretStr) -> bytes:
        if self._seal is None:
            problem = f"can't be stored without {_SETTING} to seal it (`openssl rand -base64 32` makes one)"
            raise InvalidInput(problem, field="api_key")
        return self._seal.close(provider, api_key)

    def _config(self, row: Row) -> ProviderConfig | None:
        if row["config"] is None:
            return None
        config = ProviderConfig.model_validate(row["config"])
        if row["sealed_key"] is None:
            return config
        api_key = self._seal.open(config.provider, row["sealed_key"]) if self._seal else None
        if api_key is None:
            return config.model_copy(update={"unusable": f"its stored key can't be opened with {_SETTING}"})
        return config.model_copy(update={"api_key": api_key})


def _fernet(number: int, key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        problem = f"key {number} is not 32 bytes in base64 (`openssl rand -base64 32` makes one)"
        raise InvalidInput(problem, field=_SETTING) from None
