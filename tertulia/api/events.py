"""The events of a whole session, for readers who come and go."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.responses import Response

from tertulia.api import event_stream
from tertulia.api.access import allow
from tertulia.api.inputs import Given, SessionInPath
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.domain.access import Scope
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import SessionId
from tertulia.domain.session_events import BEGINNING, EventId

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["messages"], dependencies=[allow(Scope.CHAT)])

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The session's events, until it ends",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": event_stream.EXAMPLE}},
    },
    204: {"description": "The session has ended, and all has been told"},
}


class Follow(Given):
    """Where a reader begins who has no `Last-Event-ID`.

    Attributes:
        after: Behind the event of this id.
        begin: `beginning`, or `now`: before the turn that runs, where one does.
    """

    after: str | None = Field(None, max_length=64, description="The id of the last event that the reader has had")
    begin: Literal["beginning", "now"] = Field("beginning", alias="from")


@router.get("/events", response_class=Response, responses={**_STREAMED, **documented("not_found")}, response_model=None)
async def follow_session(
    session_id: SessionInPath,
    query: Annotated[Follow, Query()],
    ports: Ports,
    last_event_id: Annotated[
        str | None, Header(max_length=64, description="The id of the last event that the reader has had")
    ] = None,
) -> Response:
    """Follow a session: every turn, every message, and the text of answers while it is written.

    A reader that is cut off connects again with `Last-Event-ID`, to this process or another, and goes on exactly
    there. Without it, it begins at the beginning, or with what is going on now.
    """
    after = await ports.events.resume(session_id, await _place(ports, session_id, query, last_event_id))
    return Response(status_code=204) if after is None else event_stream.of_session(ports, session_id, after)


async def _place(ports: ApiPorts, session_id: SessionId, query: Follow, last_event_id: str | None) -> EventId:
    # A browser that connects again repeats its address, so what it says in the header is newer.
    text = last_event_id or query.after
    if text:
        try:
            return EventId.parse(text)
        except InvalidInput as error:
            field = "header.last-event-id" if last_event_id else "query.after"
            raise InvalidInput(error.problem, field=field) from None
    return await ports.events.now(session_id) if query.begin == "now" else BEGINNING
