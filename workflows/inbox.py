"""Messages that wait for their turn, and the memory of those that had it."""

from collections.abc import Sequence

from pydantic import AwareDatetime

from tertulia.domain.conversation import Attachment, Payload, Reply
from tertulia.domain.definitions.definition import DoubleText
from tertulia.domain.ids import MessageId

# A client that lost the answer asks again within a few messages; older ids are found in Postgres.
_REMEMBERED_IDS = 300
_REMEMBERED_REPLIES = 5
_REMEMBERED_CHARS = 64_000


class Arrival(Payload):
    """A message as it came in."""

    message_id: MessageId
    text: str
    arrived_at: AwareDatetime
    attachment: Attachment | None = None


class Ledger(Payload):
    """Ids of answered messages with their turns, oldest first, and the last replies."""

    turns: dict[MessageId, int] = {}
    replies: tuple[Reply, ...] = ()


class Inbox:
    """One queue for messages from signals and updates; no id is taken twice."""

    def __init__(self, waiting: Sequence[Arrival] = (), ledger: Ledger | None = None) -> None:
        ledger = ledger or Ledger()
        self._waiting = list(waiting)
        self._in_turn: tuple[Arrival, ...] = ()
        self._turns = dict(ledger.turns)
        self._replies = list(ledger.replies)

    @property
    def waiting(self) -> tuple[Arrival, ...]:
        return tuple(self._waiting)

    @property
    def without_outcome(self) -> tuple[Arrival, ...]:
        """Those in their turn, and those behind them that wait."""
        return (*self._in_turn, *self._waiting)

    @property
    def ledger(self) -> Ledger:
        return Ledger(turns=self._turns, replies=tuple(self._replies))

    @property
    def waiting_chars(self) -> int:
        return sum(len(arrival.text) for arrival in self._waiting)

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._in_turn)

    def is_in_turn(self, message_id: MessageId) -> bool:
        return any(arrival.message_id == message_id for arrival in self._in_turn)

    def knows(self, message_id: MessageId) -> bool:
        """Tell whether a message of this id is waiting, in its turn, or answered."""
        return self.is_answered(message_id) or self.awaits(message_id)

    def awaits(self, message_id: MessageId) -> bool:
        """Tell whether a message of this id is waiting, or in its turn."""
        return any(arrival.message_id == message_id for arrival in self.without_outcome)

    def is_answered(self, message_id: MessageId) -> bool:
        return message_id in self._turns

    def reply_to(self, message_id: MessageId) -> Reply | None:
        """Return the outcome of an answered message; None where it is not remembered in full."""
        turn = self._turns.get(message_id)
        for reply in self._replies:
            if reply.turn == turn:
                return reply.model_copy(update={"message_id": message_id})
        return None

    def add(self, arrival: Arrival) -> None:
        """Take a message, unless its id is known."""
        if not self.knows(arrival.message_id):
            self._waiting.append(arrival)

    def take(self, policy: DoubleText) -> tuple[Arrival, ...]:
        """Take the messages of the next turn: all that wait under `merge`, else the first."""
        count = len(self._waiting) if policy is DoubleText.MERGE else 1
        self._in_turn, self._waiting = tuple(self._waiting[:count]), self._waiting[count:]
        return self._in_turn

    def give_back(self) -> None:
        """Let those wait again, in front, whose turn has ended without an outcome for them."""
        self._in_turn, self._waiting = (), list(self.without_outcome)

    def clear(self) -> None:
        """Forget all that wait."""
        self._waiting = []

    def settle(self, message_ids: Sequence[MessageId], reply: Reply) -> None:
        """Remember the outcome of messages; the oldest ids and replies are forgotten."""
        if not message_ids:
            return
        self._in_turn = tuple(arrival for arrival in self._in_turn if arrival.message_id not in message_ids)
        for message_id in message_ids:
            self._turns[message_id] = reply.turn
        for forgotten in list(self._turns)[:-_REMEMBERED_IDS]:
            del self._turns[forgotten]
        kept = [*(known for known in self._replies if known.turn != reply.turn), reply][-_REMEMBERED_REPLIES:]
        while len(kept) > 1 and sum(len(known.text) for known in kept) > _REMEMBERED_CHARS:
            kept.pop(0)
        self._replies = kept
