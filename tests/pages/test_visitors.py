"""What a browser's part in a chat is held to, without the browser."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from tertulia.api.rate_limit import RateLimit
from tertulia.console import chat_page
from tertulia.console.ports import Pages
from tertulia.console.talk import Subject, Talk
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import DefinitionInvalid, Unavailable
from tertulia.domain.ids import DefinitionName, SessionId, TenantId
from tertulia.domain.session_events import BEGINNING, EventId, Told
from tertulia.domain.turns import SessionFilter, SessionRecord
from tests.api.conftest import GREETER, HIRING, World
from tests.engine import until
from tests.fakes import InMemoryDefinitions, InMemoryRecords, ScriptedEvents

ACME, OTHER = TenantId("acme"), TenantId("other")
SUBJECT = Subject(ACME, DefinitionName("greeter"))


class Browser:
    """The view as a chat sees it: what can be sent from there, and what was shown in it."""

    def __init__(self) -> None:
        self.sends: dict[str, Callable[[Any], Any]] = {}
        self.shown: list[tuple[str, Any]] = []

    def hears(self, event: str, handler: Callable[[Any], Any]) -> None:
        self.sends[event] = handler

    def begin(self, ticket: str, *_: Any, **__: Any) -> None:
        self.shown.append(("begin", ticket))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *what: self.shown.append((name, what))


class Tickets:
    async def issue(self, session_id: SessionId, _: Any) -> str:
        return f"for {session_id}"

    async def admit(self, ticket: str) -> SessionId | None:
        return SessionId(ticket.removeprefix("for "))


class Pinned:
    async def pinned(self, _: str) -> Definition:
        return GREETER


@pytest.fixture
def world() -> World:
    return World(FastAPI())


def _pages(world: World, **settings: Any) -> Pages:
    return Pages(api=world.app.state.ports, pinned=Pinned(), tickets=Tickets(), **settings)


async def _visits(
    pages: Pages, ticket: str | None = None, *, subject: Subject = SUBJECT, visitor: str = "a"
) -> Browser:
    browser = Browser()
    talk = Talk(pages, subject, browser, visitor=visitor)  # type: ignore[arg-type]  # no browser behind it
    await browser.sends["hello"]({"ticket": ticket})
    talk.leave()
    return browser


async def test_a_chat_belongs_to_the_tenant_of_its_page_and_goes_on_in_no_other_ones(world: World) -> None:
    pages = _pages(world, chat_tenants=(ACME, OTHER))
    (_, ticket) = (await _visits(pages)).shown[0]
    again = await _visits(pages, ticket)
    elsewhere = await _visits(pages, ticket, subject=Subject(OTHER, SUBJECT.definition))

    assert again.shown[0] == ("begin", ticket)
    assert elsewhere.shown[0][1] != ticket
    assert len((await world.records.find(SessionFilter(tenant=ACME))).sessions) == 1
    assert len((await world.records.find(SessionFilter(tenant=OTHER))).sessions) == 1


async def test_what_comes_from_one_address_has_a_bound_and_others_have_their_own(world: World) -> None:
    pages = _pages(world, chat_tenants=(ACME,), visitors=RateLimit(1, monotonic=lambda: 0.0))
    first = await _visits(pages)
    await first.sends["say"]({"text": "one", "message_id": "m1"})
    await first.sends["say"]({"text": "two", "message_id": "m2"})
    late = await _visits(pages)
    other = await _visits(pages, visitor="b")

    assert first.shown[1:] == [
        ("taken", ("m1",)),
        ("refused", ("m2", "That was a lot at once. Please wait a moment, then try again.")),
    ]
    assert late.shown == [("tell", ("That was a lot at once. Please wait a moment, then try again.",))]
    assert other.shown[0][0] == "begin"


@pytest.mark.parametrize(
    ("name", "offered"), [("greeter", True), ("hiring", False), ("broken", False), ("none", False)]
)
def test_candidates_are_offered_what_is_for_them_and_can_be_used(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, offered: bool
) -> None:
    class Files(InMemoryDefinitions):
        def get(self, name: DefinitionName) -> Definition:
            if name == "broken":
                raise DefinitionInvalid(["broken.yaml:3: no such state"])
            return super().get(name)

    world.change(definitions=Files(GREETER, HIRING))
    monkeypatch.setattr(chat_page, "pages", lambda: _pages(world))

    assert (chat_page._on_offer(DefinitionName(name)) is not None) is offered


class Followed(ScriptedEvents):
    """Events that know how many follow them, and take a moment to say where they are."""

    followers = 0

    async def now(self, session_id: SessionId) -> EventId:
        await asyncio.sleep(0.01)
        return await super().now(session_id)

    async def follow(self, session_id: SessionId, after: EventId = BEGINNING) -> AsyncGenerator[Told]:
        self.followers += 1
        try:
            async for told in super().follow(session_id, after):
                yield told
        finally:
            self.followers -= 1


async def test_whoever_begins_over_and_over_follows_one_conversation_and_none_after_leaving(world: World) -> None:
    events = Followed()
    world.change(events=events)
    browser = Browser()
    talk = Talk(_pages(world, chat_tenants=(ACME,)), SUBJECT, browser, visitor="a")  # type: ignore[arg-type]
    begun = [browser.sends[what]({}) for what in ("hello", "restart", "hello", "restart")]
    await asyncio.gather(*begun)
    await asyncio.sleep(0.05)
    while_there = events.followers

    talk.leave()
    await browser.sends["restart"]({})
    await asyncio.sleep(0.05)

    assert (while_there, events.followers) == (1, 0)
    assert [what for what, _ in browser.shown] == ["begin"] * 5


class Flaky:
    """Records that can't be read now and then.

    Attributes:
        failures: How many reads are still to fail.
    """

    def __init__(self, records: InMemoryRecords) -> None:
        self._records = records
        self.failures = 0

    async def get(self, session_id: SessionId) -> SessionRecord | None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("Postgres", "no answer in time")
        return await self._records.get(session_id)


async def test_a_page_goes_on_where_storage_was_away_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tertulia.console.talk._LOOK_AGAIN_S", 0.01)
    records = Flaky(world.records)
    world.change(records=records)
    browser = Browser()
    talk = Talk(_pages(world, chat_tenants=(ACME,)), SUBJECT, browser, visitor="a")  # type: ignore[arg-type]
    await browser.sends["hello"]({})

    world.sessions.ending.clear()
    await browser.sends["say"]({"text": "one", "message_id": "m1"})
    records.failures = 3
    world.sessions.ending.set()
    await until(lambda: "restore" in [what for what, _ in browser.shown])
    await browser.sends["say"]({"text": "two", "message_id": "m2"})
    await until(lambda: [what for what, _ in browser.shown].count("rest") == 2)
    talk.leave()

    assert records.failures == 0


@pytest.mark.parametrize(
    ("tenant", "job", "address"),
    [
        (ACME, None, "/chat/greeter"),
        (ACME, "job-1", "/chat/greeter?job=job-1"),
        (OTHER, "job-1", "/chat/greeter?job=job-1&tenant=other"),
        (TenantId("third"), None, None),
    ],
)
def test_links_lead_to_the_chats_of_a_tenant(world: World, tenant: TenantId, job: str | None, address: str) -> None:
    assert _pages(world, chat_tenants=(ACME, OTHER)).chat(tenant, "greeter", job) == address
