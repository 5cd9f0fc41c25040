"""Addresses that are given at runtime: which may be used, and connections that lead nowhere else.

Whoever may add a provider must not thereby reach what only this machine can reach: its own ports, its neighbours, the
metadata of its cloud. A name is checked when it is given, and what it resolves to again whenever a connection is made,
since a name can be made to lead elsewhere in between.
"""

import asyncio
import socket
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from tertulia.domain.errors import FailureClass, InvalidInput, ProviderFailure

_RESOLVING_S = 5.0
_LAST_PORT = 65_535

# Within these an IPv4 address is meant: mapped ones, and those of NAT64.
_IPV4_INSIDE = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_GLOBAL_UNICAST = IPv6Network("2000::/3")

# Public by the registry, yet Azure's machines find their host there.
_METADATA = IPv4Network("168.63.129.16/32")


async def check_base_url(base_url: str, *, trusted: Collection[str], private: bool) -> None:
    """Check where a provider that is given at runtime is to be found.

    Args:
        trusted: Addresses of the environment's providers, which may lie anywhere.
        private: Whether it may lie in a private network, and be spoken to without encryption.

    Raises:
        InvalidInput: It can't be used; says why.
    """
    if base_url and base_url in trusted:
        return
    address = _parsed(base_url)
    if private:
        return
    if address.scheme != "https":
        raise _refused("must begin with https://")
    try:
        found = await _resolve(address.host, address.port or 443, _RESOLVING_S)
    except (OSError, UnicodeError):
        raise _refused("its host can't be found") from None
    if not all(map(is_public, found)):
        raise _refused("lies in a private network, which only TERTULIA_ALLOW_PRIVATE_PROVIDERS allows")


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet and to a single host there."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if not any(parsed in network for network in _IPV4_INSIDE):
            return parsed.is_global and parsed in _GLOBAL_UNICAST and not (parsed.sixtofour or parsed.teredo)
        parsed = IPv4Address(parsed.packed[-4:])
    return parsed.is_global and not parsed.is_multicast and parsed not in _METADATA


class PublicTransport(httpx.AsyncHTTPTransport):
    """Connects to public addresses only, whatever a name resolves to by then; otherwise it raises ProviderFailure."""

    def __init__(self) -> None:
        certificates = httpx.create_ssl_context()
        super().__init__(verify=certificates)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=certificates, max_connections=None, keepalive_expiry=5.0, network_backend=_PublicNetwork()
        )


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface is httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await _resolve(host, port, timeout)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not all(map(is_public, found)):
            raise ProviderFailure(FailureClass.CONFIG, "its address leads into a private network")
        # To the addresses that were checked; the name could resolve to others the next time.
        for address in found[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._network.connect_tcp(found[-1], port, timeout, local_address, socket_options)


async def _resolve(host: str, port: int, within_s: float | None) -> Sequence[str]:
    """Find the addresses of a host, at least one. A TimeoutError is an OSError, too."""
    async with asyncio.timeout(within_s):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _parsed(base_url: str) -> httpx.URL:
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise _refused("is not an address, such as https://host/v1") from None
    if address.scheme not in {"http", "https"} or not address.host or (address.port or 0) > _LAST_PORT:
        raise _refused("is not an address, such as https://host/v1")
    if address.userinfo:
        raise _refused("must hold no name or password; the key goes into api_key")
    if address.query or address.fragment or base_url.endswith(("?", "#")):
        raise _refused("must end with its path, without ? or #")
    return address


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(problem, field="base_url")
