"""What is stored about a turn: its messages, the session as it stands after it, and the evidence of who was asked."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime

from tertulia.domain.completions import Usage
from tertulia.domain.conversation import (
    Message,
    NextAction,
    OpenSession,
    Owner,
    Payload,
    Reply,
    SessionStatus,
    TurnStatus,
)
from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import DefinitionHash, MessageId, ProviderName, SessionId


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
    """The order in which to ask, best first, and who was left out."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...] = ()


class BeginTurn(Payload):
    """Store what the person wrote. `messages` are this turn's; whatever stands from this turn on is replaced.

    Attributes:
        at: The workflow's time. It tells a worker that was frozen, and repeats what others have replaced, from them.
    """

    session_id: SessionId
    turn: int
    messages: tuple[Message, ...]
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
    """

    provider: ProviderName
    failure: FailureClass | None = None
    detail: str = ""


class EndTurn(Payload):
    """All that a turn changes, written in one transaction.

    Attributes:
        messages: What the person was shown in this turn (never what the person wrote).
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


class SessionProjection(Payload):
    """The session as it stands after a turn, as lists and reads show it."""

    state: str
    status: SessionStatus
    owner: Owner
    turn: int
    slots: dict[str, Any]
    next_action: NextAction
    closed_reason: str | None = None


class NewSession(Payload):
    """What is stored when a session opens."""

    session_id: SessionId
    opening: OpenSession
    definition_hash: DefinitionHash
    opened_at: AwareDatetime


class AttemptKey(Payload):
    """Names one attempt at one provider, for ever.

    Attributes:
        ask: Which question of the turn, from 1.
        attempt: Temporal's attempt number at this provider, from 1.
    """

    session_id: SessionId
    turn: int
    ask: int
    provider: ProviderName
    attempt: int


class AttemptOutcome(Payload):
    """How an attempt ended. `failure` is None where it answered."""

    failure: FailureClass | None
    status: int | None = None
    detail: str = ""
    model: str = ""
    request_id: str | None = None
    ttft_ms: float | None = None
    latency_ms: float
    usage: Usage = Usage()
    cost_usd: Decimal | None = None


# --- reads --------------------------------------------------------------------------------------------------------


class SessionRecord(Payload):
    """A session as stored."""

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


class SessionFilter(Payload):
    """Which sessions to list; None matches all."""

    tenant: str | None = None
    user_id: str | None = None
    state: str | None = None
    status: SessionStatus | None = None
    definition: str | None = None
    channel: str | None = None


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
    """A turn as stored, with its evidence."""

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
