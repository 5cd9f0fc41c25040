"""A chat session: one durable workflow, from the greeting to the close."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.channel_intake import ChannelIntakeActivities, LeftBehind, LeftMessage
    from activities.errors import to_application_error
    from activities.session_upkeep import Cut, Ending
    from activities.turns import Opening, Recall, RecallOrder, RefusedMessages, TurnActivities
    from tertulia.domain.channels import is_sent_to
    from tertulia.domain.conversation import (
        CancelTurn,
        Close,
        HandOverToHuman,
        HistoryView,
        IncomingMessage,
        Opened,
        OpenSession,
        OperatorMessage,
        Order,
        Owner,
        RefusedSignal,
        Reply,
        SessionStatus,
        SessionView,
        TransitionTo,
        TurnStatus,
    )
    from tertulia.domain.definitions.definition import Definition, DoubleText, Limits
    from tertulia.domain.errors import (
        InvalidInput,
        NotFound,
        SessionClosed,
        SessionMoved,
        TertuliaError,
        TooManyWaiting,
        TurnInProgress,
        Unavailable,
    )
    from tertulia.domain.events import SessionStarted
    from tertulia.domain.ids import SESSION_WORKFLOW, MessageId, is_identifier, session_id_of, workflow_id
    from workflows import options, visibility
    from workflows.carried import Carried, SessionInput, SessionResult
    from workflows.conversation import Conversation
    from workflows.earlier import EarlierStates
    from workflows.idle_clock import IdleClock
    from workflows.inbox import Arrival, Inbox
    from workflows.orders import Orders, Placed
    from workflows.signals import decode_order, decode_signal
    from workflows.transcript import TranscriptTail

_REFUSED_KEPT = 10
# Stands in where a start came without an input, until it is refused.
_NO_INPUT = SessionInput(definition="none", user_id="none")
# Waiting messages are carried from run to run in one payload, which the server bounds at 2 MB.
_WAITING_CHARS = 200_000
_WAITING_ORDERS = 20


@workflow.defn(name=SESSION_WORKFLOW, failure_exception_types=[TertuliaError])
class Session:
    """Runs the application's state machine for one person's chat."""

    _conversation: Conversation

    @workflow.init
    def __init__(self, start: SessionInput | None = None) -> None:
        self._id = session_id_of(workflow.info().workflow_id)
        self._start = start or _NO_INPUT
        self._opened = False
        self._failure: ApplicationError | None = None
        self._moving = False
        self._closing: Close | None = None
        self._inbox = Inbox()
        self._orders = Orders()
        self._refused: deque[RefusedSignal] = deque(maxlen=_REFUSED_KEPT)
        self._clock = IdleClock(workflow.now())
        self._turn_before_run = -1
        if start and start.carried:
            self._resume(start.carried)

    # --- the story ----------------------------------------------------------------------------------------------------

    @workflow.run
    async def run(self, start: SessionInput | None = None) -> SessionResult:
        if not self._opened:
            await self._open_or_fail(start)
        clock = asyncio.create_task(self._clock.run())
        await self._unless_cancelled(self._live())
        clock.cancel()
        await self._refuse_what_waits()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return SessionResult(state=self._conversation.machine.state, turns=self._conversation.turn)

    async def _unless_cancelled(self, part: Coroutine[Any, Any, object]) -> None:
        """Where somebody cancels the workflow itself, end the session: the stored one must not stay open behind it."""
        try:
            await part
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
            await self._conversation.abandon("the workflow was cancelled")
            self._inbox.give_back()

    async def _live(self) -> None:
        while not self._is_over():
            self._clock.stop(stopped=self._conversation.owner is Owner.HUMAN)
            await workflow.wait_condition(lambda: self._is_time_for_a_new_run() or self._has_something_to_do())
            if self._is_time_for_a_new_run():
                await self._continue_as_new()
            await self._do_the_next_thing()

    async def _open_or_fail(self, start: SessionInput | None) -> None:
        """Open the session; where that can't be done, whoever waits learns why, and the workflow fails with it."""
        try:
            if start is None:
                raise to_application_error(InvalidInput("needs an input", field="SessionInput"))
            if workflow_id(self._id) != workflow.info().workflow_id or not is_identifier(self._id):
                raise to_application_error(InvalidInput("must be session/<session_id>", field="workflow id"))
            await self._open()
        except ApplicationError as error:
            self._failure = error
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise

    async def _open(self) -> None:
        opening = OpenSession.model_validate(self._start.model_dump(include=set(OpenSession.model_fields)))
        opened = await workflow.execute_local_activity_method(
            TurnActivities.open_session,
            Opening(session_id=self._id, opening=opening, opened_at=workflow.info().workflow_start_time),
            **options.STORAGE,
        )
        self._use(opened.definition)
        visibility.show_opening(opening)
        started = SessionStarted(context={**opened.known, **opening.context}, channel=opening.channel)
        await self._unless_cancelled(self._conversation.happen(started))
        self._opened = True

    def _use(self, definition: Definition) -> None:
        self._conversation = Conversation(
            self._id,
            definition,
            self._start,
            is_superseded=self._is_superseded,
            is_closing=lambda: self._closing is not None,
            is_wanted_by_human=lambda: self._orders.want_human,
            settle=lambda turn: self._inbox.settle(turn.message_ids, turn.reply),
        )
        self._clock.set_timers(definition.timers)

    def _has_something_to_do(self) -> bool:
        return bool(self._closing or self._orders or self._inbox.waiting or self._clock.event_due())

    async def _do_the_next_thing(self) -> None:
        if self._orders:
            await self._carry_out(self._orders.take())
        elif self._inbox.waiting:
            await self._answer(self._inbox.take(self._conversation.definition.double_text))
        elif self._closing:
            await self._conversation.close(self._closing.reason)
        elif event := self._clock.event_due():
            self._clock.reminded = True
            await self._conversation.happen(event)

    def _is_time_for_a_new_run(self) -> bool:
        turns = self._conversation.turn - self._turn_before_run
        full = turns >= self._start.turns_per_run or workflow.info().is_continue_as_new_suggested()
        return full and not self._has_orders() and not self._is_over()

    def _has_orders(self) -> bool:
        return bool(self._orders or self._closing)

    async def _continue_as_new(self) -> None:
        """Go on in a new run. Who waits for a reply is told to ask there: the message itself is carried along."""
        self._moving = True
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() or self._has_orders())
        self._moving = False
        if not self._has_orders():
            workflow.continue_as_new(self._start.model_copy(update={"carried": self._carried()}))

    async def _refuse_what_waits(self) -> None:
        """Store that the session's end has left messages without a turn; on a messenger the next session has them."""
        left = self._inbox.waiting
        if not left:
            return
        for arrival in left:
            self._refuse("message", f"the session closed before message {arrival.message_id} had its turn")
        refused = RefusedMessages(session_id=self._id, message_ids=tuple(arrival.message_id for arrival in left))
        await workflow.execute_local_activity_method(TurnActivities.refuse_messages, refused, **options.STORAGE)
        if is_sent_to(self._start.channel):
            await workflow.execute_activity_method(
                ChannelIntakeActivities.put_back, self._left_behind(left), **options.WAKE
            )
        self._inbox.clear()

    def _left_behind(self, arrivals: Sequence[Arrival]) -> LeftBehind:
        messages = tuple(LeftMessage.model_validate(arrival.model_dump()) for arrival in arrivals)
        language = self._start.context.get("language")
        return LeftBehind(session_id=self._id, messages=messages, language=language and str(language))

    async def _answer(self, arrivals: tuple[Arrival, ...]) -> None:
        """Take a turn for messages, but for those that a forgotten turn has answered."""
        begun = await self._conversation.begin(arrivals)
        for message_id, reply in begun.answered.items():
            self._inbox.settle([message_id], reply)
        fresh = tuple(arrival for arrival in arrivals if arrival.message_id not in begun.answered)
        if not fresh:
            return
        if begun.answered:
            begun = await self._conversation.begin(fresh)
        await self._conversation.answer(fresh, begun)

    async def _carry_out(self, placed: Placed) -> None:
        try:
            done = await self._recall_order(placed.request_id)
            # A turn that is stored, but in no history, has not happened: its worker's task was lost.
            placed.reply = done if done and done.turn <= self._conversation.turn else None
            if placed.reply is None:
                placed.reply = (await self._conversation.carry_out(placed.order, placed.request_id)).reply
        except TertuliaError as error:
            placed.refusal = error
            if placed.by_signal:
                self._refuse(str(placed.order.action), str(error))
        self._orders.settle(placed)

    # --- what clients ask for -----------------------------------------------------------------------------------------

    @workflow.update
    async def open(self) -> Opened:
        """Answer as soon as the session is open; sent together with the start."""
        await workflow.wait_condition(lambda: self._opened or self._is_over())
        if self._failure:
            raise self._failure
        return Opened(
            session_id=self._id,
            state=self._conversation.machine.state,
            next_action=self._conversation.next_action,
            messages=tuple(message for message in self._conversation.transcript.window if message.turn == 0),
        )

    @workflow.update
    async def send(self, message: IncomingMessage) -> Reply:
        """Take a message, and answer with the outcome of its turn. A known id gets its first outcome."""
        message_id = _message_id(message)
        self._receive(message_id, message)
        await workflow.wait_condition(
            lambda: self._inbox.is_answered(message_id) or self._is_over() or self._is_moving(message_id)
        )
        if self._moving and not self._inbox.is_answered(message_id):
            raise to_application_error(SessionMoved("the session goes on in a new run; ask again there"))
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
    async def transition(self, to: TransitionTo | None = None) -> SessionView:
        """Move the session to another state, if the definition allows it."""
        if to is None:
            raise to_application_error(InvalidInput("is needed", field="state"))
        await self._fulfil(to)
        return self.state()

    @transition.validator
    def _check_transition(self, to: TransitionTo | None = None) -> None:
        """Let a wrong number of payloads be refused here: in the handler it would fail the workflow's task."""

    @workflow.update(dynamic=True)
    async def order(self, name: str, payloads: Sequence[RawValue]) -> Reply:
        """Do what somebody in the loop asks for, and answer with the outcome. A known id gets its first outcome."""
        return await self._fulfil(decode_order(name, payloads))

    @order.validator
    def _check_order(self, name: str, payloads: Sequence[RawValue]) -> None:
        try:
            self._check_orders(decode_order(name, payloads))
        except TertuliaError as error:
            raise to_application_error(error) from error

    @workflow.update
    async def close(self, close: Close | None = None) -> None:
        """End the session as soon as the messages that came before have had their turns; none waits for a provider."""
        self._closing = self._closing or close or Close()
        await workflow.wait_condition(self._is_over)

    @close.validator
    def _check_close(self, close: Close | None = None) -> None:
        """See `_check_transition`."""

    @workflow.signal(dynamic=True)
    def signal(self, name: str, payloads: Sequence[RawValue]) -> None:
        """Take any signal: one that can't be used is recorded, and never blocks or fails the session."""
        try:
            self._deliver(decode_signal(name, payloads))
        except TertuliaError as error:
            self._refuse(name, str(error))

    @workflow.query
    def state(self) -> SessionView:
        """Where the session stands."""
        if not self._opened:
            raise to_application_error(Unavailable("the session", "it is still opening"))
        conversation = self._conversation
        return SessionView(
            session_id=self._id,
            definition=conversation.definition.name,
            definition_hash=conversation.definition_hash,
            state=conversation.machine.state,
            status=conversation.status,
            owner=conversation.owner,
            turn=conversation.turn,
            slots=conversation.machine.slots,
            next_action=conversation.next_action,
            waiting=len(self._inbox.waiting),
            running=conversation.running.running if conversation.running else None,
            refused_signals=tuple(self._refused),
            last_activity_at=self._clock.last_activity_at,
            reminder_at=self._clock.reminder_at,
            expires_at=self._clock.expires_at,
            hand_over=conversation.hand_over,
        )

    @workflow.query
    def awaits(self, message_id: MessageId) -> bool:
        """Whether this message has been taken, and its outcome is not stored yet.

        A workflow that was cut off goes on awaiting what its session's end refuses.
        """
        return self._failure is None and self._inbox.awaits(message_id)

    @workflow.query
    def ending(self, cut: Cut) -> Ending | None:
        """What is to be stored where this workflow can't do it any more; None where no session stands open with it."""
        if not hasattr(self, "_conversation") or self._conversation.status is SessionStatus.CLOSED:
            return None
        turn = self._conversation.ending(cut.reason, cut.at)
        left = [arrival for arrival in self._inbox.without_outcome if arrival.message_id not in turn.message_ids]
        return Ending(turn=turn, left=self._left_behind(left), channel=self._start.channel)

    @workflow.query
    def history(self) -> HistoryView:
        """The last messages, oldest first; the whole transcript is read from storage."""
        return HistoryView(messages=self._conversation.transcript.window if self._opened else ())

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def _refuse(self, name: str, reason: str) -> None:
        self._refused.append(RefusedSignal(name=name[:100], reason=reason[:300], at=workflow.now()))

    def _deliver(self, signal: IncomingMessage | Order | Close | CancelTurn) -> None:
        match signal:
            case IncomingMessage():
                self._check(signal)
                self._receive(_message_id(signal), signal)
            case Order():
                self._check_orders(signal)
                self._place(signal, by_signal=True)
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
        self._check_text(message.text)
        self._check_room()

    def _check_orders(self, order: Order) -> None:
        """Refuse cheaply what can't be carried out.

        Raises:
            InvalidInput, SessionClosed, TooManyWaiting: Why not.
        """
        if order.request_id is not None and self._orders.knows(MessageId(order.request_id)):
            return
        if self._closing or self._is_over():
            raise SessionClosed("the session is closed; start another one")
        if len(self._orders) >= _WAITING_ORDERS:
            raise TooManyWaiting("too many orders are waiting already; send again later")
        if isinstance(order, OperatorMessage):
            self._check_text(order.text)

    def _check_text(self, text: str) -> None:
        limits = self._limits()
        if not text.strip():
            raise InvalidInput("is empty", field="text")
        if len(text) > limits.message_chars:
            raise InvalidInput(f"is longer than {limits.message_chars} characters", field="text")

    def _limits(self) -> Limits:
        return self._conversation.definition.limits if self._opened else Limits()

    def _check_room(self) -> None:
        if self._opened and self._conversation.definition.double_text is DoubleText.REJECT and self._inbox.is_busy:
            raise TurnInProgress("a turn is running; wait for its reply, then send again")
        if len(self._inbox.waiting) >= self._limits().waiting_messages or self._inbox.waiting_chars > _WAITING_CHARS:
            raise TooManyWaiting("too many messages are waiting already; send again later")

    def _receive(self, message_id: MessageId, message: IncomingMessage) -> None:
        if self._inbox.knows(message_id):
            return
        arrival = Arrival(
            message_id=message_id, text=message.text, arrived_at=workflow.now(), attachment=message.attachment
        )
        self._inbox.add(arrival)
        self._clock.touch()
        if self._opened and self._is_superseded():
            self._stop_turn(TurnStatus.INTERRUPTED)

    async def _fulfil(self, order: Order) -> Reply:
        """Have an order carried out, and wait for its outcome."""
        placed = self._place(order)
        await workflow.wait_condition(lambda: placed.is_done or self._is_over())
        if placed.refusal:
            raise to_application_error(placed.refusal)
        if placed.reply is None:
            raise self._failure or to_application_error(SessionClosed("the session closed before this could be done"))
        return placed.reply

    def _place(self, order: Order, *, by_signal: bool = False) -> Placed:
        update = workflow.current_update_info()
        request_id = MessageId(order.request_id or (update.id if update else str(workflow.uuid4())))
        placed = self._orders.place(request_id, order, by_signal=by_signal)
        if not placed.is_done and isinstance(order, HandOverToHuman):
            # Whatever the bot is about to say, it is not to say it any more.
            self._stop_turn(TurnStatus.HANDED_OVER)
        return placed

    async def _recall_order(self, request_id: MessageId) -> Reply | None:
        return await workflow.execute_local_activity_method(
            TurnActivities.recall_order, RecallOrder(session_id=self._id, request_id=request_id), **options.STORAGE
        )

    async def _recall(self, message_id: MessageId) -> Reply:
        reply = await workflow.execute_local_activity_method(
            TurnActivities.recall_turn, Recall(session_id=self._id, message_id=message_id), **options.STORAGE
        )
        if reply is None:
            raise to_application_error(NotFound("reply to the message", message_id))
        return reply

    def _stop_turn(self, status: TurnStatus) -> bool:
        return self._opened and self._conversation.running is not None and self._conversation.running.stop(status)

    def _is_superseded(self) -> bool:
        return self._conversation.definition.double_text is DoubleText.INTERRUPT and bool(self._inbox.waiting)

    def _is_moving(self, message_id: MessageId) -> bool:
        return self._moving and not self._inbox.is_in_turn(message_id)

    def _is_over(self) -> bool:
        return self._failure is not None or (self._opened and self._conversation.status is SessionStatus.CLOSED)

    def _carried(self) -> Carried:
        conversation = self._conversation
        return Carried(
            definition=conversation.definition,
            machine=conversation.machine,
            owner=conversation.owner,
            turn=conversation.turn,
            seq=conversation.transcript.seq,
            window=conversation.transcript.window,
            waiting=self._inbox.waiting,
            ledger=self._inbox.ledger,
            refused_signals=tuple(self._refused),
            last_activity_at=self._clock.last_activity_at,
            reminded=self._clock.reminded,
            latest=conversation.latest,
            warm=conversation.warm,
            progress=conversation.progress,
            hand_over=conversation.hand_over,
            orders_done=self._orders.done,
            earlier=conversation.earlier.carried,
            free_reply=conversation.free_reply,
        )

    def _resume(self, carried: Carried) -> None:
        self._inbox = Inbox(carried.waiting, carried.ledger)
        self._refused.extend(carried.refused_signals)
        self._orders = Orders(carried.orders_done)
        stopped = carried.hand_over is not None
        self._clock = IdleClock(carried.last_activity_at, reminded=carried.reminded, stopped=stopped)
        self._use(carried.definition)
        self._conversation.machine = carried.machine
        self._conversation.hand_over = carried.hand_over
        self._conversation.earlier = EarlierStates(carried.earlier)
        self._conversation.free_reply = carried.free_reply
        self._conversation.turn = self._turn_before_run = carried.turn
        self._conversation.transcript = TranscriptTail(carried.seq, carried.window)
        self._conversation.latest = carried.latest or workflow.now()
        self._conversation.warm = carried.warm
        self._conversation.progress = carried.progress
        self._opened = True
        self._conversation.show()


def _message_id(message: IncomingMessage) -> MessageId:
    """The client's id; else the update's; else, for a signal, one made from the workflow's own randomness."""
    update = workflow.current_update_info()
    return MessageId(message.message_id or (update.id if update else str(workflow.uuid4())))
