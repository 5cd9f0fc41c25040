"""What Temporal knows of sessions whose workflows were cut off: implements `CutOffSessions`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    RPCError,
    RPCTimeoutOrCancelledError,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCStatusCode

from activities.session_upkeep import Cut, CutOff, Ending
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import SESSION_WORKFLOW, SessionId, session_id_of, workflow_id
from workflows.session import Session

_REASONS: Mapping[WorkflowExecutionStatus | None, str] = MappingProxyType(
    {
        WorkflowExecutionStatus.TERMINATED: "its workflow was terminated",
        WorkflowExecutionStatus.TIMED_OUT: "its workflow timed out",
        WorkflowExecutionStatus.FAILED: "its workflow failed",
    }
)
# What failed to open has no definition.
_QUERY = (
    f"WorkflowType = '{SESSION_WORKFLOW}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed')"
    " AND TertuliaDefinition IS NOT NULL AND CloseTime <= '{}'"
)
# A run that has done anything has done it by then.
_FIRST_EVENTS = 10
# Long enough for a worker to replay the longest history.
_REPLAY = timedelta(seconds=10)


class TemporalCutOffSessions:
    """Finds and asks workflows of sessions."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def cut_off(self, before: datetime) -> Mapping[SessionId, CutOff]:
        """Find those whose workflows were cut off before a time; of several under one id, the last one counts."""
        found = dict[SessionId, CutOff]()
        async for run in self._client.list_workflows(_QUERY.format(before.astimezone(UTC).isoformat())):
            at, session_id = run.close_time, session_id_of(run.id)
            if at is not None and (session_id not in found or found[session_id].cut.at < at):
                cut = Cut(reason=_REASONS[run.status], at=at)
                found[session_id] = CutOff(session_id=session_id, run_id=run.run_id, cut=cut)
        return found

    async def ending(self, cut_off: CutOff) -> Ending | None:
        """Have a worker replay the workflow and tell; None where it runs again, or is gone.

        Raises:
            Unavailable: No worker can, or Temporal can't be reached.
        """
        named = workflow_id(cut_off.session_id)
        try:
            # It runs again where somebody has reset it.
            if (await self._client.get_workflow_handle(named).describe()).status is WorkflowExecutionStatus.RUNNING:
                return None
            run_id = await self._last_heard(named, cut_off.run_id)
            run = self._client.get_workflow_handle_for(Session.run, named, run_id=run_id)
            return await run.query(Session.ending, cut_off.cut, rpc_timeout=_REPLAY)
        except (WorkflowQueryFailedError, RPCTimeoutOrCancelledError) as error:
            raise Unavailable("its workflow", "no worker can replay it") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise Unavailable("its workflow", error.status.name.lower()) from error

    async def _last_heard(self, named: str, run_id: str) -> str:
        """Name the run to ask: the one before, where a session was cut off between two of them."""
        handle, before = self._client.get_workflow_handle(named, run_id=run_id), ""
        async for event in handle.fetch_history_events(page_size=_FIRST_EVENTS):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return run_id
            before = before or event.workflow_execution_started_event_attributes.continued_execution_run_id
        return before or run_id
