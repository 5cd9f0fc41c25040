"""What a Temporal namespace needs before a worker runs in it: search attributes and the Schedule of the health check."""

from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
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

from tertulia.domain.ids import SEARCH_ATTRIBUTES, TASK_QUEUE
from workflows.provider_health import ProviderHealthCheck

HEALTH_SCHEDULE = "provider-health"


async def prepare_namespace(client: Client, *, check_every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Register what is missing and bring the Schedule up to date. May be done again at every start."""
    await register_search_attributes(client)
    await schedule_health_check(client, every=check_every, task_queue=task_queue)


async def register_search_attributes(client: Client) -> None:
    """Register the search attributes that this namespace does not have yet."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = set(SEARCH_ATTRIBUTES) - set(known.custom_attributes)
    if not missing:
        return
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict.fromkeys(missing, keyword))
        )
    except RPCError as error:
        # Another process has registered them meanwhile.
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


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
