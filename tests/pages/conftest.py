"""A real Chromium before the real engine. What it saw is kept in `.artifacts/pages`, for people to look at."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tertulia.embedded.simulator import ProviderSimulator
from tests.e2e.cluster import ROOT, Cluster

ARTIFACTS = ROOT / ".artifacts" / "pages"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}
# Debian's Chromium, never a downloaded one; as root it has no sandbox.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# To a browser another origin than 127.0.0.1, and on this machine as well: others may not frame what is here.
EMBEDDER = "http://localhost:*"
# The machine may be busy with much else; what is waited for comes, or the test fails.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        reason = "there is no Chromium here (`apt-get install chromium`)"
        # CI must not pass without having looked.
        (pytest.fail if "CHROMIUM_REQUIRED" in os.environ else pytest.skip)(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with ProviderSimulator() as running:
        yield running


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory, simulator: ProviderSimulator) -> AsyncIterator[Cluster]:
    """Two providers, `first` and `second`, that the simulator plays; and two APIs, of which one asks for keys."""
    environment = {"PRIMARY_PROVIDER": "first", "SECONDARY_PROVIDER": "second", "FALLBACK_PROVIDER": "second"}
    for name in ("first", "second"):
        environment |= {f"{name.upper()}_BASE_URL": simulator.url, f"{name.upper()}_MODEL": name}
    environment |= {"TERTULIA_CHAT_EMBEDDERS": EMBEDDER, "TERTULIA_CHAT_TENANTS": "default,acme"}
    async with Cluster(tmp_path_factory.mktemp("cluster"), environment, guarded=True) as running:
        yield running


class Visitor:
    """A person before a browser of their own.

    Attributes:
        asked_elsewhere: Whatever the pages wanted from another server than ours.
        complaints: Errors that the browser has reported.
    """

    def __init__(self, context: BrowserContext, page: Page, url: str, test: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self._test = test
        self.asked_elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self._look(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def _look(self, address: str) -> None:
        if not address.startswith((self.url, "data:", "blob:", self.url.replace("http", "ws"))):
            self.asked_elsewhere.append(address)

    async def opens(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def logs_in(self, key: str) -> None:
        """Log in to the console, whether or not the key is taken."""
        await self.opens("/console/login")
        await self.page.get_by_label("Key").fill(key)
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name="Log in").click()

    async def reads(self, text: str) -> None:
        """Wait until a text is shown."""
        await self.page.get_by_text(text, exact=False).last.wait_for()

    async def says(self, text: str) -> None:
        """Write a message, and wait until the answer stands."""
        heard = await self.said_by("assistant")
        await self.writes(text)
        await self.page.wait_for_function(
            "count => document.querySelectorAll('[role=log] .said--assistant').length > count", arg=len(heard)
        )

    async def writes(self, text: str) -> None:
        await self.page.get_by_role("textbox").fill(text)
        await self.page.get_by_role("textbox").press("Enter")

    async def said_by(self, role: str) -> list[str]:
        """Return what stands in the transcript as shown, in order."""
        return await self.page.locator(f"[role=log] .said--{role} > p").all_inner_texts()

    async def keeps(self, name: str) -> None:
        """Keep a picture of what is shown."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=ARTIFACTS / f"{self._test}-{name}.png")


async def new_key(cluster: Cluster, scope: str, *, tenant: str = "default") -> tuple[str, str]:
    """Make a key; return it and its id."""
    name = f"{tenant}-{scope}"
    made = json.loads(await cluster.run("keys", "create", name, "--scope", scope, "--tenant", tenant, "--json"))
    return made["key"], made["key_id"]


Visits = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def visits(chromium: Browser, cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Visits]:
    """Make visitors; `phone=True` with a phone in their hands, `guarded=True` where keys are asked for."""
    contexts: list[BrowserContext] = []

    async def visit(*, phone: bool = False, guarded: bool = False) -> Visitor:
        context = await chromium.new_context(viewport=PHONE if phone else DESK, has_touch=phone, is_mobile=phone)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        url = cluster.urls[-1 if guarded else 0]
        return Visitor(context, await context.new_page(), url, Path(request.node.name).name[:60])

    yield visit
    for context in contexts:
        await context.close()
