"""Résumés: taken in for a person, or in a running chat."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from tertulia.api.access import OwnSession, allow
from tertulia.api.ids import new_id
from tertulia.api.inputs import SessionInPath, chosen_id
from tertulia.api.messages import SENT, sent
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.api.recruiting_ports import Recruiting, RecruitingPorts
from tertulia.domain.access import Scope
from tertulia.domain.conversation import Attachment, IncomingMessage, SessionStatus
from tertulia.domain.errors import SessionClosed
from tertulia.domain.ids import MessageId, TenantId
from tertulia.domain.recruiting import profiles
from tertulia.domain.slots import document_of_file
from tertulia.domain.turns import SessionRecord

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["messages"], dependencies=[allow(Scope.CHAT)])

FILE = {"schema": {"type": "string", "format": "binary"}}
FILE_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": FILE}}}


@router.put(
    "/resume",
    responses={
        **SENT,
        **documented("not_found", "session_closed", "turn_in_progress", "too_many_waiting", "body_too_large"),
    },
    openapi_extra=FILE_BODY,
)
async def send_resume(
    session_id: SessionInPath,
    request: Request,
    ports: Ports,
    recruiting: Recruiting,
    session: OwnSession,
    accept: Annotated[str, Header(description="`text/event-stream` for the turn as it happens")] = "",
    prefer: Annotated[str, Header(description="`respond-async` for a receipt at once, `wait=<seconds>`")] = "",
    idempotency_key: Annotated[str | None, Header(description="The message's id, chosen by the client")] = None,
) -> Response:
    """Send a résumé in a chat: the body is the file, a PDF, a Word file (.docx) or plain text of at most 5 MiB.

    It is stored for the chat's person, and is the answer to the question for a document, whenever that is asked. The
    chat itself gets what kind of file it is, and what was found in it for questions that are open yet.
    """
    message_id = MessageId(chosen_id(None, idempotency_key) or new_id())
    message = await handed_over(recruiting, session, await request.body(), message_id)
    return await sent(ports, session_id, message, accept, prefer)


async def handed_over(
    ports: RecruitingPorts, session: SessionRecord, content: bytes, message_id: MessageId
) -> IncomingMessage:
    """Store a résumé for a chat's person, and return the message with which the chat is told of it.

    Raises:
        SessionClosed: The chat has ended; nothing is stored.
        InvalidInput: It can't be read; nothing is stored.
    """
    if session.status is SessionStatus.CLOSED:
        raise SessionClosed("the session is closed; start another one")
    stored = (await ports.resumes.take(TenantId(session.tenant), session.user_id, content)).stored
    document = document_of_file(stored.media_type, stored.size_bytes)
    return IncomingMessage(
        text=f"[{document['excerpt']}]",
        message_id=message_id,
        attachment=Attachment(
            media_type=stored.media_type, size_bytes=stored.size_bytes, facts=profiles.facts_in(stored.found)
        ),
    )
