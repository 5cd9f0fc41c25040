"""Made-up sessions of several tenants, and what the figures of them are, counted one by one in plain Python."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from random import Random
from typing import Any, TypeVar

from tertulia.domain.analytics import (
    By,
    ByDay,
    CostRow,
    FunnelRow,
    KnockOutRow,
    Outcome,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.conversation import (
    Message,
    NextAction,
    OpenSession,
    Owner,
    Reply,
    Role,
    SessionStatus,
    TurnStatus,
)
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import FailureClass
from tertulia.domain.figures import HeardAs, Passage, Progress, Standing, TurnFigures
from tertulia.domain.ids import MessageId, SessionId, TenantId
from tertulia.domain.providers.attempts import Admission
from tertulia.domain.recruiting.applications import Application, ApplicationStatus, Prescreen, Step
from tertulia.domain.turns import AttemptKey, AttemptOutcome, BeginTurn, EndTurn, NewSession, SessionProjection
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns
from tests.domain.applying import job, question

T = TypeVar("T")

# Late in the day, so that sessions run over midnight.
EVE = datetime(2026, 3, 28, 21, 30, tzinfo=UTC)
TENANTS = ("acme", "umbrella")
DEFINITIONS = ("hiring", "support")
CHANNELS = ("web", "sms", "api")
JOBS = (None, "baker", "miller")
STATES = ("hello", "questions", "done", "human")
SLOTS = ("name", "years", "why")
MUST_HAVES = ("permit", "licence")
PROVIDERS = ("groq", "gemini")


@dataclass(frozen=True)
class Attempted:
    provider: str
    ended_at: datetime
    outcome: AttemptOutcome


@dataclass(frozen=True)
class Talked:
    """A turn that has ended."""

    ended_at: datetime
    figures: TurnFigures
    asked_slot: str | None
    from_person: int
    from_assistant: int
    from_operator: int
    attempts: Sequence[Attempted]


@dataclass
class Session:
    """A session with all that has happened in it; `runs` where another turn has begun and not ended."""

    session_id: SessionId
    tenant: str
    definition: str
    job_id: str | None
    channel: str
    opened_at: datetime
    turns: list[Talked] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    closed: bool = False
    runs: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.progress.handed_over:
            return Outcome.HANDED_OVER
        if self.progress.standing is Standing.COMPLETE:
            return Outcome.CONTAINED
        if not self.closed:
            return Outcome.IN_PROGRESS
        return Outcome.CONTAINED if self.progress.standing is Standing.TALKING else Outcome.ABANDONED

    @property
    def is_complete(self) -> bool:
        return self.progress.standing is Standing.COMPLETE


@dataclass(frozen=True)
class Applied:
    tenant: str
    job_id: str
    session: Session | None
    created_at: datetime
    failed: tuple[str, ...] | None


@dataclass
class World:
    """Everything there is."""

    sessions: list[Session]
    applications: list[Applied]
    elsewhere: list[tuple[str, Attempted]]  # attempts outside of any session, with their tenants

    def moments(self) -> list[datetime]:
        """All times at which something happened: the bounds at which counting goes wrong."""
        turns = [turn.ended_at for session in self.sessions for turn in session.turns]
        return [*(session.opened_at for session in self.sessions), *turns]


# --- making it up -----------------------------------------------------------------------------------------------------


def made_up(random: Random, *, sessions: int) -> World:
    """Make up a world."""
    chats = [_session(random, number) for number in range(sessions)]
    return World(
        sessions=chats,
        applications=[application for chat in chats if (application := _application(random, chat))],
        elsewhere=[(random.choice(TENANTS), _attempt(random, _later(random, EVE, hours=60))) for _ in range(5)],
    )


def _session(random: Random, number: int) -> Session:
    session = Session(
        session_id=SessionId(f"chat-{number}"),
        tenant=random.choice(TENANTS),
        definition=random.choice(DEFINITIONS),
        job_id=random.choice(JOBS),
        channel=random.choice(CHANNELS),
        opened_at=_later(random, EVE, hours=72),
        runs=random.random() < 0.2,
    )
    turns = random.randint(0, 7)
    closes = turns > 1 and random.random() < 0.6
    for turn in range(turns):
        _talk(random, session, greeting=turn == 0, closes=closes and turn == turns - 1)
    return session


def _talk(random: Random, session: Session, *, greeting: bool, closes: bool) -> None:
    since = session.turns[-1].ended_at if session.turns else session.opened_at
    at = _later(random, since, hours=0.05 if random.random() < 0.7 else 20)
    passages: list[Passage] = []
    progress = session.progress
    targets = [random.choice(STATES) for _ in range(random.choice([0, 0, 1, 2]))]
    for target in ["hello", *targets] if greeting else targets:
        stayed_ms = None if progress.since is None else _ms(at - progress.since)
        first = target not in progress.visited
        passages.append(Passage(at=at, source=progress.state, target=target, first=first, stayed_ms=stayed_ms))
        visited = (*progress.visited, target) if first else progress.visited
        progress = progress.model_copy(update={"state": target, "since": at, "visited": visited})
    if closes:
        assert progress.since
        passages.append(Passage(at=at, source=progress.state, stayed_ms=_ms(at - progress.since)))
    else:
        progress = progress.model_copy(update={"standing": random.choice(list(Standing))})
    from_person = 0 if greeting else random.randint(0, 2)
    heard = from_person > 0 and random.random() < 0.7
    session.turns.append(
        Talked(
            ended_at=at,
            figures=TurnFigures(
                response_ms=random.randint(1, 5000) if from_person and random.random() < 0.9 else None,
                heard_slot=random.choice(SLOTS) if heard else None,
                heard_as=random.choice(list(HeardAs)) if heard else None,
                passages=tuple(passages),
            ),
            asked_slot=random.choice([None, *SLOTS]),
            from_person=from_person,
            from_assistant=random.randint(0, 1),
            from_operator=random.choice([0, 0, 0, 1]),
            attempts=[_attempt(random, at) for _ in range(random.choice([0, 0, 1, 2]))],
        )
    )
    session.progress = progress.model_copy(
        update={"handed_over": progress.handed_over or random.random() < 0.05},
    )
    session.closed = closes


def _attempt(random: Random, at: datetime) -> Attempted:
    failure = random.choice([None, None, None, FailureClass.TIMEOUT, FailureClass.CANCELLED])
    cost = random.choice([None, Decimal(random.randint(0, 400)) / 10_000])
    return Attempted(
        provider=random.choice(PROVIDERS),
        ended_at=at,
        outcome=AttemptOutcome(
            failure=failure,
            ttft_ms=random.choice([None, float(random.randint(20, 900))]),
            latency_ms=float(random.randint(30, 4000)),
            cost_usd=cost,
            cost_at_most_usd=cost,
            cost_source="unknown" if cost is None else "priced",
        ),
    )


def _application(random: Random, session: Session) -> Applied | None:
    if session.job_id is None or random.random() < 0.2:
        return None
    failed = tuple(qid for qid in (*MUST_HAVES, "removed") if random.random() < 0.3)
    return Applied(
        tenant=session.tenant,
        job_id=session.job_id,
        session=session if random.random() < 0.9 else None,
        created_at=session.opened_at,
        failed=failed if random.random() < 0.8 else None,
    )


def _later(random: Random, since: datetime, *, hours: float) -> datetime:
    return since + timedelta(milliseconds=random.randint(0, int(hours * 3_600_000)))


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


# --- writing it down, as the engine does ------------------------------------------------------------------------------


async def store(pool: Pool, world: World) -> None:
    """Write a world down, turn by turn."""
    jobs = PostgresJobs(pool)
    for tenant in TENANTS:
        for job_id in filter(None, JOBS):
            questions = [question(qid, "boolean", text=f"{qid}?", must_have=True) for qid in MUST_HAVES]
            await jobs.create(TenantId(tenant), job(*questions, question("years"), job_id=job_id))
    for session in world.sessions:
        await _store_session(pool, session)
    for number, applied in enumerate(world.applications):
        await _store_application(pool, number, applied)
    for number, (tenant, attempted) in enumerate(world.elsewhere):
        await _store_attempt(pool, f"elsewhere-{number}", tenant, None, 0, attempted)


async def _store_session(pool: Pool, session: Session) -> None:
    turns = PostgresTurns(pool)
    definition = Definition.model_validate(
        {"name": session.definition, "version": "1", "title": "?", "initial": "hello", "states": {"hello": {}}}
    )
    await turns.open(
        NewSession(
            session_id=session.session_id,
            opening=OpenSession(
                definition=session.definition,
                user_id=f"user of {session.session_id}",
                channel=session.channel,
                job_id=session.job_id,
                tenant=session.tenant,
            ),
            definition_hash=definition.content_hash(),
            opened_at=session.opened_at,
        ),
        definition,
    )
    seq, progress = 0, Progress()
    for number, talked in enumerate(session.turns):
        said = _messages(seq, number, talked, (Role.USER,) * talked.from_person)
        shown = _messages(
            seq + len(said),
            number,
            talked,
            (Role.ASSISTANT,) * talked.from_assistant + (Role.OPERATOR,) * talked.from_operator,
        )
        seq += len(said) + len(shown)
        await turns.begin(BeginTurn(session_id=session.session_id, turn=number, messages=said, at=talked.ended_at))
        for place, attempted in enumerate(talked.attempts):
            attempt_id = f"{session.session_id}/{number}/{place}"
            await _store_attempt(pool, attempt_id, session.tenant, session.session_id, number, attempted)
        is_last = number == len(session.turns) - 1
        progress = session.progress if is_last else progress
        await turns.end(_end(session, number, talked, said, shown, progress, closes=is_last and session.closed))
    if session.runs and not session.closed:
        await turns.begin(
            BeginTurn(session_id=session.session_id, turn=len(session.turns), messages=(), at=EVE + timedelta(days=9))
        )


def _messages(seq: int, turn: int, talked: Talked, roles: Sequence[Role]) -> tuple[Message, ...]:
    return tuple(
        Message(
            seq=seq + place,
            turn=turn,
            role=role,
            text="?",
            created_at=talked.ended_at,
            message_id=MessageId(f"m{seq + place}") if role is Role.USER else None,
        )
        for place, role in enumerate(roles, start=1)
    )


def _end(
    session: Session,
    number: int,
    talked: Talked,
    said: Sequence[Message],
    shown: tuple[Message, ...],
    progress: Progress,
    *,
    closes: bool,
) -> EndTurn:
    state = progress.state or "hello"
    next_action = NextAction(kind="answer" if talked.asked_slot else "talk", slot=talked.asked_slot)
    return EndTurn(
        session_id=session.session_id,
        turn=number,
        status=TurnStatus.ANSWERED,
        messages=shown,
        reply=Reply(turn=number, status=TurnStatus.ANSWERED, text="?", state=state, next_action=next_action),
        message_ids=tuple(message.message_id for message in said if message.message_id),
        state_before=state,
        session=SessionProjection(
            state=state,
            status=SessionStatus.CLOSED if closes else SessionStatus.OPEN,
            owner=Owner.BOT,
            turn=number,
            slots={},
            next_action=next_action,
            closed_reason="?" if closes else None,
            progress=progress,
        ),
        started_at=talked.ended_at,
        ended_at=talked.ended_at,
        figures=talked.figures,
    )


async def _store_attempt(
    pool: Pool, attempt_id: str, tenant: str, session_id: SessionId | None, turn: int, attempted: Attempted
) -> None:
    attempts = PostgresAttempts(pool)
    key = AttemptKey.model_validate(
        {
            "attempt_id": attempt_id,
            "session_id": session_id,
            "turn": turn,
            "ask": 1,
            "provider": attempted.provider,
            "attempt": 1,
            "tenant": tenant,
        }
    )
    at = attempted.ended_at
    admission = Admission(
        key=key,
        limit=3,
        canary=False,
        reserve_usd=Decimal(0),
        daily_budget_usd=None,
        at=at,
        expires_at=at + timedelta(seconds=15),
    )
    assert isinstance(await attempts.admit(admission), int)
    await attempts.settle(attempt_id, attempted.outcome, at)


async def _store_application(pool: Pool, number: int, applied: Applied) -> None:
    prescreen = applied.failed is not None and Prescreen(
        jd_match_score=50, must_have_failed=applied.failed, points={}, at=applied.created_at
    )
    application = Application.model_validate(
        {
            "application_id": f"a{number}",
            "job_id": applied.job_id,
            "user_id": f"u{number}",
            "session_id": applied.session and applied.session.session_id,
            "status": ApplicationStatus.SCREENED if prescreen else ApplicationStatus.DRAFT,
            "prescreen": prescreen or None,
            "created_at": applied.created_at,
            "updated_at": applied.created_at,
        }
    )
    await PostgresApplications(pool).open(TenantId(applied.tenant), Step(application))


# --- counting it, one by one ------------------------------------------------------------------------------------------


class Reckoning:
    """The figures of a selection, by the words of `docs/analytics.md`."""

    def __init__(self, world: World, of: Selection) -> None:
        self._world = world
        self._of = of
        self._chats = [session for session in world.sessions if self._matches(session)]
        self._opened = [session for session in self._chats if self._is_within(session.opened_at)]
        self._talked = [
            (session, turn) for session in self._chats for turn in session.turns if self._is_within(turn.ended_at)
        ]

    def _matches(self, session: Session) -> bool:
        of = self._of
        return (
            session.tenant == of.tenant
            and of.definition in {None, session.definition}
            and of.job_id in {None, session.job_id}
            and of.channel in {None, session.channel}
        )

    def _is_within(self, at: datetime) -> bool:
        return self._of.since <= at < self._of.until

    @property
    def _is_filtered(self) -> bool:
        return (self._of.definition, self._of.job_id, self._of.channel) != (None, None, None)

    def funnel(self) -> list[FunnelRow]:
        rows = []
        for definition, chats in _grouped(self._opened, lambda session: session.definition):
            reached = Counter(
                state
                for chat in chats
                for state in {passage.target for turn in chat.turns for passage in turn.figures.passages}
                if state
            )
            for state, count in reached.items():
                outcomes = Counter(chat.outcome for chat in chats if chat.progress.state == state)
                counts = {outcome.value: outcomes[outcome] for outcome in Outcome}
                rows.append(FunnelRow(definition=definition, state=state, reached=count, **counts))
        return sorted(rows, key=lambda row: (row.definition, -row.reached, row.state))

    def state_times(self) -> list[StateTimeRow]:
        stays = [
            ((session.definition, passage.source), passage.stayed_ms)
            for session in self._opened
            for turn in session.turns
            for passage in turn.figures.passages
            if passage.source is not None and passage.stayed_ms is not None
        ]
        return [
            StateTimeRow(
                definition=definition,
                state=state,
                stays=len(found),
                mean_s=_mean_s([ms for _, ms in found]),
                p50_s=_percentile([ms for _, ms in found], 50) / 1000,
                p95_s=_percentile([ms for _, ms in found], 95) / 1000,
                longest_s=max(ms for _, ms in found) / 1000,
            )
            for (definition, state), found in _grouped(stays, lambda stay: stay[0])
        ]

    def slots(self) -> list[SlotRow]:
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for session, turn in self._talked:
            if turn.asked_slot:
                counts[session.definition, turn.asked_slot]["asked"] += 1
            if turn.figures.heard_slot and turn.figures.heard_as:
                of = counts[session.definition, turn.figures.heard_slot]
                of["heard"] += 1
                of[turn.figures.heard_as.value] += 1
                of["re_asked"] += turn.asked_slot == turn.figures.heard_slot
        columns = ("asked", "heard", "re_asked", *HeardAs)
        return [
            SlotRow(definition=definition, slot=slot, **{column: of[column] for column in columns})
            for (definition, slot), of in sorted(counts.items())
        ]

    def knock_outs(self) -> list[KnockOutRow]:
        by_chat = (self._of.definition, self._of.channel) != (None, None)
        screened = [
            each
            for each in self._world.applications
            if each.tenant == self._of.tenant
            and self._of.job_id in {None, each.job_id}
            and self._is_within(each.created_at)
            and each.failed is not None
            and (not by_chat or (each.session is not None and self._matches(each.session)))
        ]
        rows = []
        for job_id, each in _grouped(screened, lambda applied: applied.job_id):
            failed = Counter(qid for applied in each for qid in applied.failed or ())
            alone = Counter(applied.failed[0] for applied in each if applied.failed and len(applied.failed) == 1)
            rows += [
                KnockOutRow(
                    job_id=job_id,
                    qid=qid,
                    question=f"{qid}?" if qid in MUST_HAVES else None,
                    screened=len(each),
                    knocked_out=failed[qid],
                    by_this_alone=alone[qid],
                )
                for qid in {*MUST_HAVES, *failed}
            ]
        return sorted(rows, key=lambda row: (row.job_id, -row.knocked_out, row.qid))

    def response_times(self, by: ByDay) -> list[ResponseTimeRow]:
        waits: dict[datetime | None, list[int]] = defaultdict(list)
        texts: dict[datetime | None, list[float]] = defaultdict(list)
        for _, turn in self._talked:
            if turn.figures.response_ms is not None:
                waits[_begins(turn.ended_at, by)].append(turn.figures.response_ms)
        for _, attempted in self._attempts():
            if attempted.outcome.failure is None and attempted.outcome.ttft_ms is not None:
                texts[_begins(attempted.ended_at, by)].append(attempted.outcome.ttft_ms)
        return [
            ResponseTimeRow(
                at=at,
                replies=len(waits[at]),
                p50_ms=_percentile(waits[at], 50) if waits[at] else None,
                p95_ms=_percentile(waits[at], 95) if waits[at] else None,
                first_texts=len(texts[at]),
                first_text_p50_ms=_percentile(texts[at], 50) if texts[at] else None,
                first_text_p95_ms=_percentile(texts[at], 95) if texts[at] else None,
            )
            for at in sorted({*waits, *texts}, key=lambda at: at or EVE)
        ]

    def volumes(self, by: By) -> list[VolumeRow]:
        counts: dict[tuple[datetime | None, int | None, str], Counter[str]] = defaultdict(Counter)

        def of(at: datetime, session: Session) -> Counter[str]:
            hour = at.astimezone(UTC).hour if by is By.HOUR_OF_DAY else None
            return counts[None if hour is not None else _begins(at, by), hour, session.channel]

        for session in self._opened:
            of(session.opened_at, session)["sessions"] += 1
        for session, turn in self._talked:
            of(turn.ended_at, session).update(
                turns=1,
                from_person=turn.from_person,
                from_assistant=turn.from_assistant,
                from_operator=turn.from_operator,
            )
        columns = ("sessions", "turns", "from_person", "from_assistant", "from_operator")
        return [
            VolumeRow(at=at, hour=hour, channel=channel, **{column: count[column] for column in columns})
            for (at, hour, channel), count in sorted(
                counts.items(), key=lambda item: (item[0][0] or EVE, item[0][1] or 0, item[0][2])
            )
        ]

    def outcomes(self, by: ByDay) -> list[OutcomeRow]:
        return [
            OutcomeRow(
                at=at,
                definition=definition,
                channel=channel,
                sessions=len(chats),
                completed=sum(chat.is_complete for chat in chats),
                **{outcome.value: sum(chat.outcome is outcome for chat in chats) for outcome in Outcome},
            )
            for (at, definition, channel), chats in _grouped(
                self._opened, lambda chat: (_begins(chat.opened_at, by), chat.definition, chat.channel)
            )
        ]

    def costs(self) -> list[CostRow]:
        rows = []
        for definition, chats in _grouped(self._opened, lambda chat: chat.definition):
            outcomes = [
                (chat.is_complete, attempted.outcome)
                for chat in chats
                for turn in chat.turns
                for attempted in turn.attempts
            ]
            rows.append(
                CostRow(
                    definition=definition,
                    sessions=len(chats),
                    completed=sum(chat.is_complete for chat in chats),
                    cost_usd=sum((outcome.cost_usd or Decimal(0) for _, outcome in outcomes), Decimal(0)),
                    completed_cost_usd=sum(
                        (outcome.cost_usd or Decimal(0) for complete, outcome in outcomes if complete), Decimal(0)
                    ),
                    unpriced=sum(outcome.cost_usd is None for _, outcome in outcomes),
                )
            )
        return rows

    def providers(self) -> list[ProviderRow]:
        attempts = [attempted for _, attempted in self._attempts()]
        if not self._is_filtered:
            attempts += [
                attempted
                for tenant, attempted in self._world.elsewhere
                if tenant == self._of.tenant and self._is_within(attempted.ended_at)
            ]
        return [_provider(name, of) for name, of in _grouped(attempts, lambda attempted: attempted.provider)]

    def _attempts(self) -> list[tuple[Session, Attempted]]:
        return [
            (session, attempted)
            for session in self._chats
            for turn in session.turns
            for attempted in turn.attempts
            if self._is_within(attempted.ended_at)
        ]


def _provider(name: str, attempts: Sequence[Attempted]) -> ProviderRow:
    outcomes = [attempted.outcome for attempted in attempts]
    answered = [outcome for outcome in outcomes if outcome.failure is None]
    latencies = [outcome.latency_ms for outcome in answered]
    texts = [outcome.ttft_ms for outcome in answered if outcome.ttft_ms is not None]
    return ProviderRow(
        provider=name,
        attempts=len(outcomes),
        answered=len(answered),
        failures=dict(Counter(outcome.failure.value for outcome in outcomes if outcome.failure)),
        cost_usd=sum((outcome.cost_usd or Decimal(0) for outcome in outcomes), Decimal(0)),
        latency_p50_ms=_percentile(latencies, 50) if latencies else None,
        latency_p95_ms=_percentile(latencies, 95) if latencies else None,
        first_text_p50_ms=_percentile(texts, 50) if texts else None,
        first_text_p95_ms=_percentile(texts, 95) if texts else None,
    )


def _begins(at: datetime, by: By | ByDay) -> datetime | None:
    utc = at.astimezone(UTC)
    match By(by):
        case By.ALL:
            return None
        case By.DAY:
            return utc.replace(hour=0, minute=0, second=0, microsecond=0)
        case _:
            return utc.replace(minute=0, second=0, microsecond=0)


def _grouped(items: Iterable[T], key: Callable[[T], Any]) -> list[tuple[Any, list[T]]]:
    groups: dict[Any, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return sorted(
        groups.items(), key=lambda group: tuple(map(str, group[0])) if isinstance(group[0], tuple) else group[0]
    )


def _percentile(values: Sequence[Any], percent: int) -> Any:
    """The smallest value that so many percent of the values do not exceed."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def _mean_s(values: Sequence[int]) -> float:
    return float((Decimal(sum(values)) / len(values) / 1000).quantize(Decimal("0.001"), ROUND_HALF_UP))
