"""One turn of a session, as it is collected while it happens."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from copy import copy, deepcopy
from datetime import datetime
from typing import Any, Self

from pydantic import JsonValue
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.provider_calls import ProviderAnswer
    from tertulia.domain.conversation import Intervention, Message, Owner, Reply, RunningTurn, TurnStatus
    from tertulia.domain.events import Ask
    from tertulia.domain.ids import MessageId
    from tertulia.domain.machine import MachineState
    from tertulia.domain.observations import TurnObserver
    from tertulia.domain.turns import SessionProjection, Withdrawal
    from workflows.fallback import Fallback
    from workflows.inbox import Arrival


class Turn:
    """What was said, who was asked, and how it ends.

    Attributes:
        arrivals: The person's messages that this turn answers; none for a greeting, a reminder or a close.
        stopped: How it was stopped from outside; None where it was not.
        ends: Why the session closes with this turn; None where it goes on.
        owner: Who has the session when it begins.
        intervention: What somebody in the loop does in it.
        observer: Notes what the figures need.
        said: What the bot says.
        spoken: What an operator says.
        withdraws: What does not count any more.
        answers: The turn whose messages are answered anew; None where it is this one.
        free: What a provider was asked for the last free reply of the turn; None where it has none.
        reply: The outcome that clients get, as soon as it is settled.
    """

    reply: Reply

    def __init__(
        self,
        number: int,
        started_at: datetime,
        before: MachineState,
        owner: Owner,
        arrivals: Sequence[Arrival],
        observer: TurnObserver,
    ) -> None:
        self.number = number
        self.started_at = started_at
        self.state_before = before.state
        self._slots_before = before.slots
        self.owner = owner
        self.arrivals = tuple(arrivals)
        self.observer = observer
        self.intervention: Intervention | None = None
        self.said: list[str] = []
        self.spoken: tuple[Message, ...] = ()
        self.withdraws: Withdrawal | None = None
        self.answers: int | None = None
        self.free: Ask | None = None
        self.fallback: Fallback | None = None
        self.stopped: TurnStatus | None = None
        self.ends: str | None = None
        self._call: asyncio.Task[ProviderAnswer | None] | None = None

    @property
    def status(self) -> TurnStatus:
        return self.reply.status

    @property
    def message_ids(self) -> tuple[MessageId, ...]:
        return tuple(arrival.message_id for arrival in self.arrivals)

    @property
    def is_silent(self) -> bool:
        """Whether the bot has no say in it, because a human has the session or is about to have it."""
        return self.owner is Owner.HUMAN or self.stopped is TurnStatus.HANDED_OVER

    @property
    def running(self) -> RunningTurn:
        asking = self.fallback.asking if self.fallback else None
        return RunningTurn(
            turn=self.number,
            provider=asking.provider if asking else None,
            waiting_until=self.fallback.waiting_until if self.fallback else None,
        )

    def news(self, slots: Mapping[str, JsonValue]) -> tuple[str, ...]:
        """Name the slots that have another value than before the turn, or none any more."""
        before = self._slots_before
        return tuple(name for name in {**before, **slots} if before.get(name) != slots.get(name))

    def settle(self, session: SessionProjection) -> None:
        """Fix the outcome. A turn has failed where the person is asked to try again."""
        needs_retry = session.next_action.kind == "retry"
        self.reply = Reply(
            turn=self.number,
            status=self.stopped or (TurnStatus.FAILED if needs_retry else TurnStatus.ANSWERED),
            text="" if self.is_silent else "\n\n".join(self.said),
            state=session.state,
            next_action=session.next_action,
            message_id=self.intervention.request_id if self.intervention else None,
            provider=self.fallback.provider if self.fallback else None,
            owner=session.owner,
        )

    def twin(self) -> Self:
        """Return one that stands where this one does; how it ends changes nothing here."""
        twin = copy(self)
        twin.observer = deepcopy(self.observer)
        return twin

    def abandon(self, reason: str) -> None:
        """End it where it stands, and the session with it."""
        self.stopped = self.stopped or TurnStatus.CANCELLED
        self.ends = reason

    def stop(self, status: TurnStatus) -> bool:
        """Stop the running provider call or the wait for one, and with it the turn; False where there is neither."""
        if self._call is None:
            return False
        if self.stopped is None or status is TurnStatus.HANDED_OVER:
            self.stopped = status
        return self._call.cancel()

    async def until_stopped(self, call: Coroutine[Any, Any, ProviderAnswer | None]) -> ProviderAnswer | None:
        """Wait for a provider's answer in a way that `stop` can end."""
        self._call = asyncio.create_task(call)
        try:
            return await self._call
        finally:
            self._call = None
