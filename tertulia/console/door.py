"""Who may see the console, and which tenant's: the one place where the pages ask for a key.

Where the API asks for keys, an operator logs in with one of scope `operate`. The browser then holds a random word in a
cookie that no script can read; the key stays in this process, is checked with every page and every look, and is
forgotten when the process ends.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from nicegui import app, ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tertulia.console.frame import frame, heading
from tertulia.console.ports import pages
from tertulia.domain.access import Caller, Scope
from tertulia.domain.errors import Forbidden, TertuliaError, Unauthenticated
from tertulia.domain.ids import TenantId

COOKIE = "tertulia_console"
_LOGIN = "/console/login"
_LASTS = timedelta(hours=12)
_MOST_LOGINS = 1000


@dataclass(frozen=True, slots=True)
class _Login:
    key: str
    until: datetime


class Logins:
    """The keys of operators who have logged in to this process, by their browsers' words."""

    def __init__(self) -> None:
        self._logins: dict[str, _Login] = {}

    def add(self, key: str, now: datetime) -> str:
        """Keep a key; return the word that stands for it."""
        self._logins = {word: login for word, login in self._logins.items() if now < login.until}
        if len(self._logins) >= _MOST_LOGINS:
            self._logins.pop(next(iter(self._logins)))
        word = secrets.token_urlsafe(32)
        self._logins[word] = _Login(key, now + _LASTS)
        return word

    def key(self, word: str, now: datetime) -> str | None:
        login = self._logins.get(word)
        return login.key if login and now < login.until else None

    def remove(self, word: str) -> None:
        self._logins.pop(word, None)


_logins = Logins()


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever is before a page of the console."""

    caller: Caller
    request: Request

    @property
    def tenant(self) -> TenantId:
        return self.caller.tenant

    @property
    def name(self) -> str:
        """How acts of theirs are signed."""
        return self.caller.key_id or "console"

    async def still_in(self) -> None:
        """Ask again, since a key may have been revoked behind an open page.

        Raises:
            Unauthenticated: It has been.
        """
        await _caller(self.request)

    def every(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        """Look again and again, for as long as the page is open and its key is good."""

        async def again() -> None:
            try:
                await self.still_in()
                await look()
            except Unauthenticated:
                ui.navigate.to(_LOGIN)
            except TertuliaError:
                pass  # What is shown stays; the next look may succeed.

        ui.timer(seconds, again, immediate=False)


Page = Callable[..., Awaitable[None]]


def console_page(path: str) -> Callable[[Page], None]:
    """Add a page for operators. It is called with the operator, and with what its path and query give it."""

    def add(build: Page) -> None:
        async def guarded(request: Request) -> Response | None:
            try:
                operator = Operator(await _caller(request), request)
            except Unauthenticated:
                return RedirectResponse(_LOGIN, status_code=303)
            except TertuliaError as error:
                _sorry(error)
                return None
            try:
                await build(operator, **request.path_params)
                # Whatever a page shows, it does not stay open behind a key that has been revoked.
                operator.every(_GUARD_S, operator.still_in)
            except TertuliaError as error:
                ui.context.client.content.clear()
                _sorry(error)
            return None

        ui.page(path, dark=False, response_timeout=_RESPONSE_S)(guarded)

    return add


def _sorry(error: TertuliaError) -> None:
    with frame("Not now", ""):
        heading("This can't be shown just now", hint=str(error))


_GUARD_S = 5.0
# A database that is slow to answer must not look like a page that is not there.
_RESPONSE_S = 20.0


async def _caller(request: Request) -> Caller:
    """Tell who is before a page.

    Raises:
        Unauthenticated: Nobody who has logged in here with a key that is still good.
        Forbidden: The key does not reach so far.
    """
    word = request.cookies.get(COOKIE, "")
    return await _caller_with(request, _logins.key(word, pages().api.now()))


async def _caller_with(request: Request, key: str | None) -> Caller:
    """Have the doorkeeper of the API tell who shows a key, just as if the request had brought it."""
    headers = [(name, value) for name, value in request.headers.raw if name != b"authorization"]
    if key is not None:
        headers.append((b"authorization", b"Bearer " + key.encode(errors="replace")))
    shown = Request({**request.scope, "headers": headers, "state": {}})
    caller = await pages().api.doorkeeper.caller(shown, pages().api.now())
    if not caller.scope.includes(Scope.OPERATE):
        raise Forbidden(f"the console needs a key of scope {Scope.OPERATE}; this one has {caller.scope}")
    return caller


# --- logging in -------------------------------------------------------------------------------------------------------


def add() -> None:
    """Add the pages for logging in and out to the application."""
    ui.page(_LOGIN, dark=False)(_login)
    app.post("/console/login", include_in_schema=False)(_enter)
    app.get("/console/logout", include_in_schema=False)(_leave)


def _login(refused: bool = False) -> None:
    with frame("Log in", ""), ui.element("form").props('method="post" action="/console/login"').classes("login"):
        with ui.element("h1"):
            ui.label("Console")
        ui.label("Log in with a key of scope “operate”, as `tertulia keys create` makes them.").classes("soft")
        with ui.element("label"):
            ui.label("Key")
            ui.element("input").props('name="key" type="password" required autofocus autocomplete="off"')
        if refused:
            ui.label("This key opens nothing here.").classes("problem").props('role="alert"')
        with ui.element("button").props('type="submit"').classes("primary"):
            ui.label("Log in")


async def _enter(request: Request) -> Response:
    form = await request.form()
    key = str(form.get("key", "")).strip()
    try:
        await _caller_with(request, key)
    except TertuliaError:
        return RedirectResponse(f"{_LOGIN}?refused=true", status_code=303)
    response = RedirectResponse("/console", status_code=303)
    response.set_cookie(
        COOKIE,
        _logins.add(key, pages().api.now()),
        max_age=int(_LASTS.total_seconds()),
        path="/console",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


async def _leave(request: Request) -> Response:
    _logins.remove(request.cookies.get(COOKIE, ""))
    response = RedirectResponse(_LOGIN, status_code=303)
    response.delete_cookie(COOKIE, path="/console")
    return response
