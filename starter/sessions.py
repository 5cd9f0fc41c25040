"""The typed client of sessions: implements `ports.Sessions` over Temporal."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import uuid4

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import (
    Client,
    RPCError,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from activities.errors import from_application_error
from tertulia.domain.conversation import (
    Close,
    IncomingMessage,
    Opened,
    OpenSession,
    Order,
    Reply,
    SessionView,
    TransitionTo,
)
from tertulia.domain.errors import NotFound, SessionClosed, SessionMoved, TertuliaError, Unavailable
from tertulia.domain.ids import TASK_QUEUE, TURNS_PER_RUN, MessageId, SessionId, workflow_id
from workflows.carried import SessionInput, SessionResult
from workflows.session import Session

# What the server answers for an update whose workflow was terminated, or failed, before the update had ended.
_CUT_OFF = "AcceptedUpdateCompletedWorkflow"

# Where a server does not let us delete what has ended.
_MAY_NOT_DELETE = frozenset({RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED})
# Between two questions to a session that is about to go on in a new run, from the third on.
_MOVING_S, _MOVING_AT_MOST_S = 0.05, 1.0
log = structlog.get_logger(__name__)


@contextmanager
def _if_there() -> Iterator[None]:
    """Pass over what is not there, or not there any more."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


class TemporalSessions:
    """Talks to session workflows.

    Args:
        task_queue: Where the workers listen.
        turns_per_run: Turns after which a session continues as a new run of its workflow.
    """

    def __init__(self, client: Client, *, task_queue: str = TASK_QUEUE, turns_per_run: int = TURNS_PER_RUN) -> None:
        self._client = client
        self._task_queue = task_queue
        self._turns_per_run = turns_per_run

    async def open(self, session_id: SessionId, opening: OpenSession) -> Opened:
        start = WithStartWorkflowOperation(
            Session.run,
            SessionInput(**opening.model_dump(), turns_per_run=self._turns_per_run),
            id=workflow_id(session_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"{opening.definition} · {opening.channel}",
        )
        async with self._translated(session_id):
            return await self._client.execute_update_with_start_workflow(Session.open, start_workflow_operation=start)

    async def send(self, session_id: SessionId, message: IncomingMessage) -> Reply:
        # One id for all runs: a message without an id of its own is known by its update's.
        update_id = message.message_id or uuid4().hex
        pause = 0.0
        while True:
            try:
                async with self._translated(session_id):
                    return await self._handle(session_id).execute_update(Session.send, message, id=update_id)
            except SessionMoved:
                # The session goes on in a new run, and has taken this message along. Until that has begun, the old one
                # gives the same answer again.
                await asyncio.sleep(pause)
                pause = min(2 * pause or _MOVING_S, _MOVING_AT_MOST_S)

    async def submit(self, session_id: SessionId, message: IncomingMessage) -> MessageId:
        update_id = message.message_id or uuid4().hex
        # A session that goes on in a new run has taken the message along.
        with suppress(SessionMoved):
            async with self._translated(session_id):
                update = await self._handle(session_id).start_update(
                    Session.send, message, id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
                )
                # A refusal comes as an outcome that is known at once; only to who asks for the result it is raised.
                if update._known_outcome:  # noqa: SLF001 - nothing else tells without waiting
                    await update.result()
        return MessageId(update_id)

    async def view(self, session_id: SessionId) -> SessionView:
        async with self._translated(session_id):
            return await self._handle(session_id).query(Session.state)

    async def awaits(self, session_id: SessionId, message_id: MessageId) -> bool:
        async with self._translated(session_id):
            return await self._handle(session_id).query(Session.awaits, message_id)

    async def cancel_turn(self, session_id: SessionId) -> bool:
        async with self._translated(session_id):
            return await self._handle(session_id).execute_update(Session.cancel_turn)

    async def transition(self, session_id: SessionId, to: TransitionTo) -> SessionView:
        async with self._translated(session_id):
            return await self._handle(session_id).execute_update(Session.transition, to)

    async def order(self, session_id: SessionId, order: Order) -> Reply:
        async with self._translated(session_id):
            reply: Reply = await self._handle(session_id).execute_update(str(order.action), order, result_type=Reply)
        return reply

    async def close(self, session_id: SessionId, close: Close) -> None:
        async with self._translated(session_id):
            await self._handle(session_id).execute_update(Session.close, close)

    async def erase(self, session_id: SessionId) -> bool:
        async with self._translated(session_id):
            await self._terminate(session_id)
            runs = await self._runs(session_id)
            # The newest run leads to the others, so it goes last: what was cut off can be done again.
            for run in reversed(runs):
                await self._delete(session_id, run)
        return bool(runs)

    async def _runs(self, session_id: SessionId) -> Sequence[str]:
        """Name all runs that the server still has, the newest first."""
        runs = list[str]()
        with _if_there():
            run: str | None = (await self._handle(session_id).describe()).run_id
            while run:
                runs.append(run)
                run = await self._run_before(session_id, run)
        return runs

    async def _run_before(self, session_id: SessionId, run: str) -> str | None:
        handle = self._client.get_workflow_handle(workflow_id(session_id), run_id=run)
        async for event in handle.fetch_history_events(page_size=1):
            return event.workflow_execution_started_event_attributes.continued_execution_run_id or None
        return None

    async def _terminate(self, session_id: SessionId) -> None:
        with _if_there():
            await self._handle(session_id).terminate(reason="erased")

    async def _delete(self, session_id: SessionId, run: str) -> None:
        execution = WorkflowExecution(workflow_id=workflow_id(session_id), run_id=run)
        request = DeleteWorkflowExecutionRequest(namespace=self._client.namespace, workflow_execution=execution)
        try:
            with _if_there():
                await self._client.workflow_service.delete_workflow_execution(request)
        except RPCError as error:
            if error.status not in _MAY_NOT_DELETE:
                raise
            log.warning("history kept for the namespace's retention", session_id=session_id, status=error.status.name)

    def _handle(self, session_id: SessionId) -> WorkflowHandle[Session, SessionResult]:
        return self._client.get_workflow_handle_for(Session.run, workflow_id(session_id))

    @asynccontextmanager
    async def _translated(self, session_id: SessionId) -> AsyncIterator[None]:
        """Turn what Temporal raises into the product's own errors."""
        try:
            yield
        except WorkflowUpdateFailedError as error:
            raise await self._meaning(session_id, error.cause) from error
        except WorkflowQueryFailedError as error:
            # What a query raises loses its type on the way; it raises only where the session has not opened.
            raise await self._gone(session_id) from error
        except WorkflowAlreadyStartedError as error:
            raise SessionClosed("the session is closed; start another one") from error
        except (RPCTimeoutOrCancelledError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise Unavailable("Temporal", "no answer in time") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise await self._gone(session_id) from error
            raise Unavailable("Temporal", error.status.name.lower()) from error

    async def _meaning(self, session_id: SessionId, cause: BaseException | None) -> TertuliaError:
        if not isinstance(cause, ApplicationError):
            return Unavailable("the session", "it could not do this")
        if cause.type == _CUT_OFF:
            return await self._gone(session_id)
        return from_application_error(cause) or Unavailable("the session", "it could not do this")

    async def _gone(self, session_id: SessionId) -> TertuliaError:
        try:
            description = await self._handle(session_id).describe()
        except RPCError:
            return NotFound("session", session_id)
        if description.status is WorkflowExecutionStatus.RUNNING:
            return Unavailable("the session", "it is still opening")
        return SessionClosed("the session is closed; start another one")
