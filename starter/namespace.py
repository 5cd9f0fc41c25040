"""What a Temporal namespace needs before a worker runs in it: search attributes, and the health check's Schedule."""

from datetime import timedelta

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from tertulia.domain.ids import TASK_QUEUE
from tertulia.temporal import register_search_attributes
from workflows.provider_health import ProviderHealthCheck

HEALTH_SCHEDULE = "provider-health"
# As on Temporal Cloud, where search attributes are the account's to register.
_NOT_OURS_TO_REGISTER = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)

log = structlog.get_logger(__name__)


async def prepare_namespace(client: Client, *, check_every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Register what is missing and bring the Schedule up to date. May be done again at every start."""
    try:
        await register_search_attributes(client)
    except RPCError as error:
        if error.status not in _NOT_OURS_TO_REGISTER:
            raise
        log.warning("search attributes can't be registered here; `tertulia doctor` names those missing")
    await schedule_health_check(client, every=check_every, task_queue=task_queue)


async def schedule_health_check(client: Client, *, every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Create the Schedule, or give an existing one the current interval."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ProviderHealthCheck.run,
            id="provider-health",
            task_queue=task_queue,
            execution_timeout=timedelta(minutes=2),
            static_summary="probes every provider at no cost",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
    try:
        await client.create_schedule(HEALTH_SCHEDULE, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(HEALTH_SCHEDULE).update(lambda now: _with_spec(now, schedule.spec))


def _with_spec(now: ScheduleUpdateInput, spec: ScheduleSpec) -> ScheduleUpdate | None:
    current = now.description.schedule
    if current.spec.intervals == spec.intervals:
        return None
    current.spec = spec
    return ScheduleUpdate(schedule=current)
