"""Sending what sessions say to messengers: one attempt at one message each."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pydantic import AwareDatetime
from temporalio import activity

from tertulia.domain import deliveries
from tertulia.domain.channels import ChannelName, Outgoing
from tertulia.domain.conversation import Payload
from tertulia.domain.deliveries import DeliveryKey, Manner, ToDeliver, ToSend
from tertulia.domain.errors import ChannelFailure, ChannelProblem, Unavailable
from tertulia.ports import Couriers, Messenger, Outbox


class SendDelivery(Payload):
    """Send a message.

    Attributes:
        at: The session's time.
    """

    key: DeliveryKey
    at: AwareDatetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ChannelDeliveryActivities:
    """Sends messages, each once as far as the platform lets us know."""

    def __init__(
        self,
        outbox: Outbox,
        couriers: Couriers,
        messengers: Mapping[ChannelName, Messenger],
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._outbox = outbox
        self._couriers = couriers
        self._messengers = messengers
        self._now = now

    @activity.defn
    async def wake_delivery(self, spoken: ToDeliver) -> None:
        """Let what a session has said be delivered. It has been stored, and its turn is in the session's history."""
        await self._couriers.wake_delivery(spoken)

    @activity.defn
    async def next_delivery(self, spoken: ToDeliver) -> DeliveryKey | None:
        """Plan what is new, and find the first message that may go; None where there is nothing to send."""
        chat = await self._outbox.chat(spoken.session_id)
        if chat is None or chat.channel not in self._messengers:
            return None
        limit = self._messengers[chat.channel].rules.text_limit
        for message in await self._outbox.unplanned(spoken.session_id, spoken.up_to_turn):
            await self._outbox.plan(spoken.session_id, deliveries.pieces(message, limit), spoken.at)
        return await self._outbox.next(spoken.session_id)

    @activity.defn
    async def send(self, order: SendDelivery) -> None:
        """Make one attempt, or write down why none may be made. What comes of it stands in the outbox.

        Raises:
            ChannelFailure: It has failed in a way that time may mend.
            Unavailable: The channel is not set up any more.
        """
        waiting = await self._outbox.to_send(order.key)
        if waiting is None or not waiting.delivery.is_on_its_way:
            return
        messenger = self._messengers.get(waiting.chat.channel)
        if messenger is None:
            raise Unavailable(waiting.chat.channel, "it is not set up")
        # Where time is skipped the session's is ahead; where the activity is retried ours is.
        at = max(order.at, self._now())
        if left := deliveries.still_unconfirmed(waiting.delivery, messenger.rules, self._now()):
            raise ChannelFailure(ChannelProblem.UNCONFIRMED, "its receipt is waited for", retry_after=left)
        how = deliveries.manner(
            messenger.rules,
            heard_at=waiting.chat.heard_at,
            at=at,
            unprompted=waiting.unprompted,
            late=waiting.delivery.late,
            withdrawn=waiting.withdrawn,
        )
        if how in {Manner.HOLD, Manner.SKIP}:
            await self._outbox.change(order.key, lambda before: deliveries.put_off(before, how))
        else:
            await self._attempt(messenger, waiting, by_template=how is Manner.BY_TEMPLATE)

    @activity.defn
    async def give_up(self, key: DeliveryKey) -> None:
        """Write down that a message was tried for too long."""
        await self._outbox.change(
            key,
            lambda before: deliveries.failed(
                before, ChannelProblem.GIVEN_UP, before.detail, self._now(), will_retry=False
            ),
        )

    async def _attempt(self, messenger: Messenger, waiting: ToSend, *, by_template: bool) -> None:
        key, now = waiting.delivery.key, self._now()
        await self._outbox.change(key, lambda before: deliveries.begun(before, now, by_template=by_template))
        message = Outgoing(
            delivery_id=str(key),
            address=waiting.chat.address,
            text=waiting.text,
            choices=waiting.choices,
            by_template=by_template,
        )
        try:
            platform_id = await messenger.send(message)
        except ChannelFailure as failure:
            await self._failed(key, failure)
        else:
            await self._outbox.change(key, lambda before: deliveries.accepted(before, platform_id, self._now()))

    async def _failed(self, key: DeliveryKey, failure: ChannelFailure) -> None:
        again = deliveries.is_worth_a_retry(failure)
        await self._outbox.change(
            key,
            lambda before: deliveries.failed(before, failure.problem, failure.detail, self._now(), will_retry=again),
        )
        if again:
            raise failure
        activity.logger.info("a message is not deliverable as it is: %s", failure.problem)
