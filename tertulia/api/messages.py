"""Messages: the three ways to send, receipts, the transcript and the evidence of turns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import JSONResponse, Response

from tertulia.api import event_stream
from tertulia.api.access import allow
from tertulia.api.etags import UNCHANGED, IfNoneMatch, tagged
from tertulia.api.ids import new_id
from tertulia.api.inputs import (
    MAX_NUMBER,
    MessageInPath,
    PageOfMessages,
    SendMessage,
    SessionInPath,
    TurnInPath,
    chosen_id,
)
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.api.sessions import stored_session
from tertulia.api.views import Messages, Receipt, TurnReply
from tertulia.api.waiting import within
from tertulia.domain.access import Scope
from tertulia.domain.conversation import IncomingMessage, SessionStatus
from tertulia.domain.errors import InvalidInput, NotFound, SessionClosed
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import TurnRecord

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["messages"], dependencies=[allow(Scope.CHAT)])

SENT: dict[int | str, dict[str, Any]] = {
    200: {
        "model": TurnReply,
        "description": "The reply, or with `Accept: text/event-stream` the turn as it happens",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": event_stream.EXAMPLE}},
    },
    202: {"model": Receipt, "description": "Durably taken; `Location` is where the outcome can be looked up"},
}


@router.post(
    "/messages",
    responses={**SENT, **documented("not_found", "session_closed", "turn_in_progress", "too_many_waiting", body=True)},
)
async def send_message(
    session_id: SessionInPath,
    body: SendMessage,
    ports: Ports,
    accept: Annotated[str, Header(description="`text/event-stream` for the turn as it happens")] = "",
    prefer: Annotated[str, Header(description="`respond-async` for a receipt at once, `wait=<seconds>`")] = "",
    idempotency_key: Annotated[str | None, Header(description="The message's id, chosen by the client")] = None,
) -> Response:
    """Send a message, and wait for the reply; or take a receipt at once; or follow the turn as it happens.

    With an id of the client's choice the call can be repeated: it gets the outcome of the first one. A client that
    goes away loses nothing, since the turn does not depend on it. A reply that takes longer than the client's patience,
    or than most proxies', is answered with a receipt.
    """
    message_id = MessageId(chosen_id(body.message_id, idempotency_key) or new_id())
    return await sent(ports, session_id, IncomingMessage(text=body.text, message_id=message_id), accept, prefer)


async def sent(
    ports: ApiPorts, session_id: SessionId, message: IncomingMessage, accept: str = "", prefer: str = ""
) -> Response:
    """Answer with the reply to a message that has an id, with a receipt, or with the turn as it happens."""
    message_id = MessageId(message.message_id or new_id())
    async with _closed_if_stored_so(ports, session_id):
        if "text/event-stream" in accept.lower():
            await ports.taken(ports.sessions.submit(session_id, message))
            return event_stream.of_message(ports, session_id, message_id, message)
        patience = _patience(prefer, ports.reply_wait)
        if not patience:
            return await _receipt(ports, session_id, message_id, message)
        try:
            reply = await within(patience, ports.sessions.send(session_id, message))
        except TimeoutError:
            return await _receipt(ports, session_id, message_id, message)
        return JSONResponse(TurnReply.of(reply, session_id, message_id).model_dump(mode="json"))


@router.get("/messages", response_model=Messages, responses={**UNCHANGED, **documented("not_found")})
async def list_messages(
    session_id: SessionInPath,
    query: Annotated[PageOfMessages, Query()],
    ports: Ports,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read the transcript piece by piece, oldest first."""
    if query.last is None:
        found = await ports.transcripts.messages(session_id, after=query.after, limit=query.limit + 1)
    elif query.after:
        raise InvalidInput("can't be given together with `after`", field="query.last")
    else:
        found = await ports.transcripts.window(session_id, up_to_turn=MAX_NUMBER, limit=query.last)
    if not found:
        await stored_session(ports, session_id)
    piece = tuple(found if query.last else found[: query.limit])
    return tagged(Messages(messages=piece, next=piece[-1].seq if len(piece) < len(found) else None), if_none_match)


