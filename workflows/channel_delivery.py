"""What a session says is sent to its person's messenger: in order, whatever the platform's state.

It is a workflow of its own, so that a slow or dead platform holds up no turn. A run lives as long as there is something
to send; the next turn starts another run.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.channel_delivery import ChannelDeliveryActivities, SendDelivery
    from tertulia.domain.deliveries import DeliveryKey, ToDeliver
    from tertulia.domain.ids import CHANNEL_DELIVERY_WORKFLOW
    from workflows import options


@workflow.defn(name=CHANNEL_DELIVERY_WORKFLOW)
class ChannelDelivery:
    """Sends what one session has said."""

    @workflow.init
    def __init__(self, start: ToDeliver) -> None:
        self._spoken = start
        self._woken = False

    @workflow.run
    async def run(self, start: ToDeliver) -> None:  # noqa: ARG002 - `__init__` has it
        while not workflow.info().is_continue_as_new_suggested():
            self._woken = False
            key = await workflow.execute_local_activity_method(
                ChannelDeliveryActivities.next_delivery, self._spoken, **options.STORAGE
            )
            if key:
                await self._send(key)
            elif not self._woken:
                return
        workflow.continue_as_new(self._spoken)

    async def _send(self, key: DeliveryKey) -> None:
        try:
            await workflow.execute_activity_method(
                ChannelDeliveryActivities.send,
                SendDelivery(key=key, at=max(workflow.now(), self._spoken.at)),
                summary=f"message {key.seq} · part {key.part}",
                **options.SEND,
            )
        except ActivityError:
            await workflow.execute_local_activity_method(ChannelDeliveryActivities.give_up, key, **options.STORAGE)

    @workflow.signal
    def wake(self, spoken: ToDeliver) -> None:
        """The session has come to a turn's end, or something that was held may go."""
        self._woken = True
        self._spoken = spoken.model_copy(
            update={
                "up_to_turn": max(spoken.up_to_turn, self._spoken.up_to_turn),
                "at": max(spoken.at, self._spoken.at),
            }
        )
