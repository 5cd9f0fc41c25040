"""`/console/sessions/{session_id}`: one conversation, why it went so, and what can be done with it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element

from tertulia.api.access import own_session
from tertulia.api.ids import new_id
from tertulia.api.inputs import MAX_NUMBER
from tertulia.console.door import Operator, console_page
from tertulia.console.evidence import show_evidence
from tertulia.console.frame import DIAGRAMS, badge, clock, done, facts, frame, heading, panel
from tertulia.console.ports import pages
from tertulia.domain.conversation import (
    Close,
    HandOverToHuman,
    Message,
    OperatorMessage,
    Order,
    Owner,
    SessionStatus,
    SessionView,
    TakeBack,
    TransitionTo,
)
from tertulia.domain.definition import Definition
from tertulia.domain.definition_diagram import diagram
from tertulia.domain.errors import NotFound, TertuliaError
from tertulia.domain.ids import SessionId, workflow_id
from tertulia.domain.session_events import SessionEnded, TurnEnded, TurnStarted
from tertulia.domain.turns import Delta, SessionRecord

_MESSAGES = 200
_SPEAKERS = {"user": "Person", "assistant": "Bot", "operator": "Operator", "system": "Note"}


def add() -> None:
    """Add the page to the application."""
    console_page("/console/sessions/{session_id}")(_session)


async def _session(operator: Operator, session_id: str) -> None:
    try:
        record = await own_session(pages().api, operator.caller, SessionId(session_id))
    except NotFound:
        with frame("No such session", "Sessions"):
            heading("There is no such session", hint="It may have been erased, or it is another tenant's.")
        return
    definition = await pages().pinned.pinned(record.definition_hash)
    with frame(record.user_id, "Sessions"):
        shown = _Session(operator, record, definition)
        await shown.build()
    shown.follow()


class _Session:
    """One session as one browser sees it; follows what becomes known of it."""

    def __init__(self, operator: Operator, record: SessionRecord, definition: Definition) -> None:
        self._operator = operator
        self._id = record.session_id
        self._record = record
        self._definition = definition
        self._state = record.state
        self._offered: tuple[SessionStatus, Owner, str] | None = None

    async def build(self) -> None:
        record = self._record
        heading(record.user_id, hint=f"{self._definition.title} · {record.channel} · session {record.session_id}")
        self._actions = ui.element("div").classes("actions")
        with ui.element("div").classes("halves"):
            with ui.element("div").classes("wide"), panel("Transcript"):
                with ui.element("div").classes("transcript"):
                    self._log = ui.element("div").classes("lines").props('role="log" aria-live="polite"')
                self._writing = ui.label().classes("writing")
                self._writing.set_visibility(False)
                self._composer = ui.element("div")
            with ui.element("div").classes("narrow"):
                with panel("Now"):
                    self._facts = ui.element("div")
                with panel("What is known"):
                    self._slots = ui.element("div")
                with panel("Where it stands"):
                    self._diagram = ui.mermaid(diagram(self._definition, self._state), config=DIAGRAMS)
        await self._refresh()

    def follow(self) -> None:
        """Show what happens, for as long as the page is open."""
        client = ui.context.client
        following = background_tasks.create(self._followed(), name="console session")
        client.on_delete(following.cancel)

    async def _followed(self) -> None:
        events = pages().api.events
        async for told in events.follow(self._id, await events.now(self._id)):
            match told.event:
                case Delta() as piece:
                    self._write(piece)
                case TurnStarted():
                    self._writing.text = ""
                    await self._look_again()
                case Message() | TurnEnded() | SessionEnded():
                    await self._look_again()
                case _:
                    pass

    async def _look_again(self) -> None:
        try:
            await self._operator.still_in()
            await self._refresh()
        except TertuliaError:
            pass  # What is shown stays until the next event.

    def _write(self, piece: Delta) -> None:
        before = self._writing.text if piece.offset else ""
        self._writing.text = before[: piece.offset] + piece.text
        self._writing.set_visibility(True)

    async def _refresh(self) -> None:
        api = pages().api
        self._record = await own_session(api, self._operator.caller, self._id)
        messages = await api.transcripts.window(self._id, up_to_turn=MAX_NUMBER, limit=_MESSAGES)
        view = await self._live()
        self._writing.set_visibility(False)
        self._show_transcript(messages)
        self._show_facts(view)
        self._show_slots()
        self._show_actions()
        if self._record.state != self._state:
            self._state = self._record.state
            self._diagram.content = diagram(self._definition, self._state)

    async def _live(self) -> SessionView | None:
        if self._record.status is SessionStatus.CLOSED:
            return None
        try:
            return await asyncio.wait_for(pages().api.sessions.view(self._id), 2)
        except (TertuliaError, TimeoutError):
            return None

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_transcript(self, messages: Sequence[Message]) -> None:
        self._log.clear()
        with self._log:
            if messages and messages[0].seq > 1:
                ui.label(f"{messages[0].seq - 1} earlier messages are left out; the export has them.").classes("soft")
            for message in messages:
                self._show_message(message)

    def _show_message(self, message: Message) -> None:
        withdrawn = " line--withdrawn" if message.withdrawn_in is not None else ""
        with ui.element("article").classes(f"line line--{message.role}{withdrawn}"):
            with ui.element("div").classes("line-head"):
                ui.label(_SPEAKERS[message.role]).classes("line-who")
                ui.label(clock(message.created_at)).classes("soft")
                if withdrawn:
                    badge(f"undone in turn {message.withdrawn_in}", "quiet")
                if message.turn and message.role != "user":
                    turn = message.turn
                    ui.button(f"turn {turn}", on_click=lambda: self._explain(turn)).props("flat dense no-caps size=sm")
            ui.label(message.text).classes("line-text")

    async def _explain(self, turn: int) -> None:
        record = await pages().api.transcripts.turn(self._id, turn)
        if record is None:
            ui.notify("There is no evidence of this turn.")
            return
        with ui.dialog() as dialog, ui.card().classes("sheet"):
            show_evidence(record)
            ui.button("Close", on_click=dialog.close).props("flat no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _show_facts(self, view: SessionView | None) -> None:
        record = self._record
        action = record.next_action
        told = {
            "State": record.state,
            "Status": record.status + (f" ({record.closed_reason})" if record.closed_reason else ""),
            "Answered by": record.owner,
            "Turns": str(record.turn),
            "Waits for": "" if action is None else (action.slot or action.kind),
            "Begun": clock(record.created_at),
            "Last active": clock(record.updated_at),
        }
        if record.hand_over:
            told["Handed over"] = f"{clock(record.hand_over.at)}, {record.hand_over.cause}: {record.hand_over.reason}"
        if view and view.reminder_at:
            told["Reminder"] = clock(view.reminder_at)
        if view and view.expires_at:
            told["Expires"] = clock(view.expires_at)
        if view and view.running:
            told["Running"] = f"turn {view.running.turn} · {view.running.provider or 'by rules'}"
        self._fill(self._facts, lambda: self._facts_and_links(told))

    def _facts_and_links(self, told: dict[str, str]) -> None:
        facts({name: value for name, value in told.items() if value})
        if pages().temporal_ui:
            address = f"{pages().temporal_ui}/namespaces/{pages().temporal_namespace}/workflows/{workflow_id(self._id)}"
            ui.link("Its workflow in the Temporal UI ↗", address.replace("session/", "session%2F"), new_tab=True)

    def _show_slots(self) -> None:
        known = {name: _plain(value) for name, value in self._record.slots.items()}
        self._fill(self._slots, lambda: facts(known) if known else ui.label("Nothing yet.").classes("soft"))

    def _fill(self, place: Element, build: Callable[[], object]) -> None:
        place.clear()
        with place:
            build()

    # --- what can be done ---------------------------------------------------------------------------------------------

    def _show_actions(self) -> None:
        # A button that is made anew under somebody's finger does nothing.
        offered = (self._record.status, self._record.owner, self._record.state)
        if offered == self._offered:
            return
        self._offered = offered
        is_open, human = self._record.status is SessionStatus.OPEN, self._record.owner is Owner.HUMAN
        self._fill(self._actions, lambda: self._buttons(human=human) if is_open else badge("closed", "quiet"))
        # What is being written must outlive a look at the transcript.
        if (is_open and human) != bool(self._composer.default_slot.children):
            self._fill(self._composer, self._write_box if is_open and human else lambda: None)

    def _buttons(self, *, human: bool) -> None:
        if human:
            self._button("Give back to the bot", self._order(TakeBack(operator=self._operator.name), "The bot has it."))
        else:
            taken = HandOverToHuman(operator=self._operator.name)
            self._button("Take over", self._order(taken, "The session is yours; the bot is silent."))
            self._button("Stop the turn", self._stop, quiet=True)
        states = (
            list(self._definition.may_follow(self._record.state))
            if self._record.state in self._definition.states
            else []
        )
        if states:
            with ui.dropdown_button("Move to …", auto_close=True).props("outline no-caps dense"):
                for state in states:
                    ui.item(state, on_click=self._move(state))
        self._button("Close", self._close, quiet=True)

    def _button(self, text: str, act: Callable[[], Awaitable[None]], *, quiet: bool = False) -> None:
        ui.button(text, on_click=act).props("no-caps dense " + ("outline" if quiet else "unelevated"))

    def _write_box(self) -> None:
        with ui.element("div").classes("compose"):
            box = ui.textarea(placeholder="Write to the person").props("outlined autogrow dense").classes("compose-box")

            async def send() -> None:
                message = OperatorMessage(text=box.value or "", operator=self._operator.name)
                if (box.value or "").strip() and await self._carried_out(message):
                    box.value = ""

            ui.button("Send", on_click=send).props("unelevated no-caps")

    def _order(self, order: Order, told: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self._carried_out(order, told)

        return act

    async def _carried_out(self, order: Order, told: str = "") -> bool:
        order = order.model_copy(update={"request_id": new_id()})
        return await self._done(pages().api.after_the_turn(pages().api.sessions.order(self._id, order)), told)

    def _move(self, state: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            to = TransitionTo(state=state, operator=self._operator.name)
            await self._done(
                pages().api.after_the_turn(pages().api.sessions.transition(self._id, to)), f"Moved to {state}."
            )

        return act

    async def _stop(self) -> None:
        await self._done(pages().api.taken(pages().api.sessions.cancel_turn(self._id)))

    async def _close(self) -> None:
        close = Close(reason="closed by an operator")
        await self._done(pages().api.after_the_turn(pages().api.sessions.close(self._id, close)), "Closed.")

    async def _done(self, act: Awaitable[object], told: str = "") -> bool:
        async def allowed() -> None:
            # Anything a browser sends is checked anew: the page may be older than the key's revocation.
            try:
                await self._operator.still_in()
            except TertuliaError:
                if asyncio.iscoroutine(act):
                    act.close()
                raise
            await act

        succeeded = await done(allowed(), told)
        await self._look_again()
        return succeeded


def _plain(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
        case dict() if "excerpt" in value:
            return str(value["excerpt"])
        case _:
            return str(value)
