"""Tells who calls: by a key, or because nobody is asked for one."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from pydantic import SecretStr
from starlette.requests import Request

from tertulia.domain.access import HOUSE, ApiKey, Caller, KeyId, Scope
from tertulia.domain.errors import Unauthenticated
from tertulia.domain.ids import TenantId
from tertulia.ports import ApiKeys

# Who calls where no keys are asked for, as on the machine of somebody who tries this out.
EVERYBODY = Caller(tenant=HOUSE, scope=Scope.ADMIN)

# What was read of a key counts for so long, so that a revocation reaches every process within a second, whatever else
# may be lost on the way; and a busy key costs one read a second.
_KNOWN_FOR_SECONDS = 1.0
_KNOWN_AT_MOST = 1000


class Doorkeeper:
    """Knows the keys of the API.

    Args:
        keys: Where they are kept.
        required: Whether anybody is asked for one.
        monotonic: Tells seconds that only ever go forward.
    """

    def __init__(self, keys: ApiKeys, *, required: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.keys = keys
        self._required = required
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, ApiKey]] = {}

    async def caller(self, request: Request, now: datetime) -> Caller:
        """Tell who makes a request.

        Raises:
            Unauthenticated: It shows no key that is valid.
            Unavailable: That can't be found out at the moment.
        """
        if not self._required:
            return EVERYBODY
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not shown.strip():
            raise Unauthenticated
        key = await self._known_key(shown.strip(), now)
        return Caller(tenant=key.tenant, scope=key.scope, key_id=key.key_id)

    async def revoke(self, tenant: TenantId, key_id: KeyId, now: datetime) -> None:
        """Revoke a key, in this process at once.

        Raises:
            NotFound: The tenant has no such key.
        """
        await self.keys.revoke(tenant, key_id, at=now)
        self._known = {name: known for name, known in self._known.items() if known[1].key_id != key_id}

    async def _known_key(self, shown: str, now: datetime) -> ApiKey:
        key = await self._recall(shown, lambda: self.keys.find(SecretStr(shown)), now)
        if key is None or not key.is_usable(now):
            raise Unauthenticated
        return key

    async def _recall(self, name: str, read: Callable[[], Awaitable[ApiKey | None]], now: datetime) -> ApiKey | None:
        """Read a key, unless that was done a moment ago. Strangers are not remembered: there may be any number."""
        begun = self._monotonic()
        if name in self._known and begun - self._known[name][0] < _KNOWN_FOR_SECONDS:
            return self._known[name][1]
        self._known.pop(name, None)
        key = await read()
        if key is not None:
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.pop(next(iter(self._known)), None)
            self._known[name] = (begun, key)
            await self.keys.used(key, at=now)
        return key
