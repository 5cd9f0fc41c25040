"""What is stored about a turn: its messages, the session as it stands after it, and the evidence of who was asked."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime

from tertulia.domain.conversation import (
    HandOverContext,
    Intervention,
    Message,
    NextAction,
    OpenSession,
    Owner,
    Payload,
    Reply,
    Role,
    SessionStatus,
    TurnStatus,
)
from tertulia.domain.errors import FailureClass
from tertulia.domain.figures import Progress, TurnFigures
from tertulia.domain.ids import DEFAULT_TENANT, DefinitionHash, MessageId, ProviderName, SessionId
from tertulia.domain.providers.completions import RateLimits, Usage
from tertulia.domain.providers.costs import CostSource


class PassedOver(Payload):
    """A provider that was not asked, and why."""

    provider: ProviderName
    reason: str


class Candidate(Payload):
    """A provider to ask, with what Temporal needs to know to retry it.

    Attributes:
        timeout_s: Longest time that one attempt may take, seconds.
        max_attempts: Attempts at this provider before the next one is asked, at least 1.
    """

    provider: ProviderName
    timeout_s: float
    max_attempts: int


class Ranking(Payload):
    """The order in which to ask, best first, and who was left out.

    Attributes:
        retry_at: Earliest time at which one of those left out may be asked; None where time alone changes nothing.
        patience_s: How long a turn may wait for a provider, counted from the turn's beginning, seconds.
    """

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...] = ()
    retry_at: AwareDatetime | None = None
    patience_s: float = 0


class WaitTurn(Payload):
    """Store that a turn waits for a provider, and until when."""

    session_id: SessionId
    turn: int
    resumes_at: AwareDatetime


class TurnWaits(Payload):
    """Tells those who follow a turn that it waits for a provider, and until when."""

    turn: int
    resumes_at: AwareDatetime


class Warm(Payload):
    """Who answered last, and may still have the prompt in a cache."""

    provider: ProviderName
    input_tokens: int
    at: AwareDatetime


class Wanted(Payload):
    """What a turn is expected to ask of a provider.

    Attributes:
        prefer: Whom the application prefers, by name, the first one most.
        only: Whom alone it allows; everybody where nobody is named.
    """

    input_tokens: int = 0
    warm: Warm | None = None
    prefer: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class RankTurn(Payload):
    """Order the providers anew for a turn that has asked all it could."""

    session_id: SessionId
    turn: int
    wanted: Wanted
    at: AwareDatetime


class BeginTurn(Payload):
    """Store what the person wrote. `messages` are this turn's; whatever stands from this turn on is replaced.

    Attributes:
        at: The workflow's time. It tells a worker that was frozen, and repeats what others have replaced, from them.
    """

    session_id: SessionId
    turn: int
    messages: tuple[Message, ...]
    wanted: Wanted = Wanted()
    at: AwareDatetime


class TurnBegun(Payload):
    """Answer to BeginTurn.

    Attributes:
        answered: First outcomes of messages that an earlier turn has already answered; these were not stored again.
    """

    ranking: Ranking
    answered: dict[MessageId, Reply] = {}


class ProviderTry(Payload):
    """One provider's part in a turn: what Temporal's retries at it came to.

    Attributes:
        failure: None where it answered.
        attempts: How often it was asked.
        wasted_usd: What its failed attempts can have cost, as far as that can be told.
    """

    provider: ProviderName
    failure: FailureClass | None = None
    detail: str = ""
    attempts: int = 1
    wasted_usd: Decimal = Decimal(0)


class Withdrawal(Payload):
    """Messages that do not count any more: those of a row of turns.

    Attributes:
        first: The first of the turns.
        last: The last of them.
        replies_only: What the person wrote in them still counts.
    """

    first: int
    last: int
    replies_only: bool = False

    def concerns(self, message: Message) -> bool:
        return self.first <= message.turn <= self.last and not (self.replies_only and message.role is Role.USER)


class EndTurn(Payload):
    """All that a turn changes, written in one transaction.

    Attributes:
        messages: What the person was shown in this turn (never what the person wrote).
        intervention: What somebody in the loop did in it.
        withdraws: What does not count any more.
        news: The slots that have another value than before the turn, or none any more.
        applies: Whether the session's person applies for a job in it.
    """

    session_id: SessionId
    turn: int
    status: TurnStatus
    messages: tuple[Message, ...]
    reply: Reply
    message_ids: tuple[MessageId, ...]
    state_before: str
    session: "SessionProjection"
    passed_over: tuple[PassedOver, ...] = ()
    tried: tuple[ProviderTry, ...] = ()
    started_at: AwareDatetime
    ended_at: AwareDatetime
    intervention: Intervention | None = None
    withdraws: Withdrawal | None = None
    news: tuple[str, ...] = ()
    applies: bool = False
    figures: TurnFigures = TurnFigures()


class SessionProjection(Payload):
    """The session as it stands after a turn, as lists and reads show it."""

    state: str
    status: SessionStatus
    owner: Owner
    turn: int
    slots: dict[str, Any]
    next_action: NextAction
    closed_reason: str | None = None
    hand_over: HandOverContext | None = None
    progress: Progress = Progress()


class NewSession(Payload):
    """What is stored when a session opens."""

    session_id: SessionId
    opening: OpenSession
    definition_hash: DefinitionHash
    opened_at: AwareDatetime


class AttemptKey(Payload):
    """Names one attempt at one provider, for ever, and says what it is for.

    Attributes:
        attempt_id: Unique for ever: in a turn `{workflow_run_id}/{activity_id}/{attempt}`, elsewhere a UUID.
        session_id: None outside of a session, and where the session has been erased.
        turn: 0 outside of a session.
        ask: Which question of the turn, from 1.
        attempt: Number of the attempt at this provider, from 1.
        is_retry: Whether another attempt has failed before it for the same answer, here or at another provider.
    """

    attempt_id: str = ""
    session_id: SessionId | None
    turn: int
    ask: int
    provider: ProviderName
    attempt: int
    is_retry: bool = False
    tenant: str = DEFAULT_TENANT


class AttemptOutcome(Payload):
    """How an attempt ended. `failure` is None where it answered.

    Attributes:
        cost_usd: What it cost; where `cost_at_most_usd` differs, what it cost at least. None where nothing is known.
        cost_at_most_usd: What it can have cost at most; None where that can't be told.
    """

    failure: FailureClass | None
    status: int | None = None
    detail: str = ""
    model: str = ""
    request_id: str | None = None
    ttft_ms: float | None = None
    latency_ms: float
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    cost_at_most_usd: Decimal | None = None
    cost_source: CostSource = "unknown"
    limits: RateLimits | None = None


# --- reads --------------------------------------------------------------------------------------------------------


class SessionRecord(Payload):
    """A session as stored.

    Attributes:
        hand_over: What a human has to know, as long as one has the session.
    """

    session_id: SessionId
    tenant: str
    user_id: str
    channel: str
    channel_user_id: str | None
    role: str
    definition: str
    definition_hash: DefinitionHash
    job_id: str | None
    context: dict[str, Any]
    state: str
    status: SessionStatus
    owner: Owner
    turn: int
    slots: dict[str, Any]
    next_action: NextAction | None
    closed_reason: str | None
    created_at: datetime
    updated_at: datetime
    hand_over: HandOverContext | None = None


class SessionFilter(Payload):
    """Which sessions to list; None matches all."""

    tenant: str | None = None
    user_id: str | None = None
    role: str | None = None
    state: str | None = None
    status: SessionStatus | None = None
    definition: str | None = None
    channel: str | None = None
    owner: Owner | None = None
    created_since: AwareDatetime | None = None


class Page(Payload):
    """A page of sessions, newest first; `next` is the cursor of the page behind it, None at the end."""

    sessions: tuple[SessionRecord, ...]
    next: str | None = None


class AttemptRecord(Payload):
    """An attempt as stored; `outcome` is None while it runs or where its worker died."""

    key: AttemptKey
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None


class TurnRecord(Payload):
    """A turn as stored, with its evidence.

    Attributes:
        resumes_at: Until when it waited for a provider the last time; None where it never did.
        intervention: What somebody in the loop did in it.
    """

    session_id: SessionId
    turn: int
    status: TurnStatus | Literal["running"]
    message_ids: tuple[MessageId, ...]
    reply: Reply | None
    state_before: str | None
    state_after: str | None
    passed_over: tuple[PassedOver, ...]
    tried: tuple[ProviderTry, ...]
    attempts: tuple[AttemptRecord, ...]
    started_at: datetime
    ended_at: datetime | None
    resumes_at: datetime | None = None
    intervention: Intervention | None = None


class Delta(Payload):
    """A piece of streamed text. A later attempt of the same turn supersedes an earlier one's pieces.

    Attributes:
        attempt: Rises with every attempt of the turn, over all providers; not dense.
        offset: Where the piece begins in the attempt's text, in characters.
    """

    turn: int
    attempt: int
    offset: int
    text: str


EndTurn.model_rebuild()
