"""The pages, put into the API's process: one more route, behind all of the API's own."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from tertulia.console import (
    chat_files,
    chat_page,
    definitions_page,
    door,
    figures_page,
    jobs_page,
    providers_page,
    session_page,
    sessions_page,
)
from tertulia.console.ports import Pages
from tertulia.console.security import PageHeaders

ASSETS = Path(__file__).parent / "assets"
ASSETS_URL = "/chat/assets"
_ROOTS = ("/chat", "/console", "/_nicegui", "/_nicegui_ws", "/favicon.ico")

# What a page that lost its connection for a moment gets again; one that missed more is loaded anew.
_KEPT_MESSAGES = 50
# A phone that changes from one network to another is back by then. Until then the server keeps the page's state.
_RECONNECT_S = 10.0


def mount_pages(app: FastAPI, pages: Pages) -> None:
    """Add the pages to the API. Pages of one process share what is behind them: the last call's."""
    shell = FastAPI(openapi_url=None)
    ui.run_with(
        shell,
        title="Tertulia",
        favicon=ASSETS / "favicon.svg",
        dark=None,
        language="en-US",
        reconnect_timeout=_RECONNECT_S,
        message_history_length=_KEPT_MESSAGES,
        binding_refresh_interval=None,
        tailwind=False,
        show_welcome_message=False,
    )
    nicegui_app.state.pages = pages
    nicegui_app.add_static_files(ASSETS_URL, ASSETS)
    for part in (
        door,
        chat_page,
        chat_files,
        sessions_page,
        session_page,
        providers_page,
        definitions_page,
        jobs_page,
        figures_page,
    ):
        part.add()
    app.router.routes.append(_Pages(PageHeaders(shell, pages)))

    def lifespan(_: Any) -> AbstractAsyncContextManager[Any]:
        return shell.router.lifespan_context(shell)

    app.router.lifespan_context = lifespan


class _Pages(BaseRoute):
    """Leads to the pages by how a path begins; whatever else the API does not know stays its own to refuse."""

    path = "(pages)"

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        ours = scope["type"] in {"http", "websocket"} and _root(scope["path"]) in _ROOTS
        return (Match.FULL, {}) if ours else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def url_path_for(self, name: str, /, **_: Any) -> URLPath:
        raise NoMatchFound(name, {})


def _root(path: str) -> str:
    return "/" + path.removeprefix("/").partition("/")[0]
