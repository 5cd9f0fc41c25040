"""What all pages of the console have in common: the head, the way around, and how an act that fails is told."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

from nicegui import ui

from tertulia.domain.errors import NotFound, TertuliaError, Unauthenticated

_STYLE = '<link rel="stylesheet" href="/chat/assets/console.css">'
_ROOMS = {
    "Sessions": "/console",
    "Providers": "/console/providers",
    "Applications": "/console/definitions",
    "Jobs": "/console/jobs",
    "Figures": "/console/figures",
}

# Where text is measured before it is drawn, or drawn on a canvas, nothing is inherited.
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"
# How diagrams are drawn: grey, so that the marked state stands out.
DIAGRAMS = {"theme": "neutral", "fontFamily": FONT}

Act = Callable[[], Awaitable[None]]


@contextmanager
def frame(title: str, room: str) -> Iterator[None]:
    """Furnish a page; what is made inside the block is its content.

    Args:
        room: The part of the console that it belongs to.
    """
    ui.page_title(f"{title} · Tertulia")
    ui.add_head_html(_STYLE)
    ui.colors(primary="#0f766e", secondary="#5d6764", positive="#15803d", negative="#b42318", warning="#b45309")
    with ui.element("header").classes("top"):
        with ui.link(target="/console").classes("brand"):
            ui.element("span").classes("brand-mark").props("aria-hidden=true")
            ui.label("Tertulia")
        with ui.element("nav").props('aria-label="Console"'):
            for name, address in _ROOMS.items():
                here = 'aria-current="page"' if name == room else ""
                ui.link(name, address).props(here)
    with ui.element("main").classes("room"):
        yield


def heading(text: str, *, hint: str = "") -> None:
    """Write a page's heading."""
    with ui.element("div").classes("heading"):
        with ui.element("h1"):
            ui.label(text)
        if hint:
            ui.label(hint).classes("soft")


@contextmanager
def panel(title: str) -> Iterator[None]:
    """Furnish a part of a page with a heading of its own."""
    with ui.element("section").classes("panel"):
        with ui.element("h2"):
            ui.label(title)
        yield


def badge(text: str, tone: str = "") -> None:
    """Show a short word about how something is; tones: `good`, `fair`, `bad`, `quiet`."""
    ui.label(text).classes(f"badge {tone}".strip())


def facts(told: dict[str, str]) -> None:
    """List facts by their names."""
    with ui.element("dl").classes("facts"):
        for name, value in told.items():
            with ui.element("dt"):
                ui.label(name)
            with ui.element("dd"):
                ui.label(value)


async def done(act: Awaitable[object], told: str = "") -> bool:
    """Carry something out, and tell how it went: in a notice, which never holds what a person wrote."""
    try:
        await act
    except NotFound as error:
        ui.notify(f"There is no such {error.kind} any more.", type="warning")
    except Unauthenticated:
        ui.notify("Your key opens nothing here any more. Log in again.", type="negative")
    except TertuliaError as error:
        ui.notify(str(error), type="negative", multi_line=True)
    else:
        if told:
            ui.notify(told, type="positive")
        return True
    return False


async def confirmed(question: str, yes: str) -> bool:
    """Ask before something that can't be taken back.

    Args:
        yes: What the button says that does it.
    """
    with ui.dialog() as dialog, ui.card():
        ui.label(question)
        with ui.row():
            ui.button(yes, on_click=lambda: dialog.submit(yes)).props("no-caps color=negative")
            ui.button("Keep", on_click=dialog.close).props("no-caps flat")
    answer = await dialog
    dialog.delete()
    return bool(answer == yes)


def ago(at: datetime, now: datetime) -> str:
    """Tell how long ago something was, roughly."""
    passed = max(now - at, timedelta(0))
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if passed.total_seconds() >= size:
            return f"{int(passed.total_seconds() // size)} {name} ago"
    return "just now"


def clock(at: datetime) -> str:
    """Write a time down, UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"


def dollars(value: Decimal | None) -> str:
    if value is None:
        return "—"
    return f"${value:.2f}" if value >= 1 or not value else f"${value:.6f}".rstrip("0")
