"""A chat session: one durable workflow, from the greeting to the close."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.errors import to_application_error
    from activities.turns import Opening, Recall, TurnActivities
    from tertulia.domain import machine
    from tertulia.domain.conversation import (
        CancelTurn,
        Close,
        HistoryView,
        IncomingMessage,
        NextAction,
        Opened,
        OpenSession,
        Owner,
        RefusedSignal,
        Reply,
        SessionStatus,
        SessionView,
        TransitionTo,
        TurnStatus,
    )
    from tertulia.domain.definition import Definition, DoubleText
    from tertulia.domain.errors import (
        InvalidInput,
        NotFound,
        SessionClosed,
        TertuliaError,
        TooManyWaiting,
        TransitionRefused,
        TurnInProgress,
        Unavailable,
    )
    from tertulia.domain.events import (
        Ask,
        AskProvider,
        EndSession,
        Event,
        PersonSaid,
        ProviderAnswered,
        ProvidersFailed,
        RejectTransition,
        Say,
        SessionStarted,
        TransitionRequested,
    )
    from tertulia.domain.ids import SESSION_WORKFLOW, MessageId, is_identifier, session_id_of
    from tertulia.domain.turns import BeginTurn, EndTurn, Ranking, SessionProjection, TurnBegun
    from workflows import options, visibility
    from workflows.carried import Carried, SessionInput, SessionResult
    from workflows.fallback import Fallback
    from workflows.idle_clock import IdleClock
    from workflows.inbox import Arrival, Inbox
    from workflows.signals import decode_signal
    from workflows.transcript import TranscriptTail
    from workflows.turn import Turn

_REFUSED_KEPT = 10
# No definition needs more questions to providers in one turn; a machine that asks on and on is stopped here.
_ASKS_PER_TURN = 5


@dataclass
class _TransitionOrder:
    """A transition by hand that waits until no turn runs."""

    to: TransitionTo
    done: bool = False
    rejected: RejectTransition | None = None


@workflow.defn(name=SESSION_WORKFLOW, failure_exception_types=[TertuliaError])
class Session:
    """Runs the application's state machine for one person's chat."""

    _definition: Definition
    _machine: machine.MachineState

    @workflow.init
    def __init__(self, start: SessionInput) -> None:
        self._id = session_id_of(workflow.info().workflow_id)
        self._start = start
        self._opened = False
        self._status = SessionStatus.OPEN
        self._owner = Owner.BOT
        self._failure: ApplicationError | None = None
        self._closing: Close | None = None
        self._inbox = Inbox()
        self._orders: deque[_TransitionOrder] = deque()
        self._refused: deque[RefusedSignal] = deque(maxlen=_REFUSED_KEPT)
        self._transcript = TranscriptTail()
        self._clock = IdleClock(workflow.now())
        self._turn = -1
        self._turns_in_run = 0
        self._running: Turn | None = None
        if start.carried:
            self._resume(start.carried)

    # --- the story ----------------------------------------------------------------------------------------------------

    @workflow.run
    async def run(self, start: SessionInput) -> SessionResult:
        if not self._opened:
            await self._open_or_fail()
        clock = asyncio.create_task(self._clock.run())
        try:
            while self._status is SessionStatus.OPEN:
                await workflow.wait_condition(lambda: self._is_time_for_a_new_run() or self._has_something_to_do())
                if self._is_time_for_a_new_run():
                    workflow.continue_as_new(start.model_copy(update={"carried": self._carried()}))
                await self._do_the_next_thing()
        except asyncio.CancelledError:
            # Somebody cancelled the workflow itself: the stored session must not stay open behind it.
            await self._take_turn(None, ends="the workflow was cancelled")
        clock.cancel()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return SessionResult(state=self._machine.state, turns=self._turn)

    async def _open_or_fail(self) -> None:
        """Open the session; where that can't be done, whoever waits learns why, and the workflow fails with it."""
        try:
            await self._open()
        except ApplicationError as error:
            self._failure = error
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise

    async def _open(self) -> None:
        opening = OpenSession.model_validate(self._start.model_dump(include=set(OpenSession.model_fields)))
        definition = await workflow.execute_local_activity_method(
            TurnActivities.open_session,
            Opening(session_id=self._id, opening=opening, opened_at=workflow.now()),
            **options.STORAGE,
        )
        self._use(definition)
        self._machine = machine.initial(definition)
        visibility.show_opening(opening)
        await self._take_turn(SessionStarted(context=opening.context))
        self._opened = True

    def _use(self, definition: Definition) -> None:
        self._definition = definition
        self._definition_hash = definition.content_hash()
        self._clock.set_timers(definition.timers)

    def _has_something_to_do(self) -> bool:
        return bool(self._closing or self._orders or self._inbox.waiting or self._clock.event_due())

    async def _do_the_next_thing(self) -> None:
        if self._orders:
            await self._carry_out(self._orders.popleft())
        elif self._inbox.waiting:
            await self._answer(self._inbox.take(self._definition.double_text))
        elif self._closing:
            await self._take_turn(None, ends=self._closing.reason)
        elif event := self._clock.event_due():
            self._clock.reminded = True
            await self._take_turn(event)

    def _is_time_for_a_new_run(self) -> bool:
        full = self._turns_in_run >= self._start.turns_per_run or workflow.info().is_continue_as_new_suggested()
        return full and not self._orders and not self._closing and workflow.all_handlers_finished()

    # --- turns --------------------------------------------------------------------------------------------------------

    async def _answer(self, arrivals: tuple[Arrival, ...]) -> None:
        """Take a turn for messages, but for those that a forgotten turn has answered."""
        begun = await self._begin(self._turn + 1, arrivals)
        for message_id, reply in begun.answered.items():
            self._inbox.settle([message_id], reply)
        fresh = tuple(arrival for arrival in arrivals if arrival.message_id not in begun.answered)
        if not fresh:
            return
        if begun.answered:
            begun = await self._begin(self._turn + 1, fresh)
        self._transcript.add(self._transcript.written(self._turn + 1, fresh))
        text = "\n".join(arrival.text for arrival in fresh)
        await self._take_turn(PersonSaid(text=text), arrivals=fresh, ranking=begun.ranking)

    async def _begin(self, turn: int, arrivals: Sequence[Arrival]) -> TurnBegun:
        return await workflow.execute_local_activity_method(
            TurnActivities.begin_turn,
            BeginTurn(
                session_id=self._id,
                turn=turn,
                messages=self._transcript.written(turn, arrivals),
                at=workflow.now(),
            ),
            **options.STORAGE,
        )

    async def _carry_out(self, order: _TransitionOrder) -> None:
        turn = await self._take_turn(TransitionRequested(state=order.to.state, reason=order.to.reason))
        order.rejected = turn.rejected
        order.done = True

    async def _take_turn(
        self,
        event: Event | None,
        *,
        arrivals: tuple[Arrival, ...] = (),
        ranking: Ranking | None = None,
        ends: str | None = None,
    ) -> Turn:
        """Take one turn from its event to its stored end; without an event the session only ends."""
        self._turn += 1
        self._turns_in_run += 1
        turn = self._running = Turn(self._turn, workflow.now(), self._machine.state, arrivals)
        turn.ends = ends
        if event:
            await self._run_machine(turn, event, ranking)
        await self._end(turn)
        self._running = None
        return turn

    async def _run_machine(self, turn: Turn, event: Event, ranking: Ranking | None) -> None:
        """Perform the machine's effects and feed the outcomes back, until it asks for nothing more."""
        next_event: Event | None = event
        for _ in range(_ASKS_PER_TURN):
            if next_event is None or turn.stopped:
                return
            self._machine, effects = machine.advance(self._definition, self._machine, next_event, workflow.now())
            next_event = None
            for effect in effects:
                match effect:
                    case Say():
                        turn.said.append(effect.text)
                    case AskProvider():
                        next_event = await self._ask(turn, effect.ask, ranking)
                    case RejectTransition():
                        turn.rejected = effect
                    case EndSession():
                        turn.ends = effect.reason

    async def _ask(self, turn: Turn, ask: Ask, ranking: Ranking | None) -> ProviderAnswered | ProvidersFailed | None:
        """Ask the providers in order; None where the turn was stopped meanwhile."""
        if self._definition.double_text is DoubleText.INTERRUPT and self._inbox.waiting:
            turn.stopped = TurnStatus.INTERRUPTED
            return None
        if turn.fallback is None:
            ranking = ranking or (await self._begin(turn.number, ())).ranking
            turn.fallback = Fallback(self._id, turn.number, self._definition_hash, ranking)
        try:
            answer = await turn.until_stopped(turn.fallback.ask(ask))
        except BaseException as error:
            if turn.stopped and is_cancelled_exception(error):
                return None
            raise
        if answer is None:
            return ProvidersFailed(ask=ask, failures=turn.fallback.failures)
        return ProviderAnswered(ask=ask, text=answer.text)

    async def _end(self, turn: Turn) -> None:
        """Store the turn, and only then let anybody see its outcome."""
        session = self._projection(turn)
        turn.failed = session.next_action.kind == "retry"
        reply = turn.reply(session)
        shown = self._transcript.shown(turn.number, reply.text)
        await workflow.execute_local_activity_method(
            TurnActivities.end_turn,
            EndTurn(
                session_id=self._id,
                turn=turn.number,
                status=turn.status,
                messages=shown,
                reply=reply,
                message_ids=turn.message_ids,
                state_before=turn.state_before,
                session=session,
                passed_over=turn.fallback.ranking.passed_over if turn.fallback else (),
                tried=tuple(turn.fallback.tried) if turn.fallback else (),
                started_at=turn.started_at,
                ended_at=workflow.now(),
            ),
            **options.STORAGE,
        )
        self._transcript.add(shown)
        self._inbox.settle(turn.message_ids, reply)
        self._status = session.status
        visibility.show_turn(session, machine.still_to_ask(self._definition, self._machine), turn.status)

    def _projection(self, turn: Turn) -> SessionProjection:
        status = SessionStatus.OPEN if turn.ends is None else SessionStatus.CLOSED
        return SessionProjection(
            state=self._machine.state,
            status=status,
            owner=self._owner,
            turn=turn.number,
            slots=self._machine.slots,
            next_action=self._next_action(status),
            closed_reason=turn.ends,
        )

    def _next_action(self, status: SessionStatus) -> NextAction:
        if status is SessionStatus.CLOSED:
            return NextAction(kind="none")
        return machine.next_action(self._definition, self._machine)

    # --- what clients ask for -----------------------------------------------------------------------------------------

    @workflow.update
    async def open(self) -> Opened:
        """Answer as soon as the session is open; sent together with the start."""
        await workflow.wait_condition(lambda: self._opened or self._is_over())
        if self._failure:
            raise self._failure
        return Opened(
            session_id=self._id,
            state=self._machine.state,
            next_action=self._next_action(self._status),
            messages=tuple(message for message in self._transcript.window if message.turn == 0),
        )

    @workflow.update
    async def send(self, message: IncomingMessage) -> Reply:
        """Take a message, and answer with the outcome of its turn. A known id gets its first outcome."""
        message_id = _message_id(message)
        self._receive(message_id, message.text)
        await workflow.wait_condition(lambda: self._inbox.is_answered(message_id) or self._is_over())
        if not self._inbox.is_answered(message_id):
            raise self._failure or to_application_error(SessionClosed("the session closed before this message"))
        return self._inbox.reply_to(message_id) or await self._recall(message_id)

    @send.validator
    def _check_send(self, message: IncomingMessage) -> None:
        try:
            self._check(message)
        except TertuliaError as error:
            raise to_application_error(error) from error

    @workflow.update
    async def cancel_turn(self) -> bool:
        """Stop the running turn; False where none runs."""
        return self._stop_turn(TurnStatus.CANCELLED)

    @workflow.update
    async def transition(self, to: TransitionTo) -> SessionView:
        """Move the session to another state, if the definition allows it."""
        order = _TransitionOrder(to)
        self._orders.append(order)
        await workflow.wait_condition(lambda: order.done or self._is_over())
        if order.rejected:
            raise to_application_error(TransitionRefused(order.rejected.reason, order.rejected.allowed))
        if not order.done:
            raise self._failure or to_application_error(SessionClosed("the session closed before the transition"))
        return self.state()

    @workflow.update
    async def close(self, close: Close) -> None:
        """End the session as soon as the messages that came before have had their turns."""
        self._closing = self._closing or close
        await workflow.wait_condition(self._is_over)

    @workflow.signal(dynamic=True)
    def signal(self, name: str, payloads: Sequence[RawValue]) -> None:
        """Take any signal: one that can't be used is recorded, and never blocks or fails the session."""
        try:
            self._deliver(decode_signal(name, payloads))
        except TertuliaError as error:
            self._refused.append(RefusedSignal(name=name[:100], reason=str(error)[:300], at=workflow.now()))

    @workflow.query
    def state(self) -> SessionView:
        """Where the session stands."""
        if not self._opened:
            raise to_application_error(Unavailable("the session", "it is still opening"))
        return SessionView(
            session_id=self._id,
            definition=self._definition.name,
            definition_hash=self._definition_hash,
            state=self._machine.state,
            status=self._status,
            owner=self._owner,
            turn=self._turn,
            slots=self._machine.slots,
            next_action=self._next_action(self._status),
            waiting=len(self._inbox.waiting),
            running=self._running.running if self._running else None,
            refused_signals=tuple(self._refused),
            last_activity_at=self._clock.last_activity_at,
            reminder_at=self._clock.reminder_at,
            expires_at=self._clock.expires_at,
        )

    @workflow.query
    def history(self) -> HistoryView:
        """The last messages, oldest first; the whole transcript is read from storage."""
        return HistoryView(messages=self._transcript.window)

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def _deliver(self, signal: IncomingMessage | TransitionTo | Close | CancelTurn) -> None:
        match signal:
            case IncomingMessage():
                self._check(signal)
                self._receive(_message_id(signal), signal.text)
            case TransitionTo():
                self._orders.append(_TransitionOrder(signal))
            case Close():
                self._closing = self._closing or signal
            case CancelTurn():
                self._stop_turn(TurnStatus.CANCELLED)

    def _check(self, message: IncomingMessage) -> None:
        """Refuse cheaply what can't get a turn.

        Raises:
            InvalidInput, SessionClosed, TurnInProgress, TooManyWaiting: Why not.
        """
        update = workflow.current_update_info()
        if message.message_id is None and update and not is_identifier(update.id):
            raise InvalidInput("the update's id can't serve as one; give one", field="message_id")
        if message.message_id is not None and self._inbox.knows(MessageId(message.message_id)):
            return
        if self._closing or self._is_over():
            raise SessionClosed("the session is closed; start another one")
        if not message.text.strip():
            raise InvalidInput("is empty", field="text")
        if self._opened:
            self._check_limits(message)

    def _check_limits(self, message: IncomingMessage) -> None:
        limits = self._definition.limits
        if len(message.text) > limits.message_chars:
            raise InvalidInput(f"is longer than {limits.message_chars} characters", field="text")
        if self._definition.double_text is DoubleText.REJECT and (self._running or self._inbox.waiting):
            raise TurnInProgress("a turn is running; wait for its reply, then send again")
        if len(self._inbox.waiting) >= limits.waiting_messages:
            raise TooManyWaiting(f"{limits.waiting_messages} messages are waiting already; send again later")

    def _receive(self, message_id: MessageId, text: str) -> None:
        if self._inbox.knows(message_id):
            return
        self._inbox.add(Arrival(message_id=message_id, text=text, arrived_at=workflow.now()))
        self._clock.touch()
        if self._opened and self._definition.double_text is DoubleText.INTERRUPT:
            self._stop_turn(TurnStatus.INTERRUPTED)

    async def _recall(self, message_id: MessageId) -> Reply:
        reply = await workflow.execute_local_activity_method(
            TurnActivities.recall_turn, Recall(session_id=self._id, message_id=message_id), **options.STORAGE
        )
        if reply is None:
            raise to_application_error(NotFound("reply to the message", message_id))
        return reply

    def _stop_turn(self, status: TurnStatus) -> bool:
        return self._running is not None and self._running.stop(status)

    def _is_over(self) -> bool:
        return self._status is SessionStatus.CLOSED or self._failure is not None

    def _carried(self) -> Carried:
        return Carried(
            definition=self._definition,
            machine=self._machine,
            owner=self._owner,
            turn=self._turn,
            seq=self._transcript.seq,
            window=self._transcript.window,
            waiting=self._inbox.waiting,
            ledger=self._inbox.ledger,
            refused_signals=tuple(self._refused),
            last_activity_at=self._clock.last_activity_at,
            reminded=self._clock.reminded,
        )

    def _resume(self, carried: Carried) -> None:
        self._machine = carried.machine
        self._owner = carried.owner
        self._turn = carried.turn
        self._transcript = TranscriptTail(carried.seq, carried.window)
        self._inbox = Inbox(carried.waiting, carried.ledger)
        self._refused.extend(carried.refused_signals)
        self._clock = IdleClock(carried.last_activity_at, reminded=carried.reminded)
        self._use(carried.definition)
        self._opened = True


def _message_id(message: IncomingMessage) -> MessageId:
    """The client's id; else the update's; else, for a signal, one made from the workflow's own randomness."""
    update = workflow.current_update_info()
    return MessageId(message.message_id or (update.id if update else str(workflow.uuid4())))
