"""Who gets to see the pages, and what browsers are told to allow on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Route, expect

from tests.e2e.cluster import Cluster
from tests.pages.conftest import EMBEDDER, Visits, new_key

ROOMS = (
    "/console",
    "/console/sessions/chat-of-acme",
    "/console/providers",
    "/console/definitions",
    "/console/definitions/recruiting",
    "/console/jobs",
    "/console/jobs/job-of-acme",
    "/console/figures",
)
SECRETS = ("guest of acme", "job of acme")


@pytest.fixture
async def guarded(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    """A program that calls the API which asks for keys."""
    async with httpx.AsyncClient(base_url=cluster.urls[-1], timeout=90) as client:
        yield client


@pytest.fixture(scope="module")
async def acme(cluster: Cluster) -> tuple[str, str]:
    """A key of an operator of acme, with its id; acme has a chat and a job."""
    key, key_id = await new_key(cluster, "admin", tenant="acme")
    bearer = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=cluster.urls[-1], timeout=90, headers=bearer) as client:
        chat = {"definition": "recruiting", "user_id": "guest of acme", "session_id": "chat-of-acme"}
        assert (await client.post("/v1/sessions", json=chat)).is_success
        assert (await client.post("/v1/jobs", json={"job_id": "job-of-acme", "title": "job of acme"})).is_success
    return key, key_id


@pytest.mark.parametrize("path", ROOMS)
async def test_nobody_sees_a_page_of_the_console_without_a_key(
    guarded: httpx.AsyncClient, acme: tuple[str, str], path: str
) -> None:
    strangers: tuple[dict[str, str], ...] = (
        {},
        {"Cookie": "tertulia_console=guessed"},
        # The key itself opens the API, not the pages: what is in a browser can be stolen there.
        {"Cookie": f"tertulia_console={acme[0]}"},
    )
    for headers in strangers:
        answer = await guarded.get(path, headers=headers)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/console/login")
        assert not [secret for secret in SECRETS if secret in answer.text]


async def test_an_operator_logs_in_with_a_key_and_out_again(visits: Visits, acme: tuple[str, str]) -> None:
    operator = await visits(guarded=True)
    await operator.opens("/console")
    await operator.page.wait_for_url("**/console/login")
    await operator.logs_in("tk_no-such-key")
    await operator.reads("This key opens nothing here.")
    await operator.logs_in(acme[0])
    await operator.page.get_by_role("link", name="guest of acme").wait_for()

    (cookie,) = await operator.context.cookies(f"{operator.url}/console")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    assert acme[0] not in await operator.page.content()
    assert acme[0] not in cookie["value"]

    await operator.opens("/console/logout")
    await operator.opens("/console")
    await operator.page.wait_for_url("**/console/login")


async def test_a_key_for_chats_does_not_open_the_console(visits: Visits, cluster: Cluster) -> None:
    key, _ = await new_key(cluster, "chat", tenant="acme")
    guest = await visits(guarded=True)

    await guest.logs_in(key)
    await guest.reads("This key opens nothing here.")
    await guest.opens("/console")
    await guest.page.wait_for_url("**/console/login")


@pytest.mark.parametrize("path", ["/console", "/console/sessions/chat-of-acme", "/console/figures"])
async def test_an_open_page_ends_with_its_key(
    visits: Visits, cluster: Cluster, acme: tuple[str, str], path: str
) -> None:
    key, key_id = await new_key(cluster, "operate", tenant="acme")
    operator = await visits(guarded=True)
    await operator.logs_in(key)
    await operator.opens(path)
    await operator.page.get_by_role("heading").first.wait_for()

    # Another process revokes it: this one has to find out.
    await cluster.run("keys", "revoke", key_id, "--tenant", "acme")
    await operator.page.wait_for_url("**/console/login")


@pytest.mark.parametrize("button", ["Take over", "turn 1"])
async def test_a_browser_that_will_not_leave_is_shown_and_granted_nothing_more(
    visits: Visits, cluster: Cluster, guarded: httpx.AsyncClient, acme: tuple[str, str], button: str
) -> None:
    bearer = {"Authorization": f"Bearer {acme[0]}"}
    said = await guarded.post("/v1/sessions/chat-of-acme/messages", json={"text": "Hello there"}, headers=bearer)
    assert said.is_success
    key, key_id = await new_key(cluster, "operate", tenant="acme")
    operator = await visits(guarded=True)
    await operator.logs_in(key)
    await operator.opens("/console/sessions/chat-of-acme")
    await operator.reads("Hello there")
    await operator.page.route("**/console/login", _stays)
    async with operator.page.expect_request("**/console/login"):
        await cluster.run("keys", "revoke", key_id, "--tenant", "acme")

    said = await guarded.post(
        "/v1/sessions/chat-of-acme/messages", json={"text": f"A secret from {button}"}, headers=bearer
    )
    assert said.is_success
    await operator.page.get_by_role("button", name=button, exact=True).first.dispatch_event("click")
    await operator.reads("Log in again")
    assert await operator.page.locator(".sheet").count() == 0
    assert f"A secret from {button}" not in await operator.page.get_by_role("log").inner_text()
    record = (await guarded.get("/v1/sessions/chat-of-acme", headers=bearer)).json()
    assert record["owner"] == "bot"


async def test_a_tenants_operator_sees_nothing_of_another_tenant(
    visits: Visits, cluster: Cluster, acme: tuple[str, str]
) -> None:
    key, _ = await new_key(cluster, "admin", tenant="umbrella")
    operator = await visits(guarded=True)
    await operator.logs_in(key)

    for path in ROOMS:
        await operator.opens(path)
        await operator.page.get_by_role("heading").first.wait_for()
        shown = await operator.page.content()
        assert not [secret for secret in SECRETS if secret in shown]
    await operator.opens("/console/sessions/chat-of-acme")
    await operator.reads("There is no such session")
    await operator.opens("/console/jobs/job-of-acme")
    await operator.reads("There is no such job")
    await operator.opens("/console/providers")
    await operator.reads("They are shared by all tenants")
    assert await operator.page.locator("[data-provider]").count() == 0


async def test_browsers_are_told_to_load_nothing_from_elsewhere_and_to_frame_only_the_chat(
    cluster: Cluster,
) -> None:
    for path in ("/chat", "/chat/recruiting", "/chat/assets/chat.css", "/chat/resume", "/console", "/console/login"):
        headers = (await cluster.http.get(path)).headers
        policy = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'"
        assert policy["object-src"] == policy["base-uri"] == "'none'"
        assert policy["frame-ancestors"] == ("'none'" if "console" in path else f"'self' {EMBEDDER}")
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_the_chat_is_shown_in_the_pages_of_those_who_may_embed_it_and_in_no_others(
    visits: Visits, cluster: Cluster
) -> None:
    async with _framing_pages(cluster.url) as port:
        guest = await visits()
        await guest.page.goto(f"http://localhost:{port}/chat/recruiting")
        frame = guest.page.frame_locator("iframe")
        await frame.get_by_text("What is your name?").wait_for()
        await frame.get_by_role("textbox").fill("Ada Lovelace")
        await frame.get_by_role("textbox").press("Enter")
        await expect(frame.get_by_role("log")).to_contain_text("Nice to meet you, Ada Lovelace!")

        for address in (f"http://127.0.0.1:{port}/chat/recruiting", f"http://localhost:{port}/console"):
            async with guest.page.expect_console_message(lambda said: "frame-ancestors" in said.text):
                await guest.page.goto(address)


async def _stays(route: Route) -> None:
    """Answer a browser so that it keeps the page that it has."""
    await route.fulfill(status=204)


@asynccontextmanager
async def _framing_pages(url: str) -> AsyncIterator[int]:
    """Serve pages that have ours in a frame, each the one of the same path; yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A browser also opens connections for later, on which nothing is asked.
        if not (asked := await reader.readuntil(b"\r\n\r\n")):
            return
        path = asked.split()[1].decode()
        body = f'<iframe src="{url}{path}" title="Apply here"></iframe>'
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