@router.get("/messages/{message_id}", response_model=Receipt, responses={**UNCHANGED, **documented("not_found")})
async def read_receipt(
    session_id: SessionInPath, message_id: MessageInPath, ports: Ports, if_none_match: IfNoneMatch = None
) -> Response:
    """Look up what became of a message; possible for as long as its session is stored."""
    turn = await ports.transcripts.turn_of(session_id, message_id)
    receipt = Receipt.of(turn, message_id) if turn else await _without_turn(ports, session_id, message_id)
    return tagged(receipt, if_none_match)


@router.get("/turns/{turn}", dependencies=[allow(Scope.OPERATE)], responses=documented("not_found"))
async def read_turn(session_id: SessionInPath, turn: TurnInPath, ports: Ports) -> TurnRecord:
    """Read a turn with its evidence: who was asked, who was passed over and why, latency, tokens, cost."""
    record = await ports.transcripts.turn(session_id, turn)
    if record is None:
        await stored_session(ports, session_id)
        raise NotFound("turn", str(turn))
    return record


@asynccontextmanager
async def _closed_if_stored_so(ports: ApiPorts, session_id: SessionId) -> AsyncIterator[None]:
    """Tell a session that has ended, which Temporal forgets after a while, from one that never was."""
    try:
        yield
    except NotFound:
        record = await ports.records.get(session_id)
        if record is None or record.status is SessionStatus.OPEN:
            raise
        raise SessionClosed("the session is closed; start another one") from None


def _patience(prefer: str, most: timedelta) -> timedelta:
    """Read how long a client wants to wait from its header `Prefer` (RFC 7240)."""
    preferences = [preference.strip().lower() for preference in prefer.split(",")]
    for preference in preferences:
        name, _, seconds = (part.strip() for part in preference.partition("="))
        if name == "wait" and seconds.isdecimal():
            return min(timedelta(seconds=min(int(seconds[:6]), 86_400)), most)
    return timedelta(0) if "respond-async" in preferences else most


async def _receipt(
    ports: ApiPorts, session_id: SessionId, message_id: MessageId, message: IncomingMessage
) -> JSONResponse:
    """Answer with a receipt, once the message is durably taken; one that has been is not taken twice."""
    await ports.taken(ports.sessions.submit(session_id, message))
    return JSONResponse(
        Receipt(session_id=session_id, message_id=message_id).model_dump(mode="json"),
        status_code=202,
        headers={
            "Location": f"/v1/sessions/{session_id}/messages/{message_id}",
            "Preference-Applied": "respond-async",
        },
    )


async def _without_turn(ports: ApiPorts, session_id: SessionId, message_id: MessageId) -> Receipt:
    """Tell a message that waits for its turn, or gets none any more, from one that never was."""
    is_awaited = await _is_awaited(ports, session_id, message_id)
    # Asked only now: its turn may have begun and ended between the two looks, and a workflow that was cut off goes on
    # telling what it awaited.
    turn = await ports.transcripts.turn_of(session_id, message_id)
    if turn:
        return Receipt.of(turn, message_id)
    if await ports.transcripts.was_refused(session_id, message_id):
        return Receipt(session_id=session_id, message_id=message_id, status="refused")
    if is_awaited:
        return Receipt(session_id=session_id, message_id=message_id)
    await stored_session(ports, session_id)
    raise NotFound("message", message_id)


async def _is_awaited(ports: ApiPorts, session_id: SessionId, message_id: MessageId) -> bool:
    try:
        return await ports.taken(ports.sessions.awaits(session_id, message_id))
    except (SessionClosed, NotFound):
        # Ended, which Temporal forgets after a while.
        return False
