"""Wakes the workflows that carry messages between messengers and sessions: implements `ports.Couriers`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client, RPCError

from activities.channel_intake import ChatToTakeIn
from tertulia.domain.channels import ChatId
from tertulia.domain.deliveries import ToDeliver
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import TASK_QUEUE
from workflows.channel_delivery import ChannelDelivery
from workflows.channel_intake import ChannelIntake


class TemporalCouriers:
    """Signals a workflow, and starts it where none runs. A signal that comes as one ends makes it go on.

    Args:
        task_queue: Where the workers listen.
    """

    def __init__(self, client: Client, *, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def wake_intake(self, chat_id: ChatId) -> None:
        async with _translated():
            await self._client.start_workflow(
                ChannelIntake.run,
                ChatToTakeIn(chat_id=chat_id),
                id=f"intake/{chat_id}",
                task_queue=self._task_queue,
                start_signal="wake",
                static_summary="what a person writes on a messenger",
            )

    async def wake_delivery(self, spoken: ToDeliver) -> None:
        async with _translated():
            await self._client.start_workflow(
                ChannelDelivery.run,
                spoken,
                id=f"delivery/{spoken.session_id}",
                task_queue=self._task_queue,
                start_signal="wake",
                start_signal_args=[spoken],
                static_summary="what a session says on a messenger",
            )


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except RPCError as error:
        raise Unavailable("Temporal", error.status.name.lower()) from error
