"""What the pages are given."""

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import app

from tertulia.api.ports import ApiPorts
from tertulia.ports import PinnedDefinitions, Tickets


@dataclass(frozen=True, slots=True)
class Pages:
    """Everything behind the pages, and how they look and who may embed them.

    Attributes:
        api: What the API has, too.
        temporal_ui: Where the Temporal UI is, for links to it; None: no links.
        embedders: Origins whose pages may show the chat in a frame (`https://jobs.example.org`).
        chat_css: Rules that come behind the chat's own, for colours and fonts.
    """

    api: ApiPorts
    pinned: PinnedDefinitions
    tickets: Tickets
    temporal_ui: str | None = None
    temporal_namespace: str = "default"
    embedders: Sequence[str] = ()
    chat_css: str = ""


def pages() -> Pages:
    """Return what is behind the pages of this process."""
    found: Pages = app.state.pages
    return found
