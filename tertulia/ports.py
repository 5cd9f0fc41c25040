"""What the product needs from the outside, as Protocols. Adapters implement them, composition roots connect them."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tertulia.domain.completions import Completion, CompletionRequest, TextDelta
from tertulia.domain.conversation import (
    Close,
    IncomingMessage,
    Message,
    Opened,
    OpenSession,
    Reply,
    SessionView,
    TransitionTo,
)
from tertulia.domain.definition import Definition
from tertulia.domain.health import ProbeResult, ProviderHealth
from tertulia.domain.ids import DefinitionHash, DefinitionName, MessageId, ProviderName, SessionId
from tertulia.domain.turns import (
    AttemptKey,
    AttemptOutcome,
    BeginTurn,
    Delta,
    EndTurn,
    NewSession,
    Page,
    SessionFilter,
    SessionRecord,
    TurnRecord,
)


class Completer(Protocol):
    """One provider, one attempt a call: no retries inside."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion, None]:
        """Ask, and yield the text as it comes; the last item is the Completion.

        Raises:
            ProviderFailure: Whatever went wrong, with its class.
        """
        ...

    async def probe(self) -> ProbeResult:
        """Find out at no cost whether the provider can be reached with our key. Never raises."""
        ...


class Turns(Protocol):
    """Writes of the session workflow, the only writer of a session. All are idempotent."""

    async def open(self, session: NewSession, definition: Definition) -> None: ...

    async def begin(self, turn: BeginTurn) -> Mapping[MessageId, Reply]:
        """Store the person's messages; return the first outcome of those that an earlier turn has answered."""
        ...

    async def end(self, turn: EndTurn) -> None: ...

    async def outcome(self, session_id: SessionId, message_id: MessageId) -> Reply | None:
        """Find the outcome of a message that was answered long ago."""
        ...


class Attempts(Protocol):
    """The ledger of attempts: a row is written before anything is sent."""

    async def start(self, key: AttemptKey, at: datetime) -> None: ...

    async def finish(self, key: AttemptKey, outcome: AttemptOutcome, at: datetime) -> None: ...


class Transcripts(Protocol):
    """Reads of what was said."""

    async def messages(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Message]:
        """Return messages with `seq > after`, oldest first."""
        ...

    async def window(self, session_id: SessionId, *, up_to_turn: int, limit: int) -> Sequence[Message]:
        """Return the last `limit` messages up to and with a turn, oldest first."""
        ...

    async def turn(self, session_id: SessionId, turn: int) -> TurnRecord | None: ...

    async def turn_of(self, session_id: SessionId, message_id: MessageId) -> TurnRecord | None: ...


class SessionRecords(Protocol):
    """Reads of sessions."""

    async def get(self, session_id: SessionId) -> SessionRecord | None: ...

    async def find(self, where: SessionFilter, *, cursor: str | None = None, limit: int = 50) -> Page:
        """List sessions, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...


class Deltas(Protocol):
    """The side channel for streamed text; what is lost here is lost to the show, never to the transcript."""

    async def append(self, session_id: SessionId, delta: Delta) -> None: ...

    def follow(self, session_id: SessionId, message_id: MessageId) -> AsyncIterator[Delta]:
        """Yield the pieces of the turn that answers a message, from its beginning, until that turn has ended."""
        ...


class Definitions(Protocol):
    """The applications on offer, and those that sessions have pinned."""

    def names(self) -> Sequence[DefinitionName]: ...

    def get(self, name: DefinitionName) -> Definition:
        """Return an application as it stands now.

        Raises:
            NotFound: There is none of that name.
        """
        ...


class PinnedDefinitions(Protocol):
    """Definitions by content, as sessions use them for as long as they live."""

    async def pinned(self, definition_hash: DefinitionHash) -> Definition:
        """Return a definition that some session has opened with.

        Raises:
            NotFound: No session ever did.
        """
        ...


class HealthRecords(Protocol):
    """Stored health of the providers, shared by all workers."""

    async def read(self) -> Mapping[ProviderName, ProviderHealth]: ...

    async def record(self, health: ProviderHealth) -> None: ...


class Sessions(Protocol):
    """Talks to running sessions. Implemented over Temporal by `starter/sessions.py`.

    Every method raises NotFound for a session that never was, SessionClosed for one that has ended, and
    Unavailable when the engine can't be reached.
    """

    async def open(self, session_id: SessionId, opening: OpenSession) -> Opened:
        """Start a session, or find the one that has been started under this id."""
        ...

    async def send(self, session_id: SessionId, message: IncomingMessage) -> Reply:
        """Deliver a message and wait for the outcome of its turn."""
        ...

    async def submit(self, session_id: SessionId, message: IncomingMessage) -> MessageId:
        """Deliver a message; return as soon as the session has durably taken it."""
        ...

    async def view(self, session_id: SessionId) -> SessionView: ...

    async def cancel_turn(self, session_id: SessionId) -> bool:
        """Stop the running turn; False where none runs."""
        ...

    async def transition(self, session_id: SessionId, to: TransitionTo) -> SessionView:
        """Move the session by hand.

        Raises:
            TransitionRefused: The definition has no such transition.
        """
        ...

    async def close(self, session_id: SessionId, close: Close) -> None: ...
