"""The end of a session's transcript, as its workflow holds it: numbering, and the last messages within bounds."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tertulia.domain.conversation import Message, Role
    from tertulia.domain.turns import Withdrawal
    from workflows.inbox import Arrival

MESSAGES = 20
_CHARACTERS = 16_000


class TranscriptTail:
    """Numbers messages without gaps and keeps the last ones; the whole transcript is in Postgres."""

    def __init__(self, seq: int = 0, window: Sequence[Message] = ()) -> None:
        self.seq = seq
        self.window = tuple(window)

    def written(self, turn: int, arrivals: Sequence[Arrival]) -> tuple[Message, ...]:
        """Number what the person wrote."""
        return tuple(
            Message(
                seq=seq,
                turn=turn,
                role=Role.USER,
                text=arrival.text,
                created_at=arrival.arrived_at,
                message_id=arrival.message_id,
            )
            for seq, arrival in enumerate(arrivals, start=self.seq + 1)
        )

    def shown(self, turn: int, text: str) -> tuple[Message, ...]:
        """Number what the person is shown; nothing where there is no text."""
        if not text:
            return ()
        return (Message(seq=self.seq + 1, turn=turn, role=Role.ASSISTANT, text=text, created_at=workflow.now()),)

    def spoken(self, turn: int, text: str) -> tuple[Message, ...]:
        """Number what an operator says."""
        return (Message(seq=self.seq + 1, turn=turn, role=Role.OPERATOR, text=text, created_at=workflow.now()),)

    def withdraw(self, withdrawal: Withdrawal, turn: int) -> None:
        """Let messages not count any more."""
        self.window = tuple(
            message.model_copy(update={"withdrawn_in": turn})
            if message.withdrawn_in is None and withdrawal.concerns(message)
            else message
            for message in self.window
        )

    def add(self, messages: Sequence[Message]) -> None:
        """Count messages as part of the transcript."""
        self.seq += len(messages)
        kept = [*self.window, *messages][-MESSAGES:]
        while len(kept) > 1 and sum(len(message.text) for message in kept) > _CHARACTERS:
            kept.pop(0)
        self.window = tuple(kept)
