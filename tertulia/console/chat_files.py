"""A file that a candidate hands over in the chat: `POST /chat/resume`, with the ticket of the chat."""

from nicegui import app
from starlette.requests import Request
from starlette.responses import JSONResponse

from tertulia.api.ids import new_id
from tertulia.api.resumes import handed_over
from tertulia.console.ports import pages
from tertulia.domain.errors import InvalidInput, Refused, TertuliaError
from tertulia.domain.ids import MessageId
from tertulia.domain.turns import SessionRecord


def add() -> None:
    """Add the route to the application."""
    app.post("/chat/resume", include_in_schema=False)(_take)


async def _take(request: Request) -> JSONResponse:
    """Store a résumé for the person of a chat, and tell the chat of it; the page learns of that by its session."""
    try:
        record = await _record(request.headers.get("x-ticket", ""))
        if record is None:
            return JSONResponse({"problem": "This chat is gone. Please load the page again."}, status_code=404)
        pages().count(request.client.host if request.client else "")
        api = pages().api
        message = await handed_over(api.recruiting, record, await request.body(), MessageId(new_id()))
        await api.taken(api.sessions.submit(record.session_id, message))
    except InvalidInput as error:
        return JSONResponse({"problem": f"This file can't be used: it {error.problem}."}, status_code=422)
    except Refused as error:
        return JSONResponse({"problem": f"That is not possible just now: {error}."}, status_code=409)
    except TertuliaError:
        return JSONResponse({"problem": "The file can't be taken just now; try again in a moment."}, status_code=503)
    return JSONResponse({})


async def _record(ticket: str) -> SessionRecord | None:
    session_id = await pages().tickets.admit(ticket)
    return await pages().api.records.get(session_id) if session_id else None
