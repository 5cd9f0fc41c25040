"""`/console/sessions/{session_id}`: one conversation, why it went so, and what can be done with it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element
from pydantic import ValidationError

from tertulia.api.access import own_session
from tertulia.api.ids import new_id
from tertulia.api.inputs import MAX_NUMBER, NewValue, SayAsOperator
from tertulia.api.sessions import erased
from tertulia.console.door import Operator, console_page
from tertulia.console.evidence import show_evidence
from tertulia.console.frame import DIAGRAMS, badge, clock, confirmed, done, facts, frame, heading, panel
from tertulia.console.ports import pages
from tertulia.domain.conversation import (
    Close,
    EditSlot,
    HandOverToHuman,
    Message,
    OperatorMessage,
    Order,
    Owner,
    Regenerate,
    SessionStatus,
    SessionView,
    TakeBack,
    TransitionTo,
    Undo,
)
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.diagram import diagram
from tertulia.domain.errors import InvalidInput, NotFound, TertuliaError, Unauthenticated
from tertulia.domain.ids import SessionId, workflow_id
from tertulia.domain.session_events import SessionEnded, SessionEvent, TurnEnded, TurnStarted
from tertulia.domain.turns import Delta, SessionRecord

_EVERY_S = 5.0
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
    operator.every(_EVERY_S, shown.leave_if_erased)


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
                    self._edit_button = ui.button("Change", on_click=self._edit).props("no-caps dense outline size=sm")
                with panel("Where it stands"):
                    self._diagram = ui.mermaid(diagram(self._definition, self._state), config=DIAGRAMS)
        await self._refresh()

    def follow(self) -> None:
        """Show what happens, for as long as the page is open."""
        client = ui.context.client
        following = background_tasks.create(self._followed(), name="console session")
        client.on_delete(following.cancel)

    async def leave_if_erased(self) -> None:
        """Show nothing of a session that is no more."""
        try:
            await own_session(pages().api, self._operator.caller, self._id)
        except NotFound:
            ui.navigate.reload()

    async def _followed(self) -> None:
        events = pages().api.events
        async for told in events.follow(self._id, await events.now(self._id)):
            try:
                await self._operator.still_in()
                await self._show(told.event)
            except Unauthenticated:
                return
            except TertuliaError:
                pass  # What is shown stays until the next event.

    async def _show(self, event: SessionEvent) -> None:
        match event:
            case Delta() as piece:
                self._write(piece)
            case TurnStarted() | TurnEnded():
                self._writing.text = ""
                await self._refresh()
            case Message() | SessionEnded():
                await self._refresh()
            case _:
                pass

    def _write(self, piece: Delta) -> None:
        before = self._writing.text if piece.offset else ""
        self._writing.text = before[: piece.offset] + piece.text
        self._writing.set_visibility(True)

    async def _refresh(self) -> None:
        api = pages().api
        await self._operator.still_in()
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
            async with asyncio.timeout(2):
                return await pages().api.sessions.view(self._id)
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
        await done(self._show_evidence(turn))

    async def _show_evidence(self, turn: int) -> None:
        await self._operator.still_in()
        record = await pages().api.transcripts.turn(self._id, turn)
        if record is None:
            raise NotFound("turn", str(turn))
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
        self._edit_button.set_visibility(self._record.status is SessionStatus.OPEN and bool(self._definition.slots))
        is_open, human = self._record.status is SessionStatus.OPEN, self._record.owner is Owner.HUMAN
        self._fill(self._actions, lambda: self._buttons(human=human) if is_open else self._of_closed())
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
        self._button("Undo the last turn", self._undo, quiet=True)
        self._button("Write the last reply anew", self._order(Regenerate(operator=self._operator.name)), quiet=True)
        self._button("Close", self._close, quiet=True)
        self._button("Erase", self._erase, quiet=True)

    def _of_closed(self) -> None:
        badge("closed", "quiet")
        self._button("Erase", self._erase, quiet=True)

    def _button(self, text: str, act: Callable[[], Awaitable[None]], *, quiet: bool = False) -> None:
        ui.button(text, on_click=act).props("no-caps dense " + ("outline" if quiet else "unelevated"))

    def _write_box(self) -> None:
        with ui.element("div").classes("compose"):
            box = ui.textarea(placeholder="Write to the person").props("outlined autogrow dense").classes("compose-box")

            async def send() -> None:
                if (box.value or "").strip() and await self._done(self._say(box.value)):
                    box.value = ""

            ui.button("Send", on_click=send).props("unelevated no-caps")

    async def _say(self, text: str) -> None:
        try:
            said = SayAsOperator.model_validate({"text": text})
        except ValidationError:
            raise InvalidInput("this can't be sent as it is") from None
        await self._ordered(OperatorMessage(text=said.text, operator=self._operator.name))

    def _order(self, order: Order, told: str = "") -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self._done(self._ordered(order), told)

        return act

    async def _ordered(self, order: Order) -> None:
        order = order.model_copy(update={"request_id": new_id()})
        await pages().api.after_the_turn(pages().api.sessions.order(self._id, order))

    async def _undo(self) -> None:
        question = "Undo the person's last turn? What was said in it stays on record, and counts no more."
        if await confirmed(question, "Undo"):
            await self._done(self._ordered(Undo(operator=self._operator.name)), "Undone.")

    async def _edit(self) -> None:
        slots, known = list(self._definition.slots), self._record.slots
        with ui.dialog() as dialog, ui.card().classes("sheet"):
            with ui.element("h2"):
                ui.label("Change what is known")
            slot = ui.select(slots, label="What", value=slots[0]).props("dense outlined options-dense")
            box = ui.input("Value, in words", value=_words(known.get(slots[0]))).props("dense outlined")
            slot.on_value_change(lambda event: box.set_value(_words(known.get(event.value))))

            async def save() -> None:
                if await self._done(self._give(slot.value, box.value or ""), "Changed."):
                    dialog.close()

            with ui.row():
                ui.button("Save", on_click=save).props("no-caps unelevated")
                ui.button("Cancel", on_click=dialog.close).props("no-caps flat")
        dialog.on("hide", dialog.delete)
        dialog.open()

    async def _give(self, slot: str, value: str) -> None:
        try:
            given = NewValue.model_validate({"value": value.strip()})
        except ValidationError:
            raise InvalidInput("this can't be a value") from None
        await self._ordered(EditSlot(slot=slot, value=given.value, operator=self._operator.name))

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
        if await confirmed("Close this session? The person can say nothing more in it.", "Close"):
            await self._done(pages().api.after_the_turn(pages().api.sessions.close(self._id, close)), "Closed.")

    async def _erase(self) -> None:
        question = "Erase this session? All that was said in it is deleted for good, and the chat ends at once."
        if await confirmed(question, "Erase") and await self._done(erased(pages().api, self._id)):
            ui.navigate.to("/console")

    async def _done(self, act: Awaitable[object], told: str = "") -> bool:
        async def allowed() -> None:
            # Anything a browser sends is checked anew: the page may be older than the key's revocation.
            try:
                await self._operator.still_in()
                await own_session(pages().api, self._operator.caller, self._id)
            except TertuliaError:
                if asyncio.iscoroutine(act):
                    act.close()
                raise
            await act

        succeeded = await done(allowed(), told)
        with suppress(TertuliaError):  # What is shown stays until the next event.
            await self._refresh()
        return succeeded


def _words(value: Any) -> str:
    """Write down a value, to be changed; what was never words of a person's is written anew."""
    return "" if value is None or isinstance(value, dict) else _plain(value)


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
