"""What people in the loop have asked of the session, first come, first served, and the memory of what was done."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tertulia.domain.conversation import HandOverToHuman, Order, Reply
from tertulia.domain.errors import TertuliaError
from tertulia.domain.ids import MessageId

# A client that lost the answer asks again soon; what was done longer ago is found in Postgres.
_REMEMBERED = 50
_REMEMBERED_CHARS = 32_000


@dataclass
class Placed:
    """An order that waits until no turn runs, or has been dealt with.

    Attributes:
        reply: The outcome, once it was carried out.
        refusal: Why it was not.
        by_signal: Whether nobody waits for the outcome.
    """

    request_id: MessageId
    order: Order
    by_signal: bool = False
    reply: Reply | None = None
    refusal: TertuliaError | None = None

    @property
    def is_done(self) -> bool:
        return self.reply is not None or self.refusal is not None


class Orders:
    """One queue for orders from signals and updates; no id is carried out twice.

    Args:
        done: The outcomes of the last orders, oldest first, each with its order's id for its message's.
    """

    def __init__(self, done: Sequence[Reply] = ()) -> None:
        self._done = list(done)
        self._waiting: deque[Placed] = deque()
        self._current: Placed | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def done(self) -> tuple[Reply, ...]:
        return tuple(self._done)

    @property
    def want_human(self) -> bool:
        """Whether somebody waits to take over."""
        return any(isinstance(placed.order, HandOverToHuman) for placed in self._waiting)

    def knows(self, request_id: MessageId) -> bool:
        """Tell whether an order of this id waits, or was carried out."""
        return self._find(request_id) is not None

    def place(self, request_id: MessageId, order: Order, *, by_signal: bool = False) -> Placed:
        """Take an order; where its id is known, return the one that had it first."""
        known = self._find(request_id)
        if known is not None:
            return known
        placed = Placed(request_id, order, by_signal)
        self._waiting.append(placed)
        return placed

    def take(self) -> Placed:
        """Take the next one, to carry it out."""
        self._current = self._waiting.popleft()
        return self._current

    def settle(self, placed: Placed) -> None:
        """Remember what became of an order. One that was refused may be tried again."""
        self._current = None
        if placed.reply is None:
            return
        self._done = [*self._done, placed.reply][-_REMEMBERED:]
        while len(self._done) > 1 and sum(len(reply.text) for reply in self._done) > _REMEMBERED_CHARS:
            self._done.pop(0)

    def _find(self, request_id: MessageId) -> Placed | None:
        pending = [*self._waiting, *([self._current] if self._current else [])]
        for placed in pending:
            if placed.request_id == request_id:
                return placed
        for reply in self._done:
            if reply.message_id == request_id:
                return Placed(request_id, Order(), reply=reply)
        return None
