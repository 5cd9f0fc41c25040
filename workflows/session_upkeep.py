"""The upkeep of sessions, run by the Schedule `session-upkeep`: those whose workflows were cut off are ended."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.session_upkeep import CutOff, SessionUpkeepActivities
    from tertulia.domain.conversation import Payload
    from workflows import options

# Each has a worker replay a whole session, beside those that people talk in.
_AT_ONCE = 5


class UpkeepOrder(Payload):
    """Input of the workflow `SessionUpkeep`.

    Attributes:
        settled_s: How long ago a workflow must have been cut off, seconds. An erasure, which cuts one off as well, is
            over by then.
    """

    settled_s: float = 30


class UpkeepReport(Payload):
    """How many of the sessions that were cut off are ended now, and how many are left to a later run."""

    ended: int
    left: int


@workflow.defn(name="SessionUpkeep")
class SessionUpkeep:
    """Ends sessions whose workflows were terminated, have timed out or have failed."""

    @workflow.run
    async def run(self, order: UpkeepOrder | None = None) -> UpkeepReport:
        order = order or UpkeepOrder()
        cut_off = await workflow.execute_activity_method(
            SessionUpkeepActivities.find_cut_off,
            workflow.now() - timedelta(seconds=order.settled_s),
            **options.UPKEEP,
        )
        places = asyncio.Semaphore(_AT_ONCE)
        ended = await asyncio.gather(*(self._end(each, places) for each in cut_off))
        report = UpkeepReport(ended=ended.count(True), left=ended.count(False))
        workflow.set_current_details(f"{report.ended} ended, {report.left} left")
        return report

    async def _end(self, cut_off: CutOff, places: asyncio.Semaphore) -> bool:
        async with places:
            try:
                return await workflow.execute_activity_method(
                    SessionUpkeepActivities.end_cut_off, cut_off, summary=cut_off.session_id, **options.UPKEEP
                )
            except ActivityError:
                workflow.logger.warning("session could not be ended", extra={"session": cut_off.session_id})
                return False
