"""What the product needs from the outside, as Protocols. Adapters implement them, composition roots connect them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from pydantic import SecretStr

from tertulia.domain.access import ApiKey, KeyId, KeyPage, Scope
from tertulia.domain.analytics import (
    By,
    ByDay,
    CostRow,
    FunnelRow,
    KnockOutRow,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.channels import (
    Arrived,
    Attachment,
    ChannelName,
    ChannelRules,
    Chat,
    ChatId,
    ChatSession,
    Incoming,
    NextArrival,
    Outgoing,
    Purpose,
    Receipt,
    Received,
)
from tertulia.domain.conversation import (
    Close,
    IncomingMessage,
    Message,
    Opened,
    OpenSession,
    Order,
    Reply,
    SessionStatus,
    SessionView,
    TransitionTo,
)
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.deliveries import Delivery, DeliveryKey, Piece, Spoken, ToDeliver, ToSend
from tertulia.domain.ids import (
    ApplicationId,
    DefinitionHash,
    DefinitionName,
    JobId,
    MessageId,
    ProviderName,
    SessionId,
    TenantId,
)
from tertulia.domain.providers.attempts import Admission, LostAttempt, Refusal
from tertulia.domain.providers.completions import Completion, CompletionRequest, TextDelta
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.reports import Configured, Metrics, StateChange, TenantBudget
from tertulia.domain.providers.state import Known, ProviderState
from tertulia.domain.recruiting.applications import (
    Application,
    ApplicationFilter,
    ApplicationPage,
    CandidatePage,
    Followed,
    Numbered,
    Step,
)
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobPage, Question
from tertulia.domain.recruiting.profiles import Profile
from tertulia.domain.recruiting.resumes import Resume, ResumeFile, ResumeText, StoredResume, TakenResume
from tertulia.domain.session_events import BEGINNING, EventId, Told
from tertulia.domain.tallies import Tallied
from tertulia.domain.turns import (
    AttemptOutcome,
    BeginTurn,
    Delta,
    EndTurn,
    NewSession,
    Page,
    SessionFilter,
    SessionRecord,
    TurnRecord,
    WaitTurn,
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

    async def wait(self, wait: WaitTurn) -> None:
        """Store until when a running turn waits for a provider."""
        ...

    async def end(self, turn: EndTurn) -> None: ...

    async def refuse(self, session_id: SessionId, message_ids: Sequence[MessageId]) -> None:
        """Store which messages a session has ended before, without a turn for them."""
        ...

    async def outcome(self, session_id: SessionId, message_id: MessageId) -> Reply | None:
        """Find the outcome of a message that was answered long ago."""
        ...

    async def outcome_of_order(self, session_id: SessionId, request_id: MessageId) -> Reply | None:
        """Find the outcome of an order that was carried out long ago."""
        ...


class Attempts(Protocol):
    """The ledger of attempts, with the slots and the budgets that bound them. Each is one statement."""

    async def admit(self, admission: Admission) -> int | Refusal:
        """Take a slot and the money and write the attempt down, or nothing of it. Idempotent by the attempt's id."""
        ...

    async def settle(self, attempt_id: str, outcome: AttemptOutcome, at: datetime) -> None:
        """Write down how an admitted attempt ended, give back its slot, and count what it has cost."""
        ...

    async def renew(self, attempt_ids: Collection[str], expires_at: datetime, *, silent: Collection[str] = ()) -> None:
        """Keep the slots of attempts under way; `silent` are those of them that have had no text yet."""
        ...

    async def sweep(self, at: datetime) -> Sequence[LostAttempt]:
        """End the attempts that nobody has renewed as lost; each is returned once, to one caller."""
        ...


class Budgets(Protocol):
    """What tenants may spend a day. Attempts are held to it where they are admitted."""

    async def read(self, tenant: TenantId, at: datetime) -> TenantBudget | None: ...

    async def store(self, tenant: TenantId, daily_usd: Decimal) -> None: ...

    async def remove(self, tenant: TenantId) -> None: ...


class ProviderConfigs(Protocol):
    """Configurations given at runtime; they go over those of the environment."""

    async def read(self) -> Mapping[ProviderName, ProviderConfig | None]:
        """Return them by name; None for a provider that was removed."""
        ...

    async def store(self, config: ProviderConfig, *, at: datetime) -> None:
        """Store a configuration in the place of any before it; wakes all workers.

        Raises:
            InvalidInput: It has a key, and there is nothing to seal it with.
        """
        ...

    async def remove(self, provider: ProviderName, *, at: datetime) -> None: ...


