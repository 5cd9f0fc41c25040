"""What the pages are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from nicegui import app

from tertulia.api.ports import ApiPorts
from tertulia.api.rate_limit import RateLimit
from tertulia.domain.access import HOUSE
from tertulia.domain.ids import TenantId
from tertulia.ports import PinnedDefinitions, Tickets


@dataclass(frozen=True, slots=True)
class Pages:
    """Everything behind the pages, and how they look and who may embed them.

    Attributes:
        api: What the API has, too.
        temporal_ui: Where the Temporal UI is, for links to it; None: no links.
        chat_tenants: Whose chats there are; a link names one by `?tenant=`, without that it is the first one.
        visitors: How much may come from one address in chats; None: any number.
        embedders: Origins whose pages may show the chat in a frame (`https://jobs.example.org`).
        chat_css: Rules that come behind the chat's own, for colours and fonts.
    """

    api: ApiPorts
    pinned: PinnedDefinitions
    tickets: Tickets
    temporal_ui: str | None = None
    temporal_namespace: str = "default"
    chat_tenants: Sequence[TenantId] = (HOUSE,)
    visitors: RateLimit | None = None
    embedders: Sequence[str] = ()
    chat_css: str = ""

    def chat(self, tenant: TenantId, definition: str, job_id: str | None = None) -> str | None:
        """Return where somebody begins a chat with a tenant; None where that has no chats on the web."""
        if tenant not in self.chat_tenants:
            return None
        named = {"job": job_id, "tenant": None if tenant == self.chat_tenants[0] else tenant}
        query = urlencode({name: value for name, value in named.items() if value})
        return f"/chat/{definition}" + (f"?{query}" if query else "")

    def count(self, visitor: str) -> None:
        """Count something that a visitor does.

        Raises:
            RateLimited: Too much has come from that address.
        """
        if self.visitors:
            self.visitors.take(visitor)


def pages() -> Pages:
    """Return what is behind the pages of this process."""
    found: Pages = app.state.pages
    return found
