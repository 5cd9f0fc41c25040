"""The section on the pages: what they weigh, how soon one can use them, and what open consoles hold in the API."""

import asyncio
import re
import shutil
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import socketio  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, async_playwright

from benchmarks.api_section import api_process
from benchmarks.engine import Engine, running_engine
from benchmarks.measuring import resident_kilobytes
from tertulia.domain.conversation import OpenSession
from tertulia.domain.ids import TASK_QUEUE, SessionId

# When one can use a page: what it is for is there, and its connection carries what one does.
_READY = "window.did_handshake && document.querySelector({selector!r}) && performance.now()"
_PAGES = {
    "chat": ("/chat/recruiting", "[role=log] article"),
    "console, sessions": ("/console", "td a"),
    "console, one session": ("/console/sessions/{session}", "[role=log] article"),
    "console, figures": ("/console/figures", "[data-figure] canvas"),
}
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
_PATIENCE_MS = 60_000
# What a page shows is kept for ten seconds behind it, since a phone may only have changed its network.
_FORGOTTEN_S = 13


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    visits: int = 7
    sessions: int = 50
    consoles: int = 100
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit to a page took.

    Attributes:
        kilobytes: Over the wire, as compressed as it was.
    """

    requests: int
    kilobytes: float
    ready_ms: float


_SECTION = """\
A Chromium on the same machine opens each page with nothing in its cache, and then once more with it; {visits}
rounds, medians. One can use a page when what it is for is shown and its connection to the server stands.

| page | requests | KB over the wire | ready, ms | with a cache: requests | KB | ready, ms |
|---|---|---|---|---|---|---|
{rows}

The API's process with {consoles} consoles open, each by a client of the page's own protocol that looks at {sessions}
sessions, {rounds} times one after the other:

| | MB |
|---|---|
{memory}
"""


async def pages_section(directory: Path, sizes: Sizes = Sizes()) -> str:
    """Measure, and write the section."""
    async with running_engine(directory, task_queue=TASK_QUEUE) as engine, api_process(engine) as (port, pid):
        sessions = [await _open(engine) for _ in range(sizes.sessions)]
        url = f"http://127.0.0.1:{port}"
        async with _chromium() as browser:
            rows = [
                await _row(browser, sizes, name, url + path.format(session=sessions[0]), selector)
                for name, (path, selector) in _PAGES.items()
            ]
        memory = await _memory(url, pid, sizes)
    return _SECTION.format(
        rows="\n".join(rows),
        visits=sizes.visits,
        sessions=sizes.sessions,
        consoles=sizes.consoles,
        rounds=sizes.rounds,
        memory="\n".join(memory),
    )


async def _open(engine: Engine) -> SessionId:
    session_id = SessionId(uuid4().hex)
    await engine.sessions.open(session_id, OpenSession(definition="recruiting", user_id="bench"))
    return session_id


# --- weight and time --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("there is no Chromium here (`apt-get install chromium`)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        await browser.close()


async def _row(browser: Browser, sizes: Sizes, name: str, address: str, selector: str) -> str:
    firsts, agains = [], []
    for _ in range(sizes.visits):
        context = await browser.new_context()
        firsts.append(await _visit(context, address, selector))
        agains.append(await _visit(context, address, selector))
        await context.close()
    cells = [*_cells(firsts), *_cells(agains)]
    return f"| {name} | {' | '.join(cells)} |"


async def _visit(context: BrowserContext, address: str, selector: str) -> Visit:
    page = await context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    wire = await context.new_cdp_session(page)
    sent: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    await wire.send("Network.enable")
    await page.goto(address)
    ready = await page.wait_for_function(_READY.format(selector=selector))
    visit = Visit(
        requests=sum(1 for size in sent if size), kilobytes=sum(sent) / 1000, ready_ms=await ready.json_value()
    )
    await page.close()
    return visit


def _cells(visits: Sequence[Visit]) -> list[str]:
    times = [visit.ready_ms for visit in visits]
    return [
        f"{statistics.median(visit.requests for visit in visits):.0f}",
        f"{statistics.median(visit.kilobytes for visit in visits):,.0f}",
        f"{statistics.median(times):,.0f} ({min(times):,.0f}-{max(times):,.0f})",
    ]


# --- memory -----------------------------------------------------------------------------------------------------------


async def _memory(url: str, pid: int, sizes: Sizes) -> Sequence[str]:
    # What the first pages load stays, whatever their number.
    await _held(url, 5, pid)
    await asyncio.sleep(_FORGOTTEN_S)
    before = resident_kilobytes(pid)
    rows = [f"| no console | {before / 1000:.0f} |"]
    for number in range(sizes.rounds):
        held = await _held(url, sizes.consoles, pid)
        each = (held - before) / sizes.consoles
        await asyncio.sleep(_FORGOTTEN_S)
        rows.append(f"| {sizes.consoles} consoles, round {number + 1} | {held / 1000:.0f} ({each:,.0f} KB each) |")
    return rows


async def _held(url: str, consoles: int, pid: int) -> int:
    """Open consoles, look at them for a while, and return what the process holds meanwhile, KB."""
    async with AsyncExitStack() as stack, httpx.AsyncClient(base_url=url, timeout=60) as client:
        for _ in range(consoles):
            await stack.enter_async_context(_console(client, url))
        # Each of them looks at the sessions anew every three seconds.
        await asyncio.sleep(8)
        return resident_kilobytes(pid)


@asynccontextmanager
async def _console(client: httpx.AsyncClient, url: str) -> AsyncIterator[None]:
    """Open the list of sessions as a browser does, and stay."""
    page = await client.get("/console")
    found = re.search(r"""["']client_id["']: ["']([\w-]+)""", page.text)
    assert found is not None
    query = {
        "client_id": found[1],
        "document_id": str(uuid4()),
        "tab_id": str(uuid4()),
        "next_message_id": "0",
        "implicit_handshake": "true",
    }
    socket = socketio.AsyncClient(reconnection=False)
    path = "/_nicegui_ws/socket.io"
    await socket.connect(f"{url}?{urlencode(query)}", socketio_path=path, transports=["websocket"])
    try:
        yield
    finally:
        await socket.disconnect()
