"""Every error the product raises on purpose.

TertuliaError
├── InvalidInput         what was given can't be used; change it
│   └── DefinitionInvalid    an application's YAML; says file and line
├── NotFound             no such session, turn, definition, …; or it is another tenant's
├── Unauthenticated      no key, or none that opens anything
├── Forbidden            the key does not reach so far
├── RateLimited          too many requests under one key; says when to send again
├── Refused              understood, but not allowed in this state
│   ├── SessionClosed        the session has ended; start another
│   ├── SessionMoved         the session goes on in a new run; ask again there, as the client does by itself
│   ├── TurnInProgress       double-text policy `reject`; wait for the reply
│   ├── TooManyWaiting       the inbox is full; wait and send again
│   ├── TransitionRefused    the state machine forbids it; carries the allowed ones
│   └── ActionRefused        not while the session stands so; carries what may be done instead
├── Unavailable          a part we depend on can't be reached; try again later
├── CannotStart          a server of this machine can't be started; says what to do
├── NotAdmitted          an attempt was not made: no room, a closed gate, a spent budget; says when to try again
├── ProviderFailure      one attempt at one provider failed; carries its class
└── ChannelFailure       one call to a messenger failed; carries what the problem is
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.completions import RateLimits, Usage

if TYPE_CHECKING:
    from tertulia.domain.providers.costs import Cost


class TertuliaError(Exception):
    """Root of the tree. `code` is stable and machine-readable; the message is for people."""

    code: ClassVar[str] = "error"


class InvalidInput(TertuliaError):
    """Raised where something given can't be used. The caller changes it and tries again."""

    code = "invalid_input"

    def __init__(self, problem: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.problem = problem
        self.field = field


class DefinitionInvalid(InvalidInput):
    """Raised by the loader of definitions; `places` names file, line and what to do about each problem."""

    code = "definition_invalid"

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__("\n".join(places))
        self.places = tuple(places)


class NotFound(TertuliaError):
    """Raised by reads and by sends to what does not exist."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.kind = kind
        self.name = name


class Unauthenticated(TertuliaError):
    """Raised where a request shows no key that opens anything; never says which of the reasons it is."""

    code = "unauthenticated"

    def __init__(self, problem: str = "needs `Authorization: Bearer` with a key that is valid") -> None:
        super().__init__(problem)


class Forbidden(TertuliaError):
    """Raised where a key is valid, but not for this. Use another one."""

    code = "forbidden"


class RateLimited(TertuliaError):
    """Raised where one caller sends too much. Nothing was done; send again after `retry_after`."""

    code = "rate_limited"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("too many requests under this key")
        self.retry_after = retry_after


class Refused(TertuliaError):
    """Raised where a request is understood but the session's state does not allow it."""

    code = "refused"


class SessionClosed(Refused):
    """Raised by a send to a session that has ended. Start another session."""

    code = "session_closed"


class SessionMoved(Refused):
    """Raised to a waiting send when the session continues as new. The message is kept: ask again under its id."""

    code = "session_moved"


class TurnInProgress(Refused):
    """Raised under the double-text policy `reject` while a turn runs. Wait for its reply."""

    code = "turn_in_progress"


class TooManyWaiting(Refused):
    """Raised when the inbox of a session is full. Wait for replies, then send again."""

    code = "too_many_waiting"


class TransitionRefused(Refused):
    """Raised when the definition has no such transition; `allowed` lists those it has."""

    code = "transition_refused"

    def __init__(self, reason: str, allowed: Sequence[str]) -> None:
        super().__init__(reason)
        self.allowed = tuple(allowed)


class ActionRefused(Refused):
    """Raised to people in the loop where the session stands so that it can't be done; `allowed` lists what can."""

    code = "action_refused"

    def __init__(self, reason: str, allowed: Sequence[str]) -> None:
        super().__init__(reason)
        self.allowed = tuple(allowed)


class Unavailable(TertuliaError):
    """Raised by adapters whose other side can't be reached. Nothing was lost; try again later."""

    code = "unavailable"

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"{part} is unavailable: {problem}")
        self.part = part
        self.problem = problem


class CannotStart(TertuliaError):
    """Raised where this machine won't let an embedded server run. Nothing is lost; the message says what to do."""

    code = "cannot_start"

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"{part} can't start: {problem}")
        self.part = part
        self.problem = problem


class NotAdmitted(TertuliaError):
    """Raised by an attempt before anything is sent. It never counts as an attempt: ask the next provider.

    Attributes:
        reason: Why, for people.
        retry_at: When it may be different, UTC; None where that can't be foreseen.
    """

    code = "not_admitted"

    def __init__(self, provider: ProviderName, reason: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(f"{provider} was not asked: {reason}")
        self.provider = provider
        self.reason = reason
        self.retry_at = retry_at


class FailureClass(StrEnum):
    """What kind of failure an attempt met. What follows from each stands in `domain/routing.py`."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    SERVER = "server"
    OVERLOADED = "overloaded"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    BILLING = "billing"
    AUTH = "auth"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    BAD_REQUEST = "bad_request"
    CONFIG = "config"
    CANCELLED = "cancelled"
    LOST = "lost"  # the worker died while it asked
    INTERNAL = "internal"  # a fault of ours; no provider is to blame


class ProviderFailure(TertuliaError):
    """Raised by a Completer when its one attempt failed.

    Attributes:
        failure: The class that decides what is tried next.
        status: The HTTP status, where there was one.
        retry_after: How long the provider asked us to wait, where it did.
        detail: The provider's words, shortened and without secrets.
        usage: What the attempt used by the provider's report; None where it doesn't say.
        charged_usd: What the provider says it charged for it all the same.
        limits: What it reports to be left of its rate limits.
        cost: What the attempt cost; None until it is settled.
    """

    code = "provider_failure"

    def __init__(
        self,
        failure: FailureClass,
        detail: str,
        *,
        status: int | None = None,
        retry_after: timedelta | None = None,
        usage: Usage | None = None,
        charged_usd: Decimal | None = None,
        limits: RateLimits | None = None,
    ) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.usage = usage
        self.charged_usd = charged_usd
        self.limits = limits
        self.cost: Cost | None = None


class ChannelProblem(StrEnum):
    """Why a call to a messenger failed. What follows from each stands in `domain/deliveries.py`."""

    UNREACHABLE = "unreachable"  # nothing was sent
    UNCONFIRMED = "unconfirmed"  # sent, and no answer: the platform may have it
    SERVER = "server"
    RATE_LIMIT = "rate_limit"
    ACCOUNT = "account"  # a wrong key, no permission, a bill: an operator has to act
    LATE = "late"  # the channel's window has closed
    UNDELIVERABLE = "undeliverable"  # the person has blocked us, or is not there
    REFUSED = "refused"  # the platform finds fault with what was sent
    UNUSABLE = "unusable"  # a file that is gone, too large, or not what it was said to be
    GIVEN_UP = "given_up"  # tried for too long


class ChannelFailure(TertuliaError):
    """Raised by a Channel when its one call failed.

    Attributes:
        retry_after: How long the platform asked us to wait, where it did.
        detail: The platform's words, shortened, without keys, texts and addresses.
    """

    code = "channel_failure"

    def __init__(self, problem: ChannelProblem, detail: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail
        self.retry_after = retry_after
