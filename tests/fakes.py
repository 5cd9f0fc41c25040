"""Fakes of the ports, named for how they behave. They hold what was put into them and nothing else."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from pydantic import SecretStr

from tertulia.domain import session_events
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
from tertulia.domain.conversation import (
    Close,
    IncomingMessage,
    Message,
    NextAction,
    Opened,
    OpenSession,
    Order,
    Owner,
    Reply,
    Role,
    RunningTurn,
    SessionStatus,
    SessionView,
    TransitionTo,
    TurnStatus,
)
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import InvalidInput, NotFound, SessionClosed, TertuliaError, TransitionRefused
from tertulia.domain.ids import DefinitionHash, DefinitionName, MessageId, ProviderName, SessionId, TenantId
from tertulia.domain.providers.completions import Completion, CompletionRequest, FinishReason, Usage
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.domain.providers.reports import Configured, Origin
from tertulia.domain.session_events import (
    BEGINNING,
    EventId,
    SessionEnded,
    SessionEvent,
    Told,
    TurnEnded,
    TurnStarted,
    TurnSuperseded,
)
from tertulia.domain.tallies import Tallied
from tertulia.domain.turns import (
    AttemptKey,
    AttemptOutcome,
    AttemptRecord,
    Delta,
    Page,
    PassedOver,
    ProviderTry,
    SessionFilter,
    SessionRecord,
    TurnRecord,
)

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
HASH = DefinitionHash("0" * 64)
OPEN_QUESTION = NextAction(kind="answer", slot="name", type="text")


class InMemoryTranscripts:
    """Transcripts that tests write with `say` and `record`.

    Attributes:
        looked_up: Set when the turn of a message has been asked for.
        refused: The messages that sessions have ended before.
    """

    def __init__(self) -> None:
        self.looked_up = asyncio.Event()
        self.refused: set[tuple[SessionId, MessageId]] = set()
        self._messages: dict[SessionId, list[Message]] = defaultdict(list)
        self._turns: dict[SessionId, dict[int, TurnRecord]] = defaultdict(dict)

    def say(
        self, session_id: SessionId, role: Role, text: str, *, turn: int = 0, message_id: MessageId | None = None
    ) -> Message:
        told = self._messages[session_id]
        seq = len(told) + 1
        at = NOON + timedelta(seconds=seq)
        message = Message(seq=seq, turn=turn, role=role, text=text, created_at=at, message_id=message_id)
        told.append(message)
        return message

    def record(self, turn: TurnRecord) -> None:
        self._turns[turn.session_id][turn.turn] = turn

    async def messages(self, session_id: SessionId, *, after: int = 0, limit: int = 100) -> Sequence[Message]:
        return [message for message in self._messages[session_id] if message.seq > after][:limit]

    async def window(
        self, session_id: SessionId, *, up_to_turn: int, limit: int, withdrawn: bool = True
    ) -> Sequence[Message]:
        found = [message for message in self._messages[session_id] if message.turn <= up_to_turn]
        return [message for message in found if withdrawn or message.withdrawn_in is None][-limit:]

    async def turn(self, session_id: SessionId, turn: int) -> TurnRecord | None:
        return self._turns[session_id].get(turn)

    async def turn_of(self, session_id: SessionId, message_id: MessageId) -> TurnRecord | None:
        self.looked_up.set()
        turns = self._turns[session_id].values()
        return next((turn for turn in turns if message_id in turn.message_ids), None)

    async def was_refused(self, session_id: SessionId, message_id: MessageId) -> bool:
        return (session_id, message_id) in self.refused


class InMemoryRecords:
    """Session records, listed newest first; a cursor is the id of the last one shown."""

    def __init__(self) -> None:
        self._records: dict[SessionId, SessionRecord] = {}

    def keep(self, record: SessionRecord) -> None:
        self._records[record.session_id] = record

    async def get(self, session_id: SessionId) -> SessionRecord | None:
        return self._records.get(session_id)

    async def erase(self, session_id: SessionId) -> bool:
        return self._records.pop(session_id, None) is not None

    async def find(self, where: SessionFilter, *, cursor: str | None = None, limit: int = 50) -> Page:
        wanted = where.model_dump(exclude_none=True, exclude={"created_since"}).items()
        newest_first = sorted(self._records.values(), key=lambda record: record.created_at, reverse=True)
        found = [record for record in newest_first if all(getattr(record, name) == value for name, value in wanted)]
        if cursor is not None:
            ids = [record.session_id for record in found]
            if cursor not in ids:
                raise InvalidInput("not a cursor of this list", field="cursor")
            found = found[ids.index(SessionId(cursor)) + 1 :]
        page = found[:limit]
        return Page(sessions=tuple(page), next=page[-1].session_id if len(page) < len(found) else None)

    async def count_by_state(
        self, tenant: TenantId, *, definition: DefinitionName, status: SessionStatus
    ) -> Mapping[str, int]:
        found = [
            record.state
            for record in self._records.values()
            if (record.tenant, record.definition, record.status) == (tenant, definition, status)
        ]
        return dict(sorted(Counter(found).items()))


class InMemoryApiKeys:
    """Keys that tests make with `create`; the digest of a key is the key itself.

    Attributes:
        reads: How often a key was looked up.
    """

    def __init__(self) -> None:
        self._keys: dict[KeyId, tuple[ApiKey, str]] = {}
        self.reads = 0

    async def create(
        self, tenant: TenantId, name: str, scope: Scope, *, at: datetime, expires_at: datetime | None = None
    ) -> tuple[ApiKey, SecretStr]:
        number = len(self._keys) + 1
        secret = f"tertulia_{number:064x}"
        key = ApiKey(
            key_id=KeyId(f"key-{number}"),
            tenant=tenant,
            name=name,
            scope=scope,
            prefix=secret[:17],
            created_at=at,
            expires_at=expires_at,
        )
        self._keys[key.key_id] = key, secret
        return key, SecretStr(secret)

    async def find(self, secret: SecretStr) -> ApiKey | None:
        self.reads += 1
        return next((key for key, its in self._keys.values() if its == secret.get_secret_value()), None)

    async def get(self, key_id: KeyId) -> ApiKey | None:
        self.reads += 1
        return self._keys[key_id][0] if key_id in self._keys else None

    async def find_all(self, tenant: TenantId, *, cursor: str | None = None, limit: int = 50) -> KeyPage:
        mine = [key for key, _ in reversed(self._keys.values()) if key.tenant == tenant]
        if cursor is not None:
            ids = [key.key_id for key in mine]
            if cursor not in ids:
                raise InvalidInput("not a cursor of this list", field="cursor")
            mine = mine[ids.index(KeyId(cursor)) + 1 :]
        return KeyPage(keys=mine[:limit], next=mine[limit - 1].key_id if len(mine) > limit else None)

    async def revoke(self, tenant: TenantId, key_id: KeyId, *, at: datetime) -> None:
        if key_id not in self._keys or self._keys[key_id][0].tenant != tenant:
            raise NotFound("key", key_id)
        key, secret = self._keys[key_id]
        self._keys[key_id] = key.model_copy(update={"revoked_at": key.revoked_at or at}), secret

    async def used(self, key: ApiKey, *, at: datetime) -> None:
        known, secret = self._keys[key.key_id]
        self._keys[key.key_id] = known.model_copy(update={"last_used_at": at}), secret


class ScriptedEvents:
    """Tells what a test puts in, when it puts it in; `end` ends every stream.

    An error that is put in is raised once, to the first reader who has had all that there is.
    """

    def __init__(self) -> None:
        self._log: list[tuple[SessionId, SessionEvent]] = []
        self._errors: deque[Exception] = deque()
        self._ended = False
        self._changed = asyncio.Event()
        self._had = 0

    def put(self, event: SessionEvent | Exception, session_id: SessionId | None = None) -> None:
        """Tell an event of a session; of every one where none is given."""
        if isinstance(event, Exception):
            self._errors.append(event)
        else:
            self._log.append((session_id or SessionId(""), event))
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()

    async def drained(self) -> None:
        """Wait until somebody has had everything."""
        while self._errors or self._had < len(self._log):
            await self._changed.wait()

    async def resume(self, session_id: SessionId, after: EventId) -> EventId | None:
        told = self._told(session_id)
        if after.number > max((each.id.number for each in told), default=0):
            raise InvalidInput("is not an id of this session's events; begin anew", field="last-event-id")
        closed = bool(told) and isinstance(told[-1].event, SessionEnded)
        return None if closed and after == told[-1].id else after

    async def now(self, session_id: SessionId) -> EventId:
        durable = [each for each in self._told(session_id) if not isinstance(each.event, Delta | TurnSuperseded)]
        running = bool(durable) and isinstance(durable[-1].event, TurnStarted)
        return EventId(len(durable) - running)

    async def follow(self, session_id: SessionId, after: EventId = BEGINNING) -> AsyncGenerator[Told]:
        had = [each.id for each in self._told(session_id)]
        place = had.index(after) + 1 if after in had else 0
        async for told in self._from(session_id, place):
            yield told
            if isinstance(told.event, SessionEnded):
                return

    async def follow_message(self, session_id: SessionId, message_id: MessageId) -> AsyncGenerator[Told]:
        ends = [
            place
            for place, told in enumerate(self._told(session_id), start=1)
            if isinstance(told.event, TurnEnded) and message_id not in told.event.message_ids
        ]
        async for told in self._from(session_id, max(ends, default=0)):
            yield told
            if isinstance(told.event, TurnEnded) and message_id in told.event.message_ids:
                return

    async def _from(self, session_id: SessionId, place: int) -> AsyncGenerator[Told]:
        while True:
            changed = self._changed
            for told in self._told(session_id)[place:]:
                place += 1
                yield told
            if changed is self._changed and (self._had < len(self._log) or self._errors):
                self._had = len(self._log)
                self._wake()
            if self._errors:
                raise self._errors.popleft()
            if self._ended:
                return
            await changed.wait()

    def _told(self, session_id: SessionId) -> list[Told]:
        told: list[Told] = []
        place = BEGINNING
        for of, event in self._log:
            if of in {session_id, ""}:
                if isinstance(event, Delta):
                    told += session_events.of_piece(event, place)
                else:
                    told.append(session_events.of_fact(place.number + 1, event, place))
                place = told[-1].id
        return told

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class ScriptedSessions:
    """Sessions without an engine: each message is taken, and its turn ends with what `answer` makes of it.

    Attributes:
        taking: While clear, no call gets through, as without a worker.
        ending: While clear, no turn ends.
        asked: Set by the first call.
        took: Set when a message has been taken.
        refusal: Raised by every call, where set.
        answer: Makes the reply's text from the person's.
        outcome: How turns end.
        expected: What is expected after a turn.
        taken: The messages that were taken, in order.
        orders: The orders that were taken, in order.
        order_refusal: Raised by every order, where set.
    """

    def __init__(self, records: InMemoryRecords, transcripts: InMemoryTranscripts, events: ScriptedEvents) -> None:
        self._records = records
        self._transcripts = transcripts
        self._events = events
        self._turns: dict[tuple[SessionId, MessageId], asyncio.Task[Reply]] = {}
        self._minutes = count()
        self.taking = asyncio.Event()
        self.taking.set()
        self.ending = asyncio.Event()
        self.ending.set()
        self.asked = asyncio.Event()
        self.took = asyncio.Event()
        self.refusal: Exception | None = None
        self.answer: Callable[[str], str] = lambda text: f"You said: {text}"
        self.outcome = TurnStatus.ANSWERED
        self.expected = OPEN_QUESTION
        self.taken: list[IncomingMessage] = []
        self.orders: list[Order] = []
        self.order_refusal: TertuliaError | None = None

    async def settled(self) -> None:
        """Wait until a message has been taken and no turn runs."""
        await self.took.wait()
        await asyncio.gather(*self._turns.values())

    async def open(self, session_id: SessionId, opening: OpenSession) -> Opened:
        await self._reached()
        if await self._records.get(session_id) is None:
            self._records.keep(_new_record(session_id, opening, at=NOON + timedelta(minutes=next(self._minutes))))
            self._transcripts.say(session_id, Role.ASSISTANT, "Hello! What is your name?")
        greeting = await self._transcripts.messages(session_id, limit=1)
        return Opened(session_id=session_id, state="onboarding", next_action=OPEN_QUESTION, messages=tuple(greeting))

    async def send(self, session_id: SessionId, message: IncomingMessage) -> Reply:
        return await asyncio.shield(await self._turn(session_id, message))

    async def submit(self, session_id: SessionId, message: IncomingMessage) -> MessageId:
        await self._turn(session_id, message)
        assert message.message_id is not None
        return MessageId(message.message_id)

    async def view(self, session_id: SessionId) -> SessionView:
        record = await self._open_record(session_id)
        running = [task for (session, _), task in self._turns.items() if session == session_id and not task.done()]
        return SessionView(
            session_id=session_id,
            definition=DefinitionName(record.definition),
            definition_hash=HASH,
            state=record.state,
            status=record.status,
            owner=record.owner,
            turn=record.turn,
            slots=record.slots,
            next_action=OPEN_QUESTION,
            waiting=0,
            running=RunningTurn(turn=record.turn + 1) if running else None,
            refused_signals=(),
            last_activity_at=NOON,
            reminder_at=None,
            expires_at=None,
        )

    async def awaits(self, session_id: SessionId, message_id: MessageId) -> bool:
        await self._open_record(session_id)
        turn = self._turns.get((session_id, message_id))
        return turn is not None and not turn.done()

    async def cancel_turn(self, session_id: SessionId) -> bool:
        return (await self.view(session_id)).running is not None

    async def transition(self, session_id: SessionId, to: TransitionTo) -> SessionView:
        record = await self._open_record(session_id)
        if to.state != "processing":
            raise TransitionRefused(f"{record.state} does not lead there", ["processing"])
        self._records.keep(record.model_copy(update={"state": to.state}))
        return await self.view(session_id)

    async def order(self, session_id: SessionId, order: Order) -> Reply:
        record = await self._open_record(session_id)
        if self.order_refusal is not None:
            raise self.order_refusal
        self.orders.append(order)
        return Reply(
            turn=record.turn + 1,
            status=TurnStatus.ANSWERED,
            text=f"{order.action} done",
            state=record.state,
            next_action=OPEN_QUESTION,
            message_id=MessageId(order.request_id or ""),
            owner=Owner.HUMAN,
        )

    async def close(self, session_id: SessionId, close: Close) -> None:
        record = await self._open_record(session_id)
        closed = {"status": SessionStatus.CLOSED, "closed_reason": close.reason}
        self._records.keep(record.model_copy(update=closed))
        self._events.put(SessionEnded(state=record.state, reason=close.reason), session_id)

    async def erase(self, session_id: SessionId) -> bool:
        await self._reached()
        return await self._records.get(session_id) is not None

    async def _reached(self) -> None:
        self.asked.set()
        await self.taking.wait()
        if self.refusal is not None:
            raise self.refusal

    async def _open_record(self, session_id: SessionId) -> SessionRecord:
        await self._reached()
        record = await self._records.get(session_id)
        if record is None:
            raise NotFound("session", session_id)
        if record.status is SessionStatus.CLOSED:
            raise SessionClosed("the session is closed; start another one")
        return record

    async def _turn(self, session_id: SessionId, message: IncomingMessage) -> asyncio.Task[Reply]:
        record = await self._open_record(session_id)
        assert message.message_id is not None
        key = (session_id, MessageId(message.message_id))
        if key not in self._turns:
            self.taken.append(message)
            self._events.put(TurnStarted(turn=record.turn + 1, message_ids=(key[1],)), session_id)
            self._turns[key] = asyncio.create_task(self._run(session_id, message))
            self.took.set()
        return self._turns[key]

    async def _run(self, session_id: SessionId, message: IncomingMessage) -> Reply:
        await self.ending.wait()
        record = await self._open_record(session_id)
        turn, message_id = record.turn + 1, MessageId(message.message_id or "")
        text = self.answer(message.text)
        self._transcripts.say(session_id, Role.USER, message.text, turn=turn, message_id=message_id)
        self._transcripts.say(session_id, Role.ASSISTANT, text, turn=turn)
        reply = Reply(
            turn=turn,
            status=self.outcome,
            text=text,
            state=record.state,
            next_action=self.expected,
            message_id=message_id,
            provider="groq",
        )
        self._transcripts.record(turn_record(session_id, turn, reply))
        self._records.keep(record.model_copy(update={"turn": turn}))
        seq = len(await self._transcripts.messages(session_id, limit=1000))
        self._events.put(TurnEnded.of(reply, (message_id,), seq), session_id)
        return reply


_HELLO = Completion(text="Hello", finish=FinishReason.STOP)


class ScriptedCompletions:
    """Answers questions with what a test puts in; an error is raised behind the pieces before it.

    Attributes:
        answers: In order: pieces of text, then a Completion or an error; a greeting where there are none left.
        asked: What was asked, for which tenant, and of whom only.
        going_on: While clear, an answer is not ended.
        under_way: Set when an answer is wanted.
        cancelled: Set when somebody no longer wants an answer.
        configs: The configurations in use.
    """

    def __init__(self) -> None:
        self.answers: deque[tuple[Sequence[str], Completion | Exception]] = deque()
        self.asked: list[tuple[CompletionRequest, str, Collection[ProviderName]]] = []
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.under_way = asyncio.Event()
        self.cancelled = asyncio.Event()
        usable = ProviderConfig(name="groq", kind=ProviderKind.GROQ, model="openai/gpt-oss-120b")
        configs = (usable, usable.model_copy(update={"name": "gemini", "unusable": "no key"}))
        self.configs = [Configured(config, Origin.ENVIRONMENT) for config in configs]

    def configured(self) -> Sequence[Configured]:
        return self.configs

    async def execute_with_fallback(
        self,
        request: CompletionRequest,
        *,
        tenant: str,
        within: timedelta,
        only: Collection[ProviderName] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        self.asked.append((request, tenant, only))
        self.under_way.set()
        pieces, end = self.answers.popleft() if self.answers else ((), _HELLO)
        for piece in pieces:
            if on_text:
                on_text(piece)
        try:
            await self.going_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if isinstance(end, Exception):
            raise end
        return end


class InMemoryDefinitions:
    """Definitions on offer, by name."""

    def __init__(self, *definitions: Definition) -> None:
        self._definitions = {DefinitionName(definition.name): definition for definition in definitions}

    def names(self) -> Sequence[DefinitionName]:
        return list(self._definitions)

    def get(self, name: DefinitionName) -> Definition:
        if name not in self._definitions:
            raise NotFound("definition", name)
        return self._definitions[name]


def turn_record(session_id: SessionId, turn: int, reply: Reply) -> TurnRecord:
    """A turn in which openrouter was passed over, gemini failed, and groq answered."""
    provider = ProviderName("groq")
    key = AttemptKey(attempt_id="attempt-1", session_id=session_id, turn=turn, ask=1, provider=provider, attempt=1)
    usage = Usage(input_uncached=210, output_visible=18, source="reported")
    outcome = AttemptOutcome(
        failure=None,
        status=200,
        model="llama",
        ttft_ms=80.5,
        latency_ms=410.0,
        usage=usage,
        cost_usd=Decimal("0.00031"),
    )
    return TurnRecord(
        session_id=session_id,
        turn=turn,
        status=reply.status,
        message_ids=(reply.message_id,) if reply.message_id else (),
        reply=reply,
        state_before="onboarding",
        state_after="onboarding",
        passed_over=(PassedOver(provider=ProviderName("openrouter"), reason="unhealthy by its last probes"),),
        tried=(ProviderTry(provider=provider),),
        attempts=(AttemptRecord(key=key, started_at=NOON, ended_at=NOON + timedelta(seconds=1), outcome=outcome),),
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=1),
    )


def _new_record(session_id: SessionId, opening: OpenSession, *, at: datetime) -> SessionRecord:
    return SessionRecord(
        session_id=session_id,
        **opening.model_dump(),
        definition_hash=HASH,
        state="onboarding",
        status=SessionStatus.OPEN,
        owner=Owner.BOT,
        turn=0,
        slots={"name": "Ada"},
        next_action=OPEN_QUESTION,
        closed_reason=None,
        created_at=at,
        updated_at=at,
    )


@dataclass
class ScriptedTallies:
    """Tells what is written down; an error is raised."""

    tallied: Tallied | Exception = field(default_factory=lambda: Tallied(opened=0, closed=0, begun={}, ended=()))

    async def read(self) -> Tallied:
        if isinstance(self.tallied, Exception):
            raise self.tallied
        return self.tallied


@dataclass
class ScriptedAnalytics:
    """Answers every question with the rows that are written down for it, and remembers it."""

    rows: dict[str, Sequence[Any]] = field(default_factory=dict)
    asked: list[tuple[str, Selection, By | ByDay | None]] = field(default_factory=list)

    async def funnel(self, of: Selection) -> Sequence[FunnelRow]:
        return self._answer("funnel", of)

    async def state_times(self, of: Selection) -> Sequence[StateTimeRow]:
        return self._answer("state-times", of)

    async def slots(self, of: Selection) -> Sequence[SlotRow]:
        return self._answer("slots", of)

    async def knock_outs(self, of: Selection) -> Sequence[KnockOutRow]:
        return self._answer("knock-outs", of)

    async def response_times(self, of: Selection, by: ByDay) -> Sequence[ResponseTimeRow]:
        return self._answer("response-times", of, by)

    async def volumes(self, of: Selection, by: By) -> Sequence[VolumeRow]:
        return self._answer("volumes", of, by)

    async def outcomes(self, of: Selection, by: ByDay) -> Sequence[OutcomeRow]:
        return self._answer("outcomes", of, by)

    async def costs(self, of: Selection) -> Sequence[CostRow]:
        return self._answer("costs", of)

    async def providers(self, of: Selection) -> Sequence[ProviderRow]:
        return self._answer("providers", of)

    def _answer(self, figure: str, of: Selection, by: By | ByDay | None = None) -> Sequence[Any]:
        self.asked.append((figure, of, by))
        return self.rows.get(figure, ())
