"""What a session is started with, and what it carries from one run of its workflow to the next."""

from typing import Any, Self

from pydantic import AwareDatetime, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from tertulia.domain.conversation import HandOverContext, Message, OpenSession, Owner, Payload, RefusedSignal, Reply
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import InvalidInput
from tertulia.domain.figures import Progress
from tertulia.domain.ids import MAX_TURNS_PER_RUN, TURNS_PER_RUN
from tertulia.domain.machine import MachineState
from tertulia.domain.turns import Warm
from workflows.earlier import Earlier, FreeReply
from workflows.inbox import Arrival, Ledger


class Carried(Payload):
    """The whole session between two runs.

    Attributes:
        turn: The last turn that has begun.
        seq: The last message's number.
        window: The last messages, oldest first.
        reminded: Whether the reminder has been said since the person was last heard.
        hand_over: What a human has to know, as long as one has the session.
        orders_done: The outcomes of the last orders, oldest first.
        earlier: The states before the last turns of the person, oldest first.
        free_reply: The last reply, if a provider wrote it freely.
    """

    definition: Definition
    machine: MachineState
    owner: Owner
    turn: int
    seq: int
    window: tuple[Message, ...]
    waiting: tuple[Arrival, ...]
    ledger: Ledger
    refused_signals: tuple[RefusedSignal, ...]
    last_activity_at: AwareDatetime
    reminded: bool
    latest: AwareDatetime | None = None
    warm: Warm | None = None
    progress: Progress = Progress()
    hand_over: HandOverContext | None = None
    orders_done: tuple[Reply, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    free_reply: FreeReply | None = None


class SessionInput(OpenSession):
    """Input of the workflow `Session`. Clients give what OpenSession has; `carried` is the workflow's own.

    Attributes:
        turns_per_run: Turns before the workflow continues as new.
    """

    turns_per_run: int = Field(default=TURNS_PER_RUN, ge=1, le=MAX_TURNS_PER_RUN)
    carried: Carried | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _fail_the_workflow(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # A ValidationError would be retried for ever as a failing workflow task; an error of ours fails the start.
        try:
            return handler(value)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
            raise InvalidInput("; ".join(problems), field="SessionInput") from error


class SessionResult(Payload):
    """How a session ended."""

    state: str
    turns: int
