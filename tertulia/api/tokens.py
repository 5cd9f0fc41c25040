"""Session tokens: for a browser that talks in one session, and must not hold a key."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from tertulia.api.access import Caller, OwnSession, allow
from tertulia.api.inputs import SessionInPath
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.api.session_tokens import LIFETIME, Grant
from tertulia.api.views import View
from tertulia.domain.access import Scope
from tertulia.domain.ids import SessionId, TenantId

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["sessions"], dependencies=[allow(Scope.CHAT)])


class SessionToken(View):
    """A token.

    Attributes:
        token: Shown as `Authorization: Bearer`, or by an EventSource as `?access_token=`.
        expires_at: Until then it can be exchanged for a new one by the same call.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "session_id": "s-1", "expires_at": "2026-03-14T12:15:00Z"}
            ]
        }
    )

    token: str
    session_id: SessionId
    expires_at: datetime


@router.post("/token", responses=documented("not_found"))
async def create_session_token(
    session_id: SessionInPath, record: OwnSession, caller: Caller, ports: Ports, response: Response
) -> SessionToken:
    """Make a token that opens this session and nothing else, for a quarter of an hour.

    It may do what the scope `chat` may do with this session. Shown in time, it makes its successor. It ends with the
    key that it comes from.
    """
    now = ports.now()
    token = ports.doorkeeper.tokens.issue(Grant(TenantId(record.tenant), session_id, caller.key_id), now)
    response.headers["Cache-Control"] = "no-store"
    return SessionToken(token=token, session_id=session_id, expires_at=now + LIFETIME)
