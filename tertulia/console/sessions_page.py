"""`/console`: who is talking, where, and how far they are."""

from datetime import datetime, timedelta
from typing import Any

from nicegui import ui

from tertulia.console.door import Operator, console_page
from tertulia.console.frame import ago, done, frame, heading
from tertulia.console.ports import pages
from tertulia.domain.conversation import Owner, SessionStatus
from tertulia.domain.turns import Page, SessionFilter, SessionRecord

_EVERY_S = 3.0
_LIMIT = 50
_ANY = "any"
_AGES = {_ANY: None, "last hour": timedelta(hours=1), "today": timedelta(days=1), "this week": timedelta(days=7)}
_COLUMNS = [
    {"name": "who", "label": "Person", "field": "who", "align": "left"},
    {"name": "definition", "label": "Application", "field": "definition", "align": "left"},
    {"name": "state", "label": "State", "field": "state", "align": "left"},
    {"name": "owner", "label": "Answered by", "field": "owner", "align": "left"},
    {"name": "channel", "label": "Channel", "field": "channel", "align": "left"},
    {"name": "turn", "label": "Turns", "field": "turn", "align": "right"},
    {"name": "asked", "label": "Waits for", "field": "asked", "align": "left"},
    {"name": "active", "label": "Last active", "field": "active", "align": "right"},
]
# Text goes through the template's interpolation, which shows it as text.
_WHO = """<q-td :props="props"><a :href="'/console/sessions/' + props.row.id">{{ props.value }}</a></q-td>"""
_STATE = """<q-td :props="props"><span class="badge" :class="props.row.tone">{{ props.value }}</span></q-td>"""
_OWNER = """<q-td :props="props"><span :class="props.row.whose">{{ props.value }}</span></q-td>"""


def add() -> None:
    """Add the page to the application."""
    console_page("/console")(_sessions)


class _Sessions:
    """The list as one browser sees it: filtered, page by page, and looked at anew every few seconds."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._where = SessionFilter(tenant=operator.tenant, status=SessionStatus.OPEN)
        self._age: timedelta | None = None
        self._cursors: list[str | None] = [None]
        self._next: str | None = None

    def build(self) -> None:
        definitions = [_ANY, *sorted(pages().api.definitions.names())]
        with ui.element("div").classes("filters"):
            self._choice("Status", {"open": "open", "closed": "closed", "": _ANY}, "status", "open")
            self._choice("Application", {"" if name == _ANY else name: name for name in definitions}, "definition")
            self._choice("Answered by", {"": _ANY, "bot": "bot", "human": "human"}, "owner")
            ages = ui.select(list(_AGES), label="Begun", value=_ANY, on_change=lambda event: self._since(event.value))
            ages.props("dense outlined options-dense")
            for field in ("state", "channel", "user_id"):
                self._words(field)
        self._table = ui.table(rows=[], columns=_COLUMNS, row_key="id").classes("list").props("flat")
        self._table.add_slot("body-cell-who", _WHO)
        self._table.add_slot("body-cell-state", _STATE)
        self._table.add_slot("body-cell-owner", _OWNER)
        self._table.add_slot("no-data", "No session fits. Start one in the chat.")
        with ui.element("div").classes("pager"):
            self._back = ui.button("Newer", on_click=self._newer).props("flat dense no-caps")
            self._on = ui.button("Older", on_click=self._older).props("flat dense no-caps")

    async def look(self) -> None:
        """Read the list, and show what has changed."""
        await self._operator.still_in()
        page = await self._read()
        now = pages().api.now()
        rows = [_row(record, now) for record in page.sessions]
        if rows != self._table.rows:
            self._table.rows = rows
        self._next = page.next
        self._back.set_visibility(len(self._cursors) > 1)
        self._on.set_visibility(page.next is not None)

    async def _read(self) -> Page:
        since = None if self._age is None else pages().api.now() - self._age
        where = self._where.model_copy(update={"created_since": since})
        return await pages().api.records.find(where, cursor=self._cursors[-1], limit=_LIMIT)

    def _choice(self, label: str, options: dict[str, str], field: str, value: str = "") -> None:
        select = ui.select(options, label=label, value=value, on_change=lambda event: self._filter(field, event.value))
        select.props("dense outlined options-dense")

    def _words(self, field: str) -> None:
        label = {"user_id": "Person"}.get(field, field.capitalize())
        box = ui.input(label).props("dense outlined clearable")
        box.on("keydown.enter", lambda: self._filter(field, box.value or ""))
        box.on("clear", lambda: self._filter(field, ""))

    async def _filter(self, field: str, value: str) -> None:
        self._where = self._where.model_copy(update={field: _typed(field, value.strip())})
        await self._from_the_top()

    async def _since(self, age: str) -> None:
        self._age = _AGES[age]
        await self._from_the_top()

    async def _from_the_top(self) -> None:
        self._cursors = [None]
        await done(self.look())

    async def _newer(self) -> None:
        if len(self._cursors) > 1:
            self._cursors.pop()
        await done(self.look())

    async def _older(self) -> None:
        if self._next:
            self._cursors.append(self._next)
        await done(self.look())


def _typed(field: str, value: str) -> Any:
    if not value:
        return None
    match field:
        case "status":
            return SessionStatus(value)
        case "owner":
            return Owner(value)
        case _:
            return value


def _row(record: SessionRecord, now: datetime) -> dict[str, Any]:
    action = record.next_action
    ended = record.status is SessionStatus.CLOSED
    return {
        "id": record.session_id,
        "who": record.user_id,
        "definition": record.definition,
        "state": f"{record.state} · closed" if ended else record.state,
        "tone": "quiet" if ended else "good",
        "owner": "—" if ended else record.owner.value,
        "whose": "badge fair" if record.owner is Owner.HUMAN and not ended else "",
        "channel": record.channel,
        "turn": record.turn,
        "asked": "" if ended or action is None else (action.slot or {"retry": "another try"}.get(action.kind, "")),
        "active": ago(record.updated_at, now),
    }


async def _sessions(operator: Operator) -> None:
    with frame("Sessions", "Sessions"):
        heading("Sessions", hint="Newest first; the list follows what happens.")
        sessions = _Sessions(operator)
        sessions.build()
    await done(sessions.look())
    operator.every(_EVERY_S, sessions.look)
