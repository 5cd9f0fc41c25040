"""What a person writes on a messenger goes into the chat's session: each message once, in the platform's order.

A run lives as long as messages wait; the next one that comes starts another run.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.channel_intake import ArrivalRef, ChannelIntakeActivities, ChatToTakeIn
    from tertulia.domain.ids import CHANNEL_INTAKE_WORKFLOW
    from workflows import options


@workflow.defn(name=CHANNEL_INTAKE_WORKFLOW)
class ChannelIntake:
    """Hands over what waits in one chat."""

    def __init__(self) -> None:
        self._woken = False

    @workflow.run
    async def run(self, chat: ChatToTakeIn) -> None:
        while not workflow.info().is_continue_as_new_suggested():
            self._woken = False
            arrival = await workflow.execute_local_activity_method(
                ChannelIntakeActivities.next_arrival, chat, **options.STORAGE
            )
            if arrival is None:
                if self._woken:
                    continue
                return
            if arrival.wait_s:
                await workflow.sleep(timedelta(seconds=arrival.wait_s), summary="for what may belong before it")
                # What has come meanwhile may have to go first.
                continue
            ref = ArrivalRef(chat_id=chat.chat_id, message_id=arrival.message_id)
            if arrival.has_attachment:
                await self._fetch_file(ref)
            await workflow.execute_activity_method(ChannelIntakeActivities.hand_over, ref, **options.HAND_OVER)
        workflow.continue_as_new(chat)

    async def _fetch_file(self, ref: ArrivalRef) -> None:
        try:
            await workflow.execute_activity_method(ChannelIntakeActivities.fetch_file, ref, **options.FETCH_FILE)
        except ActivityError:
            await workflow.execute_local_activity_method(
                ChannelIntakeActivities.do_without_file, ref, **options.STORAGE
            )

    @workflow.signal
    def wake(self) -> None:
        """Something may wait."""
        self._woken = True
