"""Ending the sessions whose workflows were cut off before they could do it themselves."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import AwareDatetime
from temporalio import activity

from activities.channel_delivery import ChannelDeliveryActivities
from activities.channel_intake import ChannelIntakeActivities, LeftBehind
from activities.turns import RefusedMessages, TurnActivities
from tertulia.domain.channels import is_sent_to
from tertulia.domain.conversation import Payload
from tertulia.domain.deliveries import ToDeliver
from tertulia.domain.errors import NotFound, Unavailable
from tertulia.domain.ids import SessionId
from tertulia.domain.turns import EndTurn

# More than are ever cut off in a minute, unless somebody ends everything; then the next runs go on.
_MOST_AT_A_TIME = 200


class Cut(Payload):
    """How a workflow was cut off: why its session closes, and since when it is closed."""

    reason: str
    at: AwareDatetime


class CutOff(Payload):
    """A session whose workflow was cut off, by reference: nothing of what was said goes through the upkeep's history.

    Attributes:
        run_id: The run that was cut off.
    """

    session_id: SessionId
    run_id: str
    cut: Cut


class Ending(Payload):
    """What a session that was cut off would have stored at its end.

    Attributes:
        turn: Its last turn.
        left: The messages that it had taken, and that get no turn any more.
    """

    turn: EndTurn
    left: LeftBehind
    channel: str


class CutOffSessions(Protocol):
    """What Temporal knows of sessions whose workflows were cut off. Implemented by `starter/cut_off_sessions.py`."""

    async def cut_off(self, before: datetime) -> Mapping[SessionId, CutOff]:
        """Find those whose workflows were cut off before a time, whatever has become of them since."""
        ...

    async def ending(self, cut_off: CutOff) -> Ending | None:
        """Ask the workflow that was cut off; None where there is nothing to end.

        Raises:
            Unavailable: It does not answer.
        """
        ...


class StoredSessions(Protocol):
    """Which sessions are stored as open. Implemented by `PostgresSessionRecords`."""

    async def open_among(self, session_ids: Collection[SessionId], limit: int) -> Sequence[SessionId]: ...


class SessionUpkeepActivities:
    """Does what a session does at its end, for those that can't. Each step can be done again."""

    def __init__(
        self,
        sessions: CutOffSessions,
        stored: StoredSessions,
        turns: TurnActivities,
        intake: ChannelIntakeActivities,
        delivery: ChannelDeliveryActivities,
    ) -> None:
        self._sessions = sessions
        self._stored = stored
        self._turns = turns
        self._intake = intake
        self._delivery = delivery

    @activity.defn
    async def find_cut_off(self, before: AwareDatetime) -> list[CutOff]:
        """Find sessions that are stored as open, and whose workflows were cut off before a time.

        Those that can't be ended hold up no others: of too many, chance takes some.
        """
        cut_off = await self._sessions.cut_off(before)
        return [cut_off[session_id] for session_id in await self._stored.open_among(cut_off, _MOST_AT_A_TIME)]

    @activity.defn
    async def end_cut_off(self, cut_off: CutOff) -> bool:
        """End a session; False where it is left as it is."""
        session_id = cut_off.session_id
        try:
            ending = await self._sessions.ending(cut_off)
        except Unavailable as error:
            activity.logger.warning(
                "a session that was cut off can't be ended: %s", error, extra={"session": session_id}
            )
            return False
        if ending is None:
            return False
        left = ending.left.messages
        # Ahead of the end, after which no later run looks for the session.
        if left:
            refused = RefusedMessages(session_id=session_id, message_ids=tuple(message.message_id for message in left))
            await self._turns.refuse_messages(refused)
        try:
            await self._turns.end_turn(ending.turn)
        except NotFound:
            activity.logger.info("a session that was cut off has been erased")
            return False
        if is_sent_to(ending.channel):
            await self._go_on_in_chat(ending)
        return True

    async def _go_on_in_chat(self, ending: Ending) -> None:
        """Let go out what the session has said, and let what it has left go to the chat's next one."""
        turn = ending.turn
        spoken = ToDeliver(session_id=turn.session_id, up_to_turn=turn.turn, at=turn.ended_at)
        await self._delivery.wake_delivery(spoken)
        if ending.left.messages:
            await self._intake.put_back(ending.left)