class ProviderStates(Protocol):
    """What is known of the providers, shared by all workers."""

    async def read(self, since: datetime, at: datetime) -> Mapping[ProviderName, Known]:
        """Return all that is known, with samples that ended at `since` or later; a provider may be missing."""
        ...

    async def change(
        self, provider: ProviderName, change: Callable[[ProviderState], ProviderState], *, at: datetime, reason: str
    ) -> ProviderState:
        """Change a provider's state under its lock; wakes all workers where that makes a difference."""
        ...

    def news(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """Give an event that is set whenever a state or a configuration may have changed, in any process."""
        ...


class ProviderMetrics(Protocol):
    """What the ledger tells of the providers, and what was decided about them."""

    async def metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        """Return the metrics of attempts that ended in `since <= t < until`, of a tenant or of all.

        A provider never asked may be missing.
        """
        ...

    async def history(self, provider: ProviderName, limit: int) -> Sequence[StateChange]:
        """Return the last changes that let calls through or keep them away, newest first."""
        ...


class Transcripts(Protocol):
    """Reads of what was said."""

    async def messages(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Message]:
        """Return messages with `seq > after`, oldest first."""
        ...

    async def window(
        self, session_id: SessionId, *, up_to_turn: int, limit: int, withdrawn: bool = True
    ) -> Sequence[Message]:
        """Return the last `limit` messages up to and with a turn, oldest first; without withdrawn ones on request."""
        ...

    async def turn(self, session_id: SessionId, turn: int) -> TurnRecord | None: ...

    async def turn_of(self, session_id: SessionId, message_id: MessageId) -> TurnRecord | None: ...

    async def was_refused(self, session_id: SessionId, message_id: MessageId) -> bool:
        """Tell whether a session had taken this message, and ended before it had a turn."""
        ...


class SessionRecords(Protocol):
    """Reads of sessions, and their erasure."""

    async def get(self, session_id: SessionId) -> SessionRecord | None: ...

    async def find(self, where: SessionFilter, *, cursor: str | None = None, limit: int = 50) -> Page:
        """List sessions, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...

    async def erase(self, session_id: SessionId) -> bool:
        """Forget a session with all that was said in it; False where there is none.

        What was spent stays in the ledger of attempts, without a word.
        """

    async def count_by_state(
        self, tenant: TenantId, *, definition: DefinitionName, status: SessionStatus
    ) -> Mapping[str, int]:
        """Count the sessions of an application in each state that has any."""
        ...


class ApiKeys(Protocol):
    """Keys of the API."""

    async def create(
        self, tenant: TenantId, name: str, scope: Scope, *, at: datetime, expires_at: datetime | None = None
    ) -> tuple[ApiKey, SecretStr]:
        """Make a key; what is returned beside it is the key itself, which nobody knows afterwards."""
        ...

    async def find(self, secret: SecretStr) -> ApiKey | None:
        """Return the key that somebody shows, usable or not."""
        ...

    async def get(self, key_id: KeyId) -> ApiKey | None: ...

    async def find_all(self, tenant: TenantId, *, cursor: str | None = None, limit: int = 50) -> KeyPage:
        """List a tenant's keys, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...

    async def revoke(self, tenant: TenantId, key_id: KeyId, *, at: datetime) -> None:
        """Let a key open nothing any more.

        Raises:
            NotFound: The tenant has no such key.
        """
        ...

    async def used(self, key: ApiKey, *, at: datetime) -> None:
        """Note that a key was used."""
        ...


class Deltas(Protocol):
    """The side channel for streamed text; what is lost here is lost to the show, never to the transcript."""

    async def append(self, session_id: SessionId, delta: Delta) -> None: ...


class SessionEvents(Protocol):
    """What becomes known of sessions, for those who follow it; a reader who was cut off goes on in any process."""

    async def resume(self, session_id: SessionId, after: EventId) -> EventId | None:
        """Check a place where a reader wants to go on; None where all has been told.

        Raises:
            NotFound: There is no such session.
            InvalidInput: The place is none of this session's.
        """
        ...

    async def now(self, session_id: SessionId) -> EventId:
        """Return the place of a reader who wants what is going on, and what comes: before the turn that runs.

        Raises:
            NotFound: There is no such session.
        """
        ...

    def follow(self, session_id: SessionId, after: EventId = BEGINNING) -> AsyncGenerator[Told, None]:
        """Yield what becomes known of a session behind a place, until the session has ended."""
        ...

    def follow_message(self, session_id: SessionId, message_id: MessageId) -> AsyncGenerator[Told, None]:
        """Yield what becomes known of the turn that answers a message, from its beginning to its end.

        The turn may not have begun yet. Where it never will, because the session has ended, nothing is yielded.
        """
        ...


class Tickets(Protocol):
    """Tickets with which a browser comes back to its chat: whoever has one may read the chat and go on in it."""

    async def issue(self, session_id: SessionId, at: datetime) -> str:
        """Make a ticket for a session; earlier ones stay good.

        Raises:
            NotFound: There is no such session.
        """
        ...

    async def admit(self, ticket: str) -> SessionId | None:
        """Tell which session a ticket is for; None where it is none of ours."""
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

    async def awaits(self, session_id: SessionId, message_id: MessageId) -> bool:
        """Tell whether this message has been taken, and its outcome is not stored yet.

        A session that was cut off goes on awaiting what is refused at its end.
        """
        ...

    async def cancel_turn(self, session_id: SessionId) -> bool:
        """Stop the running turn; False where none runs."""
        ...

    async def transition(self, session_id: SessionId, to: TransitionTo) -> SessionView:
        """Move the session by hand.

        Raises:
            TransitionRefused: The definition has no such transition.
        """
        ...

    async def order(self, session_id: SessionId, order: Order) -> Reply:
        """Have the session do what a person in the loop asks for, once no turn runs; return the outcome of its turn.

        Raises:
            ActionRefused: Not while the session stands so.
            TransitionRefused: The definition has no such transition.
            InvalidInput: Something given can't be used.
        """
        ...

    async def close(self, session_id: SessionId, close: Close) -> None: ...

    async def erase(self, session_id: SessionId) -> bool:
        """End the session at once, whatever it does, and delete its history; False where there is none.

        Of the errors above it raises Unavailable only. What may not be deleted goes with the namespace's retention.
        """
        ...


class Jobs(Protocol):
    """Jobs with their questions, each tenant's by themselves.

    Reads and changes raise NotFound for what is not there.
    """

    async def create(self, tenant: TenantId, job: Job) -> Job:
        """Store a job; return the one that is stored already where there is one of this id."""
        ...

    async def get(self, tenant: TenantId, job_id: JobId) -> Job: ...

    async def find(self, tenant: TenantId, where: JobFilter, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """List jobs, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...

    async def change(self, tenant: TenantId, job_id: JobId, change: Callable[[Job], Job]) -> Job:
        """Change a job while nobody else does; whatever the change raises leaves it as it was."""
        ...


class Applications(Protocol):
    """Applications with their timelines, each tenant's by themselves.

    Reads and changes raise NotFound for what is not there.
    """

    async def open(self, tenant: TenantId, begun: Step) -> Application:
        """Store a new application; return the one that is stored where it is, or the person has an undecided one."""
        ...

    async def get(self, tenant: TenantId, application_id: ApplicationId) -> Application: ...

    async def follow(
        self, session_id: SessionId, turn: int, change: Callable[[Application, Job], Step]
    ) -> Followed | None:
        """Take a step that a turn of a chat has brought, as `change` does.

        Returns:
            None where the chat fills in no application, or has come to a later turn.
        """
        ...

    async def find(
        self, tenant: TenantId, where: ApplicationFilter, *, cursor: str | None = None, limit: int = 50
    ) -> ApplicationPage:
        """List applications, newest first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...

    async def change(
        self, tenant: TenantId, application_id: ApplicationId, change: Callable[[Application], Step]
    ) -> Application:
        """Take a step while nobody else does, and tell it on the timeline; what the change raises changes nothing."""
        ...

    async def timeline(
        self, tenant: TenantId, application_id: ApplicationId, *, after: int = 0, limit: int = 100
    ) -> Sequence[Numbered]:
        """Return at most `limit` entries with `seq > after`, oldest first."""
        ...

    async def candidates(
        self, tenant: TenantId, job_id: JobId, *, cursor: str | None = None, limit: int = 50
    ) -> CandidatePage:
        """List who has applied for a job, best score first.

        Raises:
            InvalidInput: The cursor is not one of ours.
        """
        ...


class Candidates(Protocol):
    """What is kept of people over all their applications, each tenant's by themselves."""

    async def profile(self, tenant: TenantId, user_id: str) -> Profile:
        """Read what is known of a person; an empty profile where that is nothing."""
        ...

    async def change(self, tenant: TenantId, user_id: str, change: Callable[[Profile], Profile]) -> Profile: ...

    async def store_resume(self, tenant: TenantId, user_id: str, file: ResumeFile, found: Resume, at: datetime) -> None:
        """Store a résumé in the place of the one before."""
        ...

    async def resume(self, tenant: TenantId, user_id: str) -> StoredResume | None: ...

    async def resume_file(self, tenant: TenantId, user_id: str) -> ResumeFile | None: ...

    async def remove_resume(self, tenant: TenantId, user_id: str) -> None: ...

    async def erase(self, tenant: TenantId, user_id: str) -> None:
        """Erase a person's applications, profile and résumé."""
        ...


class ResumeReader(Protocol):
    """Gets the text out of files that nobody can vouch for."""

    async def read(self, content: bytes) -> ResumeText:
        """Find out what kind of file it is, and what it says.

        Raises:
            InvalidInput: It is too large, of no kind that is read here, locked, damaged, or without any text.
        """
        ...


class ResumeIntake(Protocol):
    """Takes in what people hand in as their résumé."""

    async def take(self, tenant: TenantId, user_id: str, content: bytes) -> TakenResume:
        """Keep a file as a person's résumé, in the place of the one before; it fills what is empty in their profile.

        Raises:
            InvalidInput: It can't be read; nothing is stored.
        """
        ...


class QuestionSuggester(Protocol):
    """Suggests questions for a job."""

    async def suggest(self, tenant: TenantId, job: Job) -> Sequence[Question]:
        """Suggest questions that the job does not have yet.

        Args:
            tenant: Whose budget it is.

        Raises:
            Unavailable: Nothing can be suggested at the moment.
        """
        ...


class Analytics(Protocol):
    """Figures about many conversations; `docs/analytics.md` says of each what it counts.

    Funnel, state times, outcomes and costs are of the sessions that were opened in the selection's time; slots,
    response times, volumes and providers are of what happened in it; knock-outs of the applications begun in it.
    """

    async def funnel(self, of: Selection) -> Sequence[FunnelRow]: ...

    async def state_times(self, of: Selection) -> Sequence[StateTimeRow]: ...

    async def slots(self, of: Selection) -> Sequence[SlotRow]: ...

    async def knock_outs(self, of: Selection) -> Sequence[KnockOutRow]: ...

    async def response_times(self, of: Selection, by: ByDay) -> Sequence[ResponseTimeRow]: ...

    async def volumes(self, of: Selection, by: By) -> Sequence[VolumeRow]: ...

    async def outcomes(self, of: Selection, by: ByDay) -> Sequence[OutcomeRow]: ...

    async def costs(self, of: Selection) -> Sequence[CostRow]: ...

    async def providers(self, of: Selection) -> Sequence[ProviderRow]: ...


class Completions(Protocol):
    """Answers questions that belong to no session, by whichever provider can."""

    def configured(self) -> Sequence[Configured]:
        """Return the configurations in use, in the order of preference."""
        ...

    async def execute_with_fallback(
        self,
        request: CompletionRequest,
        *,
        tenant: str,
        within: timedelta,
        only: Collection[ProviderName] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Ask one provider after the other until one answers; once text has come, a failure is the end.

        Raises:
            ProviderFailure: The last one, where nobody answered.
            NotAdmitted: Nobody could be asked in time.
            Unavailable: Storage is away, or there is nobody to ask.
        """
        ...


# --- messengers -------------------------------------------------------------------------------------------------------


class Webhook(Protocol):
    """What a messenger's platform calls us with."""

    @property
    def channel(self) -> ChannelName: ...

    @property
    def key(self) -> bytes:
        """A secret of the account's, to name chats by."""
        ...

    def handshake(self, query: Mapping[str, str]) -> str | None:
        """Answer the platform's question whether the webhook is ours; None where it doesn't ask, or not rightly."""
        ...

    def is_authentic(self, body: bytes, headers: Mapping[str, str], path_secret: str) -> bool:
        """Tell whether a call is the platform's.

        Args:
            body: As it came; a signature is over the bytes.
            headers: With names in lower case.
            path_secret: What stood in the address where that has a secret.
        """
        ...

    def read(self, body: bytes) -> Incoming:
        """Read a call. Single messages that can't be read are passed over.

        Raises:
            InvalidInput: It is none of the platform's.
        """
        ...


class Messenger(Protocol):
    """Sends to people and fetches their files: one attempt a call. Every method raises ChannelFailure."""

    @property
    def channel(self) -> ChannelName: ...

    @property
    def rules(self) -> ChannelRules: ...

    async def send(self, message: Outgoing) -> str:
        """Send a message; return the platform's name for it."""
        ...

    async def fetch(self, attachment: Attachment, most_bytes: int) -> bytes:
        """Fetch a file that a person has sent."""
        ...

    async def check(self) -> str:
        """Find out whether the account works; return what people know it by."""
        ...


class Intake(Protocol):
    """Takes in what webhooks bring. Implemented over Postgres and Temporal by `starter/channel_intake.py`."""

    async def take(self, webhook: Webhook, incoming: Incoming) -> None:
        """Take it durably; what has been taken before is not taken twice.

        Raises:
            Unavailable: Not all of it could be taken; the platform is to deliver it again.
        """
        ...


class Couriers(Protocol):
    """Wakes the workflows that carry messages between messengers and sessions."""

    async def wake_intake(self, chat_id: ChatId) -> None: ...

    async def wake_delivery(self, spoken: ToDeliver) -> None: ...


class ChannelInbox(Protocol):
    """What people have written on messengers, until it is handed over, and the sessions of their chats."""

    async def take(
        self, channel: ChannelName, purpose: Purpose, key: bytes, messages: Sequence[Received]
    ) -> Collection[ChatId]:
        """Store messages that are not stored yet; return the chats of those that wait to be handed over."""
        ...

    async def next(self, chat_id: ChatId, settle: timedelta) -> NextArrival | None:
        """Find what is to be handed over next; None where nothing waits."""
        ...

    async def read(self, chat_id: ChatId, message_id: MessageId) -> Arrived | None:
        """Return a message with its chat; None where it has been handed over."""
        ...

    async def replace(self, chat_id: ChatId, message_id: MessageId, text: str) -> None:
        """Put a text in the place of a waiting message's file."""
        ...

    async def settle(
        self, chat_id: ChatId, message_id: MessageId, *, session_id: SessionId | None, note: str = ""
    ) -> None:
        """Write down that a message was handed over, or why it was not, and forget what it says.

        Where the session has ended before the message had its turn, it goes on waiting.
        """
        ...

    async def put_back(self, chat_id: ChatId, session_id: SessionId, messages: Sequence[Received]) -> None:
        """Let messages wait again, where they stood, that a session which has ended had no turn for."""
        ...

    async def session(self, chat_id: ChatId, *, after: int, opened_by: MessageId) -> ChatSession:
        """Return the chat's last session behind that number, or begin the next one.

        Raises:
            NotFound: The chat has been erased.
        """
        ...


class Outbox(Protocol):
    """What sessions say on messengers, on its way."""

    async def chat(self, session_id: SessionId) -> Chat | None:
        """Return the chat that a session belongs to; None where it belongs to none."""
        ...

    async def unplanned(self, session_id: SessionId, up_to_turn: int) -> Sequence[Spoken]:
        """Return what was shown up to and with a turn and is not planned yet, oldest first."""
        ...

    async def plan(self, session_id: SessionId, pieces: Sequence[Piece], at: datetime) -> None:
        """Plan deliveries; what is planned already stays as it is."""
        ...

    async def next(self, session_id: SessionId) -> DeliveryKey | None:
        """Return the first delivery that may go; those that were held until the person wrote again may, once so."""
        ...

    async def to_send(self, key: DeliveryKey) -> ToSend | None:
        """Return a delivery with what it says; None where it is gone."""
        ...

    async def change(self, key: DeliveryKey, change: Callable[[Delivery], Delivery]) -> Delivery | None:
        """Change a delivery while nobody else does; None where it is gone."""
        ...

    async def key_of(self, receipt: Receipt) -> DeliveryKey | None:
        """Return the delivery that a receipt is about; None where it is about none of ours."""
        ...

    async def holding(self, chat_id: ChatId) -> Sequence[SessionId]:
        """Return the chat's sessions in which something is held."""
        ...


class DeliveryRecords(Protocol):
    """Reads of what became of what sessions say on messengers."""

    async def of_session(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Delivery]:
        """Return the deliveries of at most `limit` messages with `seq > after`, in order."""
        ...


class Tallies(Protocol):
    """How many sessions and turns there have been, over all processes."""

    async def read(self) -> Tallied:
        """Read what has been counted.

        Raises:
            Unavailable: That can't be told at the moment.
        """
        ...
