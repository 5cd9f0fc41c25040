"""Addresses that are given at runtime: none leads into a private network, neither when it is given nor later."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tertulia.domain.errors import FailureClass, InvalidInput, ProviderFailure
from tertulia.domain.providers.completions import ChatMessage, Completion, CompletionRequest
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.embedded.simulator import ProviderSimulator
from tertulia.providers import addresses
from tertulia.providers.addresses import PublicTransport, check_base_url, is_public
from tertulia.providers.completers import Completers

PUBLIC = "93.184.215.14"
REQUEST = CompletionRequest(messages=(ChatMessage(role="user", text="Good morning"),))

Resolve = Callable[[Mapping[str, Sequence[str]]], None]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let names resolve to given addresses; nobody may need the internet's."""

    def say(known: Mapping[str, Sequence[str]]) -> None:
        async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            if host not in known:
                raise socket.gaierror("unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)

    return say


@pytest.fixture
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=PublicTransport()) as client:
        yield client


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("127.0.0.1", False),
        ("10.1.1.1", False),
        ("172.31.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::10.1.1.1", False),
        ("2002:7f00:1::", False),
        ("2001:0:1::1", False),
        ("2001:db8::1", False),
    ],
)
def test_only_a_single_host_of_the_public_internet_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com/v1",
        "ftp://api.example.com",
        "https://",
        "https://api.example.com:99999",
        "https://api.example.com/\n",
        "http://api.example.com/v1",
        "https://somebody:secret@api.example.com",
        "https://secret@api.example.com",
        "https://api.example.com/v1?key=secret",
        "https://api.example.com/v1#secret",
        "https://api.example.com/v1?",
        "https://nowhere.example.com",
        "https://a..b",
        "https://inside.example.com",
        "https://both.example.com",
        "https://127.0.0.1/v1",
        "https://[::1]/v1",
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_without_being_quoted(names: Resolve, base_url: str) -> None:
    names(
        {
            "api.example.com": [PUBLIC],
            "inside.example.com": ["10.0.0.7"],
            "both.example.com": [PUBLIC, "10.0.0.7"],
            "127.0.0.1": ["127.0.0.1"],
            "::1": ["::1"],
        }
    )
    with pytest.raises(InvalidInput) as refused:
        await check_base_url(base_url, trusted=(), private=False)
    assert refused.value.field == "base_url"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f000001", "localhost", "0"])
async def test_no_spelling_hides_this_machine(spelling: str) -> None:
    with pytest.raises(InvalidInput, match="private network"):
        await check_base_url(f"https://{spelling}/v1", trusted=(), private=False)


async def test_a_public_address_can_be_used(names: Resolve) -> None:
    names({"api.example.com": [PUBLIC]})
    await check_base_url("https://api.example.com/v1", trusted=(), private=False)


async def test_where_private_networks_are_allowed_addresses_are_not_looked_up_but_must_still_be_addresses() -> None:
    await check_base_url("http://127.0.0.1:11434", trusted=(), private=True)
    with pytest.raises(InvalidInput):
        await check_base_url("http://somebody:secret@127.0.0.1", trusted=(), private=True)


async def test_the_addresses_of_the_environment_are_trusted() -> None:
    mine = "http://127.0.0.1:9/v1"
    await check_base_url(mine, trusted={mine}, private=False)
    # A provider that needs no address doesn't lend its own to others.
    with pytest.raises(InvalidInput):
        await check_base_url("", trusted={""}, private=False)


def config(base_url: str) -> ProviderConfig:
    return ProviderConfig(name="mine", base_url=base_url, model="m", api_key=SecretStr("plain0123456789"))


async def ask(http: Completers, base_url: str) -> Completion:
    *_, completion = [item async for item in http(config(base_url)).stream(REQUEST)]
    assert isinstance(completion, Completion)
    return completion


async def test_a_name_that_leads_elsewhere_by_the_time_it_is_asked_is_not_followed(
    simulator: ProviderSimulator, http: httpx.AsyncClient, guarded: httpx.AsyncClient, names: Resolve
) -> None:
    port = simulator.url.rpartition(":")[2]
    given = f"https://rebinding.example.com:{port}"
    names({"rebinding.example.com": [PUBLIC]})
    await check_base_url(given, trusted=(), private=False)
    names({"rebinding.example.com": ["127.0.0.1"]})
    with pytest.raises(ProviderFailure) as raised:
        await ask(Completers(frozenset(), http, guarded), given.replace("https", "http"))
    assert raised.value.failure is FailureClass.CONFIG
    assert raised.value.detail == "its address leads into a private network"
    assert not simulator.log


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"])
async def test_nothing_on_this_machine_can_be_reached_by_an_address_given_at_runtime(
    simulator: ProviderSimulator, http: httpx.AsyncClient, guarded: httpx.AsyncClient, host: str
) -> None:
    port = simulator.url.rpartition(":")[2]
    completers = Completers(frozenset(), http, guarded)
    with pytest.raises(ProviderFailure, match="private network"):
        await ask(completers, f"http://{host}:{port}")
    probe = await completers(config(f"http://{host}:{port}")).probe()
    assert (probe.reachable, probe.failure) == (False, FailureClass.CONFIG)
    assert not simulator.log


async def test_an_address_of_the_environment_may_lie_anywhere(
    simulator: ProviderSimulator, http: httpx.AsyncClient, guarded: httpx.AsyncClient
) -> None:
    completion = await ask(Completers(frozenset({simulator.url}), http, guarded), simulator.url)
    assert completion.text == "You said: Good morning"


async def test_a_public_host_is_asked_at_the_next_of_its_addresses_where_one_refuses(
    simulator: ProviderSimulator,
    http: httpx.AsyncClient,
    guarded: httpx.AsyncClient,
    names: Resolve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if this machine were public: there is no other one to ask.
    monkeypatch.setattr(addresses, "is_public", lambda _address: True)
    names({"api.example.com": ["127.0.0.2", "127.0.0.1"]})
    port = simulator.url.rpartition(":")[2]
    completion = await ask(Completers(frozenset(), http, guarded), f"http://api.example.com:{port}/")
    assert completion.text == "You said: Good morning"
    assert simulator.log[0].headers["host"] == f"api.example.com:{port}"


async def test_a_host_that_cannot_be_found_is_not_connected_to(
    http: httpx.AsyncClient, guarded: httpx.AsyncClient, names: Resolve
) -> None:
    names({})
    with pytest.raises(ProviderFailure) as raised:
        await ask(Completers(frozenset(), http, guarded), "https://nowhere.example.com")
    assert raised.value.failure is FailureClass.CONNECT
