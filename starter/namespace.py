"""What a Temporal namespace needs before a worker runs in it: search attributes, and the Schedules."""

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
from workflows.session_upkeep import SessionUpkeep

HEALTH_SCHEDULE = "provider-health"
UPKEEP_SCHEDULE = "session-upkeep"
# Who follows a session that was cut off waits for this long. A run that finds nothing costs a dozen events.
_UPKEEP_EVERY = timedelta(minutes=1)
# As on Temporal Cloud, where search attributes are the account's to register.
_NOT_OURS_TO_REGISTER = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)

log = structlog.get_logger(__name__)


async def prepare_namespace(client: Client, *, check_every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Register what is missing and bring the Schedules up to date. May be done again at every start."""
    try:
        await register_search_attributes(client)
    except RPCError as error:
        if error.status not in _NOT_OURS_TO_REGISTER:
            raise
        log.warning("search attributes can't be registered here; `tertulia doctor` names those missing")
    await schedule_health_check(client, every=check_every, task_queue=task_queue)
    await schedule_upkeep(client, task_queue=task_queue)


async def schedule_health_check(client: Client, *, every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Create the Schedule that probes the providers, or give an existing one the current interval."""
    check = ScheduleActionStartWorkflow(
        ProviderHealthCheck.run,
        id=HEALTH_SCHEDULE,
        task_queue=task_queue,
        execution_timeout=timedelta(minutes=2),
        static_summary="probes every provider at no cost",
    )
    await _schedule(client, HEALTH_SCHEDULE, check, every)


async def schedule_upkeep(client: Client, *, task_queue: str = TASK_QUEUE) -> None:
    """Create the Schedule that ends sessions whose workflows were cut off, or give an existing one the interval."""
    upkeep = ScheduleActionStartWorkflow(
        SessionUpkeep.run,
        id=UPKEEP_SCHEDULE,
        task_queue=task_queue,
        # Longer than its activities may take where storage goes away in the middle.
        execution_timeout=timedelta(hours=1),
        static_summary="ends sessions whose workflows were cut off",
    )
    await _schedule(client, UPKEEP_SCHEDULE, upkeep, _UPKEEP_EVERY)


async def _schedule(client: Client, name: str, action: ScheduleActionStartWorkflow, every: timedelta) -> None:
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
    try:
        await client.create_schedule(name, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(name).update(lambda now: _with_spec(now, schedule.spec))


def _with_spec(now: ScheduleUpdateInput, spec: ScheduleSpec) -> ScheduleUpdate | None:
    current = now.description.schedule
    if current.spec.intervals == spec.intervals:
        return None
    current.spec = spec
    return ScheduleUpdate(schedule=current)
