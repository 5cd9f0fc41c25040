"""Tells who calls: by a key, by a session token, or because nobody is asked."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.requests import Request

from tertulia.api.rate_limit import RateLimit
from tertulia.api.session_tokens import SessionTokens
from tertulia.domain.access import HOUSE, ApiKey, Caller, KeyId, Scope
from tertulia.domain.errors import Forbidden, Unauthenticated, Unavailable
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
        tokens: Those of sessions.
        required: Whether anybody is asked for one.
        local: Whether it is for this machine alone, so that pages from elsewhere in its browsers must be kept out.
        origins: Pages that may call all the same.
        limit: How many requests each caller may make; None: any number.
        monotonic: Tells seconds that only ever go forward.
    """

    def __init__(
        self,
        keys: ApiKeys,
        tokens: SessionTokens,
        *,
        required: bool,
        local: bool = False,
        origins: Collection[str] = (),
        limit: RateLimit | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = keys
        self.tokens = tokens
        self._required = required
        self._local = local
        self._origins = origins
        self._limit = limit
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, ApiKey]] = {}

    async def caller(self, request: Request, now: datetime) -> Caller:
        """Tell who makes a request.

        Raises:
            Unauthenticated: It shows nothing that is valid.
            Forbidden: Nobody is asked for keys, and a page from elsewhere calls.
            Unavailable: That can't be found out at the moment.
        """
        if not self._required:
            if self._local:
                self._keep_others_pages_out(request)
            return EVERYBODY
        shown = _shown(request)
        # A token has its three parts, and no key has a dot.
        return await (self._of_token(shown, now) if "." in shown else self._of_key(shown, now))

    def count(self, caller: Caller) -> Mapping[str, str]:
        """Count a request; return the headers that tell how many more may follow.

        Raises:
            RateLimited: Too many have come.
        """
        if self._limit is None or caller.key_id is None:
            return {}
        return self._limit.take(f"{caller.key_id}/{caller.session_id or ''}")

    async def revoke(self, tenant: TenantId, key_id: KeyId, now: datetime) -> None:
        """Revoke a key, in this process at once.

        Raises:
            NotFound: The tenant has no such key.
        """
        await self.keys.revoke(tenant, key_id, at=now)
        self._known = {name: known for name, known in self._known.items() if known[1].key_id != key_id}

    async def _of_key(self, shown: str, now: datetime) -> Caller:
        key = await self._usable(shown, lambda: self.keys.find(SecretStr(shown)), now)
        return Caller(tenant=key.tenant, scope=key.scope, key_id=key.key_id)

    async def _of_token(self, shown: str, now: datetime) -> Caller:
        grant = self.tokens.read(shown, now)
        if grant is None or grant.key_id is None:
            raise Unauthenticated
        key_id = grant.key_id
        await self._usable(key_id, lambda: self.keys.get(key_id), now)
        return Caller(tenant=grant.tenant, scope=Scope.CHAT, key_id=key_id, session_id=grant.session_id)

    async def _usable(self, name: str, read: Callable[[], Awaitable[ApiKey | None]], now: datetime) -> ApiKey:
        key = await self._recall(name, read, now)
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
            # Where that can't be noted, say in a failover, the key is as good as before.
            with suppress(Unavailable):
                await self.keys.used(key, at=now)
        return key

    def _keep_others_pages_out(self, request: Request) -> None:
        """Refuse what a page from elsewhere sends to this machine by its visitor's browser.

        A name that has been made to lead here (DNS rebinding) shows in `Host`, another site's page in `Origin`.
        """
        origin = request.headers.get("origin")
        from_elsewhere = origin is not None and origin not in self._origins and not _is_here(urlsplit(origin).hostname)
        if from_elsewhere or not _is_here(request.url.hostname):
            raise Forbidden("without keys the API answers programs and pages of this machine only")


def _shown(request: Request) -> str:
    """Return the key or token that a request shows.

    An EventSource of a browser can send no headers, so what it reads takes a token in the address. Keys are not taken
    there: addresses are remembered in too many places.
    """
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and shown.strip():
        return shown.strip()
    in_address: str = getattr(request.state, "access_token", "")
    if "." not in in_address:
        raise Unauthenticated
    return in_address


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False
