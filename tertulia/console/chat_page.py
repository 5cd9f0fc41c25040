"""The pages for candidates: `/chat/{definition}`, and `/chat`, which lists what there is to talk about."""

from nicegui import ui
from nicegui.client import Client
from starlette.responses import RedirectResponse, Response

from tertulia.api.operations import usable
from tertulia.console.chat_view import ChatView
from tertulia.console.ports import pages
from tertulia.console.talk import Subject, Talk
from tertulia.domain.conversation import CANDIDATE
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.ids import DefinitionName, TenantId, is_identifier

_VIEWPORT = "width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"
_HEAD = """<link rel="stylesheet" href="/chat/assets/chat.css"><script src="/chat/assets/storage.js"></script>"""


def add() -> None:
    """Add the pages to the application."""
    ui.page("/chat", viewport=_VIEWPORT)(_offers)
    ui.page("/chat/{definition}", viewport=_VIEWPORT)(_chat)


def _offers(tenant: str | None = None) -> Response | None:
    known = _tenant(tenant)
    if known is None:
        return RedirectResponse("/chat", status_code=303)
    _dressed("Conversations")
    with ui.element("main").classes("offers"):
        ui.html("<h1>What would you like to talk about?</h1>", sanitize=False)
        ui.label("You can stop at any time and come back later: this browser keeps your place.")
        with ui.element("ul"):
            for name in sorted(pages().api.definitions.names()):
                if (application := _on_offer(name)) is not None:
                    with ui.element("li"):
                        ui.link(application.title, pages().chat(known, name) or "")
    return None


async def _chat(client: Client, definition: str, job: str | None = None, tenant: str | None = None) -> Response | None:
    known = _tenant(tenant)
    if known is None or definition not in pages().api.definitions.names():
        return RedirectResponse("/chat", status_code=303)
    application = _on_offer(DefinitionName(definition))
    if application is None:
        return RedirectResponse("/chat", status_code=303)
    job_id = job if job and is_identifier(job) else None
    _dressed(application.title)
    view = ChatView(
        title=application.title,
        language=application.language,
        place=f"tertulia:{definition}:{job_id or ''}" + ("" if tenant is None else f":{known}"),
        longest=application.limits.message_chars,
    )
    about = Subject(known, DefinitionName(definition), job_id)
    client.on_delete(Talk(pages(), about, view, visitor=client.ip).leave)
    return None


def _on_offer(name: DefinitionName) -> Definition | None:
    """Return an application that candidates may talk with; None where there is none, or its file can't be used."""
    application = usable(pages().api, name)
    return application if application and application.role == CANDIDATE else None


def _tenant(named: str | None) -> TenantId | None:
    """Return the tenant that a link names, or the first one; None for one that has no chats here."""
    tenants = pages().chat_tenants
    return tenants[0] if named is None else next((tenant for tenant in tenants if tenant == named), None)


def _dressed(title: str) -> None:
    ui.page_title(title)
    # The operator's own file; only the end of its element could make it more than a style.
    own = f"<style>{css.replace('</', '')}</style>" if (css := pages().chat_css) else ""
    ui.add_head_html(_HEAD + own)
