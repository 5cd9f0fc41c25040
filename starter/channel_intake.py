"""Takes in what webhooks bring: implements `ports.Intake` over Postgres and Temporal."""

from collections.abc import Mapping

from tertulia.domain import deliveries
from tertulia.domain.channels import ChannelName, Incoming, Purpose, Receipt
from tertulia.domain.deliveries import ToDeliver
from tertulia.ports import ChannelInbox, Couriers, Outbox, Webhook


class DurableIntake:
    """Stores, then wakes whoever carries on. Both are repeated when the platform delivers again.

    Args:
        purposes: What each channel's chats are for.
    """

    def __init__(
        self, inbox: ChannelInbox, outbox: Outbox, couriers: Couriers, purposes: Mapping[ChannelName, Purpose]
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._couriers = couriers
        self._purposes = purposes

    async def take(self, webhook: Webhook, incoming: Incoming) -> None:
        channel = webhook.channel
        if incoming.messages:
            purpose = self._purposes[channel]
            for chat_id in await self._inbox.take(channel, purpose, webhook.key, incoming.messages):
                await self._couriers.wake_intake(chat_id)
        for receipt in incoming.receipts:
            await self._note(receipt)

    async def _note(self, receipt: Receipt) -> None:
        key = await self._outbox.key_of(receipt)
        if key is None:
            return
        after = await self._outbox.change(key, lambda before: deliveries.told(before, receipt))
        if after and after.is_on_its_way:
            # Refused by the platform because the window has closed: it goes in another manner, or waits.
            await self._couriers.wake_delivery(ToDeliver(session_id=key.session_id, up_to_turn=0, at=receipt.at))
