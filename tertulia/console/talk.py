"""One browser's part in a conversation: opened or taken up again, followed, and spoken in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, assert_never

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tertulia.api.ids import new_id
from tertulia.api.inputs import MAX_NUMBER, SendMessage
from tertulia.console.chat_view import ChatView, Standing
from tertulia.console.ports import Pages
from tertulia.domain.conversation import IncomingMessage, Message, OpenSession, Undo
from tertulia.domain.errors import (
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    SessionClosed,
    TertuliaError,
    Unavailable,
)
from tertulia.domain.ids import DefinitionName, MessageId, SessionId, TenantId
from tertulia.domain.session_events import (
    EventId,
    SessionEnded,
    SessionEvent,
    TurnEnded,
    TurnStarted,
    TurnSuperseded,
)
from tertulia.domain.turns import Delta, SessionRecord, TurnWaits

log = structlog.get_logger("tertulia.console")

_CHANNEL = "web"
_SHOWN = 50
_LOOK_AGAIN_S = 2


class _Hello(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    ticket: str | None = Field(None, max_length=2000)


class _Earlier(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    before: int = Field(ge=1, le=MAX_NUMBER)


class Subject(NamedTuple):
    """Whom a page lets people talk with, and about what.

    Attributes:
        job_id: The job that the person applies for, where the page was opened for one.
    """

    tenant: TenantId
    definition: DefinitionName
    job_id: str | None = None


class Talk:
    """Connects a chat that is shown with its session.

    Args:
        visitor: The address that the browser has.
    """

    def __init__(self, pages: Pages, subject: Subject, view: ChatView, *, visitor: str) -> None:
        self._pages = pages
        self._subject = subject
        self._view = view
        self._visitor = visitor
        self._session: SessionId | None = None
        self._following: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._left = False
        view.hears("hello", self._guarded(self._hello))
        view.hears("say", self._guarded(self._say))
        view.hears("earlier", self._guarded(self._earlier))
        view.hears("undo", self._guarded(self._undo))
        view.hears("stop", self._guarded(self._stop))
        view.hears("restart", self._guarded(self._restart))

    def leave(self) -> None:
        """Follow no longer; the conversation goes on without this browser."""
        self._left = True
        self._unfollow()

    # --- what the browser sends ---------------------------------------------------------------------------------------

    async def _hello(self, args: Any) -> None:
        ticket = _Hello.model_validate(args).ticket
        self._pages.count(self._visitor)
        async with self._beginning:
            session_id = await self._admitted(ticket) if ticket else None
            if ticket and session_id:
                await self._begin(session_id, ticket)
            else:
                await self._begin_anew()

    async def _restart(self, _: Any) -> None:
        self._pages.count(self._visitor)
        async with self._beginning:
            await self._begin_anew()

    async def _say(self, args: Any) -> None:
        try:
            said = SendMessage.model_validate(args)
        except ValidationError:
            raise InvalidInput("this can't be sent as it is") from None
        if self._session is None or said.message_id is None:
            return
        message = IncomingMessage(text=said.text, message_id=said.message_id)
        message_id = MessageId(said.message_id)
        try:
            self._pages.count(self._visitor)
            await self._pages.api.taken(self._pages.api.sessions.submit(self._session, message))
        except TertuliaError as error:
            self._view.refused(message_id, _told(error))
            return
        self._view.taken(message_id)

    async def _earlier(self, args: Any) -> None:
        if self._session is not None:
            before = _Earlier.model_validate(args).before
            after = max(0, before - 1 - _SHOWN)
            messages = await self._pages.api.transcripts.messages(self._session, after=after, limit=before - 1 - after)
            self._view.prepend(messages, more=after > 0)

    async def _undo(self, _: Any) -> None:
        if self._session is not None:
            self._pages.count(self._visitor)
            order = Undo(request_id=new_id())
            await self._pages.api.after_the_turn(self._pages.api.sessions.order(self._session, order))

    async def _stop(self, _: Any) -> None:
        if self._session is not None:
            await self._pages.api.taken(self._pages.api.sessions.cancel_turn(self._session))

    # --- the session --------------------------------------------------------------------------------------------------

    async def _admitted(self, ticket: str) -> SessionId | None:
        """Find the session that a ticket is for; None where it is not one of this page's, which then begins anew."""
        session_id = await self._pages.tickets.admit(ticket)
        record = await self._pages.api.records.get(session_id) if session_id else None
        if record is None or (record.tenant, record.definition) != self._subject[:2]:
            return None
        return record.session_id

    async def _begin_anew(self) -> None:
        session_id = await self._opened()
        await self._begin(session_id, await self._pages.tickets.issue(session_id, self._pages.api.now()))

    async def _opened(self) -> SessionId:
        session_id = SessionId(new_id())
        tenant, definition, job_id = self._subject
        opening = OpenSession(
            definition=definition, user_id=f"web-{session_id}", channel=_CHANNEL, job_id=job_id, tenant=tenant
        )
        await self._pages.api.taken(self._pages.api.sessions.open(session_id, opening))
        return session_id

    async def _begin(self, session_id: SessionId, ticket: str) -> None:
        self._unfollow()
        self._session = session_id
        # Told twice does no harm; what happens between the two reads must not be missed.
        place = await self._pages.api.events.now(session_id)
        messages = await self._window(session_id)
        standing = await self._standing(session_id)
        self._view.begin(ticket, messages, standing, more=bool(messages) and messages[0].seq > 1)
        if not self._left:
            self._following = asyncio.create_task(self._guarded(self._follow)((session_id, place)))

    async def _window(self, session_id: SessionId) -> Sequence[Message]:
        return await self._pages.api.transcripts.window(
            session_id, up_to_turn=MAX_NUMBER, limit=_SHOWN, withdrawn=False
        )

    async def _standing(self, session_id: SessionId) -> Standing:
        record = await self._record(session_id)
        definition = await self._pages.pinned.pinned(record.definition_hash)
        return Standing.of(record, definition, self._pages.api.now().date().isoformat())

    async def _record(self, session_id: SessionId) -> SessionRecord:
        record = await self._pages.api.records.get(session_id)
        if record is None:
            raise NotFound("session", session_id)
        return record

    # --- following ----------------------------------------------------------------------------------------------------

    def _unfollow(self) -> None:
        if self._following:
            self._following.cancel()

    async def _follow(self, behind: tuple[SessionId, EventId]) -> None:
        """Show what becomes known of the session, from wherever it comes; where storage was away, all of it again."""
        session_id, place = behind
        missed = False
        while True:
            try:
                if missed:
                    await self._show_all(session_id)
                    missed = False
                async for told in self._pages.api.events.follow(session_id, place):
                    place = told.id
                    await self._show(session_id, told.event)
            except Unavailable:
                missed = True
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return

    async def _show(self, session_id: SessionId, event: SessionEvent) -> None:
        match event:
            case TurnStarted():
                self._view.think()
            case Delta():
                self._view.write(event)
            case TurnWaits():
                self._view.wait()
            case Message():
                self._view.add([event])
            case TurnSuperseded():
                pass  # The next piece takes the place of the text.
            case TurnEnded() if event.message_ids:
                self._view.rest(await self._standing(session_id))
            case TurnEnded() | SessionEnded():
                # Something else than an answer: perhaps messages do not count any more.
                await self._show_all(session_id)
            case _:
                assert_never(event)

    async def _show_all(self, session_id: SessionId) -> None:
        self._view.restore(await self._window(session_id))
        self._view.rest(await self._standing(session_id))

    def _guarded(self, step: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Any]:
        """Tell the person what went wrong, and the log what kind of thing it was: never what somebody wrote."""

        async def guarded(args: Any) -> None:
            try:
                await step(args)
            except TertuliaError as error:
                self._view.tell(_told(error))
            except ValidationError:
                log.warning("page_sent_nonsense", step=step.__name__)

        return guarded


def _told(error: TertuliaError) -> str:
    match error:
        case Unavailable():
            return "The server can't be reached at the moment. Nothing is lost: please try again in a little while."
        case RateLimited():
            return "That was a lot at once. Please wait a moment, then try again."
        case SessionClosed():
            return "This conversation has ended."
        case InvalidInput():
            return error.problem.capitalize()
        case Refused():
            return f"That is not possible just now: {error}"
        case _:
            return "Something went wrong. Please load this page again."
