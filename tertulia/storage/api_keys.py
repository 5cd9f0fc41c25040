"""Keys of the API: made here, kept as digests, shown once."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from tertulia.domain.access import ApiKey, KeyId, KeyPage, Scope
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import TenantId
from tertulia.storage import cursors
from tertulia.storage.pool import Pool, Row

# Told apart from other secrets by people, and by scanners of what gets published by mistake.
MARK = "tertulia_"
_RANDOM_BYTES = 32
# Enough to find a key in a list; 224 bits stay unknown.
_SHOWN = len(MARK) + 8

_COLUMNS = "key_id, tenant, name, scope, prefix, created_at, expires_at, revoked_at, last_used_at"

_INSERT = """
INSERT INTO api_keys (key_id, tenant, name, scope, digest, prefix, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_BY_DIGEST = f"SELECT {_COLUMNS} FROM api_keys WHERE digest = $1"  # noqa: S608 - put together from constants
_BY_ID = f"SELECT {_COLUMNS} FROM api_keys WHERE key_id = $1"  # noqa: S608

_NEWEST_FIRST = f"""
SELECT {_COLUMNS} FROM api_keys
WHERE tenant = $1 AND ($3::timestamptz IS NULL OR (created_at, key_id) < ($3, $4))
ORDER BY created_at DESC, key_id DESC
LIMIT $2
"""  # noqa: S608

_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE tenant = $1 AND key_id = $2 RETURNING key_id
"""

_ANY_USABLE = """
SELECT EXISTS (SELECT FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1))
"""

# Several processes see a key used at the same time; one of them writes.
_USED = """
UPDATE api_keys SET last_used_at = $2 WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at < $3)
"""
_USED_AGAIN_AFTER = timedelta(minutes=5)


class PostgresApiKeys:
    """Implements `ports.ApiKeys`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(
        self, tenant: TenantId, name: str, scope: Scope, *, at: datetime, expires_at: datetime | None = None
    ) -> tuple[ApiKey, SecretStr]:
        """Make a key. Its second form is the key itself, which nothing and nobody knows afterwards."""
        secret = MARK + secrets.token_hex(_RANDOM_BYTES)
        key = ApiKey(
            key_id=KeyId(uuid4().hex),
            tenant=tenant,
            name=name,
            scope=scope,
            prefix=secret[:_SHOWN],
            created_at=at,
            expires_at=expires_at,
        )
        async with self._pool.connection() as connection:
            await connection.execute(
                _INSERT, key.key_id, tenant, name, scope, _digest(secret), key.prefix, at, expires_at
            )
        return key, SecretStr(secret)

    async def find(self, secret: SecretStr) -> ApiKey | None:
        """Return the key that somebody shows, usable or not; None where it is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_BY_DIGEST, _digest(secret.get_secret_value()))
        return _key(row) if row else None

    async def get(self, key_id: KeyId) -> ApiKey | None:
        """Return a key by its id, usable or not."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_BY_ID, key_id)
        return _key(row) if row else None

    async def find_all(self, tenant: TenantId, *, cursor: str | None = None, limit: int = 50) -> KeyPage:
        """List a tenant's keys, newest first, the revoked ones too.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        behind = cursors.decode_time(cursor) if cursor else (None, None)
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_NEWEST_FIRST, tenant, limit + 1, *behind)
        page = [_key(row) for row in rows[:limit]]
        last = page[-1] if len(rows) > limit else None
        return KeyPage(keys=page, next=last and cursors.encode(last.created_at, last.key_id))

    async def revoke(self, tenant: TenantId, key_id: KeyId, *, at: datetime) -> None:
        """Let a key open nothing any more; one that was revoked before stays so.

        Raises:
            NotFound: The tenant has no such key.
        """
        async with self._pool.connection() as connection:
            revoked = await connection.fetchval(_REVOKE, tenant, key_id, at)
        if revoked is None:
            raise NotFound("key", key_id)

    async def any_usable(self, now: datetime) -> bool:
        """Tell whether any key of any tenant opens anything."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_ANY_USABLE, now))

    async def used(self, key: ApiKey, *, at: datetime) -> None:
        """Note that a key was used, which is written down every few minutes."""
        again = at - _USED_AGAIN_AFTER
        if key.last_used_at is None or key.last_used_at < again:
            async with self._pool.connection() as connection:
                await connection.execute(_USED, key.key_id, at, again)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key(row: Row) -> ApiKey:
    return ApiKey.model_validate(dict(row))
