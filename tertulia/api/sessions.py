"""Sessions: start, read, list, move, stop, close."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from tertulia.api.access import Caller, OwnSession, Tenant, allow, must_serve
from tertulia.api.etags import UNCHANGED, IfNoneMatch, tagged
from tertulia.api.ids import new_id
from tertulia.api.inputs import (
    ChangeState,
    CloseSession,
    FindSessions,
    PageOfSessions,
    PersonInPath,
    SessionInPath,
    StartSession,
    chosen_id,
)
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.api.views import SessionDetail, SessionList, TurnCancelled
from tertulia.domain.access import Scope
from tertulia.domain.conversation import CANDIDATE, Close, Opened, OpenSession, SessionStatus, SessionView, TransitionTo
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import Forbidden, InvalidInput, NotFound, Refused, SessionClosed
from tertulia.domain.ids import DefinitionName, SessionId
from tertulia.domain.turns import SessionFilter, SessionRecord

router = APIRouter(prefix="/v1", tags=["sessions"], dependencies=[allow(Scope.CHAT)])


@router.post("/sessions", status_code=201, responses=documented("refused", "session_closed", body=True))
async def start_session(
    body: StartSession,
    ports: Ports,
    caller: Caller,
    response: Response,
    idempotency_key: Annotated[str | None, Header(description="The session's id, chosen by the client")] = None,
) -> Opened:
    """Start a session; the answer has the greeting.

    With an id of the client's choice the call can be repeated: it finds the session that the first one started.
    """
    chosen = chosen_id(body.session_id, idempotency_key)
    session_id = SessionId(chosen or new_id())
    definition = _on_offer(ports, DefinitionName(body.definition))
    opening = body.opening(caller.tenant, body.role or definition.role)
    must_serve(caller, opening.role)
    if chosen:
        await _must_be_free_or_the_same(ports, session_id, opening)
    opened = await ports.taken(ports.sessions.open(session_id, opening))
    if chosen:
        # Somebody else may have been faster.
        await _must_be_free_or_the_same(ports, session_id, opening)
    response.headers["Location"] = f"/v1/sessions/{session_id}"
    return opened


@router.get("/sessions", dependencies=[allow(Scope.OPERATE)], responses=documented())
async def list_sessions(query: Annotated[FindSessions, Query()], ports: Ports, tenant: Tenant) -> SessionList:
    """List sessions, newest first."""
    where = SessionFilter(tenant=tenant, **query.model_dump(exclude={"cursor", "limit"}))
    return SessionList.of(await ports.records.find(where, cursor=query.cursor, limit=query.limit))


@router.get("/users/{user_id}/sessions", tags=["users"], responses=documented())
async def list_sessions_of_user(
    user_id: PersonInPath, query: Annotated[PageOfSessions, Query()], ports: Ports, caller: Caller
) -> SessionList:
    """List the sessions of one person, newest first; empty for a person never seen.

    A recruiter's are listed for keys of the scope `operate`.
    """
    role = None if caller.scope.includes(Scope.OPERATE) else CANDIDATE
    where = SessionFilter(tenant=caller.tenant, user_id=user_id, role=role)
    return SessionList.of(await ports.records.find(where, cursor=query.cursor, limit=query.limit))


@router.get("/sessions/{session_id}", response_model=SessionDetail, responses={**UNCHANGED, **documented("not_found")})
async def read_session(
    session_id: SessionInPath,
    record: OwnSession,
    caller: Caller,
    ports: Ports,
    live: Annotated[bool, Query(description="Ask the running workflow as well")] = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read a session as stored after its last turn; `live` adds what its workflow says of itself."""
    view = await _live(ports, session_id) if live and record.status is SessionStatus.OPEN else None
    # What a backend gave the session along is not for the browser that talks in it.
    context = record.context if caller.session_id is None else {}
    return tagged(SessionDetail(**{**dict(record), "context": context}, live=view), if_none_match)


@router.put(
    "/sessions/{session_id}/state",
    dependencies=[allow(Scope.OPERATE)],
    responses=documented("not_found", "session_closed", "transition_refused", body=True),
)
async def change_state(session_id: SessionInPath, body: ChangeState, ports: Ports) -> SessionView:
    """Move a session by hand, along a transition of its definition."""
    to = TransitionTo(state=body.state, reason=body.reason)
    return await ports.after_the_turn(ports.sessions.transition(session_id, to))


@router.post("/sessions/{session_id}/cancel-turn", responses=documented("not_found", "session_closed"))
async def cancel_turn(session_id: SessionInPath, ports: Ports) -> TurnCancelled:
    """Stop the running turn, if one runs; the session stays open."""
    return TurnCancelled(cancelled=await ports.taken(ports.sessions.cancel_turn(session_id)))


@router.delete("/sessions/{session_id}", status_code=204, response_class=Response, responses=documented("not_found"))
async def close_session(
    session_id: SessionInPath, query: Annotated[CloseSession, Query()], caller: Caller, ports: Ports
) -> None:
    """Close a session. Its transcript stays; a session that has ended already stays as it is.

    With `erase` the session ends at once, and everything that was said in it is deleted; then there is no such session
    any more. Repeat the call where it was not answered. Applications and profiles that a chat has filled in are erased
    by themselves. To erase needs the scope `operate`.
    """
    if query.erase:
        if not caller.scope.includes(Scope.OPERATE):
            raise Forbidden(f"to erase needs a key of scope {Scope.OPERATE}; this one has {caller.scope}")
        await erased(ports, session_id)
        return
    try:
        await ports.after_the_turn(ports.sessions.close(session_id, Close(reason=query.reason)))
    except SessionClosed:
        return


async def erased(ports: ApiPorts, session_id: SessionId) -> None:
    """Forget a session with all that was said in it.

    Raises:
        NotFound: There is none.
    """
    ended = await ports.taken(ports.sessions.erase(session_id))
    if not await ports.records.erase(session_id) and not ended:
        raise NotFound("session", session_id)


async def stored_session(ports: ApiPorts, session_id: SessionId) -> SessionRecord:
    """Read a session.

    Raises:
        NotFound: There is none.
    """
    record = await ports.records.get(session_id)
    if record is None:
        raise NotFound("session", session_id)
    return record


async def _live(ports: ApiPorts, session_id: SessionId) -> SessionView | None:
    try:
        return await ports.taken(ports.sessions.view(session_id))
    except (NotFound, SessionClosed):
        return None


def _on_offer(ports: ApiPorts, name: DefinitionName) -> Definition:
    try:
        return ports.definitions.get(name)
    except NotFound as error:
        on_offer = ", ".join(sorted(ports.definitions.names()))
        raise InvalidInput(f"there is no such definition; on offer: {on_offer}", field="body.definition") from error


async def _must_be_free_or_the_same(ports: ApiPorts, session_id: SessionId, opening: OpenSession) -> None:
    """Refuse an id that another session has. Ids are of all tenants together: whose it is stays untold."""
    record = await ports.records.get(session_id)
    if record is not None and _whose(record) != _whose(opening):
        raise Refused("another session has this id already")


def _whose(session: SessionRecord | OpenSession) -> tuple[str, ...]:
    return session.tenant, session.user_id, session.role, session.definition
