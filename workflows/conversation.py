"""The turns of one session: what the state machine wants is done, then stored, and only then seen by anybody."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.channel_delivery import ChannelDeliveryActivities
    from activities.errands import ErrandOrder, Errands
    from activities.turns import TurnActivities
    from tertulia.domain import interventions, machine
    from tertulia.domain.channels import is_sent_to
    from tertulia.domain.conversation import (
        EditSlot,
        HandOverCause,
        HandOverContext,
        HandOverToHuman,
        Intervention,
        Message,
        NextAction,
        OpenSession,
        OperatorMessage,
        Order,
        Owner,
        Regenerate,
        Role,
        SessionStatus,
        TakeBack,
        TransitionTo,
        TurnStatus,
        Undo,
    )
    from tertulia.domain.definitions.definition import Definition
    from tertulia.domain.deliveries import ToDeliver
    from tertulia.domain.errands import Errand
    from tertulia.domain.errors import TransitionRefused
    from tertulia.domain.events import (
        Ask,
        AskProvider,
        EndSession,
        ErrandDone,
        ErrandFailed,
        Event,
        HandOver,
        PersonSaid,
        ProviderAnswered,
        ProvidersFailed,
        Purpose,
        RejectTransition,
        ReplyWanted,
        Resumed,
        RunErrand,
        Say,
        SlotEdited,
        TransitionRequested,
    )
    from tertulia.domain.figures import Progress, TurnFigures
    from tertulia.domain.ids import DefinitionHash, MessageId, SessionId, TenantId
    from tertulia.domain.machine import MachineState
    from tertulia.domain.observations import TurnObserver
    from tertulia.domain.turns import (
        BeginTurn,
        EndTurn,
        Ranking,
        SessionProjection,
        TurnBegun,
        Wanted,
        Warm,
        Withdrawal,
    )
    from workflows import options, visibility
    from workflows.earlier import EarlierStates, FreeReply
    from workflows.fallback import Asker, Fallback
    from workflows.inbox import Arrival
    from workflows.transcript import MESSAGES, TranscriptTail
    from workflows.turn import Turn

# No definition needs more questions to providers in one turn; a machine that asks on and on is stopped here.
_ASKS_PER_TURN = 5
# Close enough to choose by: the call itself counts what it sends.
_CHARS_PER_TOKEN = 4

# The sessions of a worker share their definitions, which never change: they are a good part of what a session holds.
_DEFINITIONS: WeakValueDictionary[DefinitionHash, Definition] = WeakValueDictionary()


class Conversation:
    """Takes turns, one at a time.

    Args:
        opening: Who talks and where, on whose account providers are asked, and whether the person applies for a job.
        is_superseded: Tells whether a later message takes the place of the turn that runs.
        is_closing: Tells whether somebody wants the session to end, so that a turn does not wait for a provider.
        is_wanted_by_human: Tells whether somebody waits to take over, so that the bot is not to speak any more.
        settle: Takes the outcome of each turn that is stored.

    Attributes:
        turn: The last turn that has begun; the greeting is turn 0.
        running: The turn in progress.
        latest: The latest time that a write was stamped with.
        warm: Who answered last; None before anybody has.
        hand_over: What a human has to know, as long as one has the session; None while the bot has it.
        earlier: What can be undone. What a human was there for can't be.
        free_reply: The last reply, if a provider wrote it freely.
        progress: How far the session has come, for the figures.
    """

    def __init__(
        self,
        session_id: SessionId,
        definition: Definition,
        opening: OpenSession,
        *,
        is_superseded: Callable[[], bool],
        is_closing: Callable[[], bool],
        is_wanted_by_human: Callable[[], bool],
        settle: Callable[[Turn], None],
    ) -> None:
        self._session_id = session_id
        self._opening = opening
        self._is_superseded = is_superseded
        self._is_closing = is_closing
        self._is_wanted_by_human = is_wanted_by_human
        self._settle = settle
        self.definition_hash = definition.content_hash()
        self.definition = _DEFINITIONS.setdefault(self.definition_hash, definition)
        self.machine: MachineState = machine.initial(definition)
        self.status = SessionStatus.OPEN
        self.hand_over: HandOverContext | None = None
        self.earlier = EarlierStates()
        self.free_reply: FreeReply | None = None
        self.transcript = TranscriptTail()
        self.turn = -1
        self.running: Turn | None = None
        self.latest = workflow.now()
        self.warm: Warm | None = None
        self.progress = Progress()

    @property
    def owner(self) -> Owner:
        return Owner.HUMAN if self.hand_over else Owner.BOT

    @property
    def next_action(self) -> NextAction:
        return self._next_action(self.status)

    async def begin(self, arrivals: Sequence[Arrival]) -> TurnBegun:
        """Store the messages of the next turn, and learn which of them an earlier one has answered."""
        return await self._begin(self.turn + 1, arrivals)

    async def answer(self, arrivals: Sequence[Arrival], begun: TurnBegun) -> Turn:
        """Take the turn that has begun with these messages. Where a human is to answer, they are only kept."""
        self.transcript.add(self.transcript.written(self.turn + 1, arrivals))
        turn = self._next_turn(arrivals)
        files = [arrival.attachment for arrival in arrivals if arrival.attachment]
        if self.owner is Owner.HUMAN or self._is_wanted_by_human():
            turn.stopped = TurnStatus.HANDED_OVER
            for file in files:
                self.machine = machine.keep(self.definition, self.machine, file, workflow.now())
            return await self._take(turn)
        self.earlier.push(turn.number, self.machine)
        text = "\n".join(arrival.text for arrival in arrivals)
        await self._take(turn, PersonSaid(text=text, attachment=files[-1] if files else None), begun.ranking)
        self._remember_reply(turn, turn.number)
        return turn

    async def happen(self, event: Event) -> Turn:
        """Take a turn for what nobody says: the opening, a reminder, the expiry."""
        return await self._take(self._next_turn(), event)

    async def close(self, reason: str) -> Turn:
        """Take the last turn, which only ends the session."""
        turn = self._next_turn()
        turn.ends = reason
        return await self._take(turn)

    async def carry_out(self, order: Order, request_id: MessageId) -> Turn:
        """Take the turn for what somebody in the loop asks for.

        Raises:
            ActionRefused, TransitionRefused, InvalidInput, NotFound: It can't be done; nothing has changed.
        """
        interventions.check(order.action, self.owner)
        if isinstance(order, Regenerate):
            return await self._regenerate(order, request_id)
        turn = await self._carry_out(order, request_id)
        self.free_reply = None
        return turn

    async def _carry_out(self, order: Order, request_id: MessageId) -> Turn:
        match order:
            case TransitionTo():
                event = self._possible(TransitionRequested(state=order.state, reason=order.reason))
                return await self._take(self._intervene(order, request_id, order.reason), event)
            case HandOverToHuman():
                turn = self._intervene(order, request_id, order.reason)
                self._hand_over(turn, order.reason, HandOverCause.OPERATOR)
                return await self._take(turn)
            case TakeBack():
                event = self._possible(Resumed(state=order.state))
                turn = self._intervene(order, request_id, order.reason)
                self.hand_over, turn.owner = None, Owner.BOT
                return await self._take(turn, event)
            case Undo():
                return await self._undo(order, request_id)
            case EditSlot():
                worded = self.definition.worded(self.machine.language, self.machine.channel)
                interventions.check_edit(worded, order, workflow.now())
                turn = self._intervene(order, request_id, slot=order.slot)
                return await self._take(turn, SlotEdited(slot=order.slot, value=order.value))
            case OperatorMessage():
                turn = self._intervene(order, request_id)
                turn.spoken = self.transcript.spoken(turn.number, order.text)
                return await self._take(turn)
            case _:
                raise NotImplementedError(order.action)

    async def abandon(self, reason: str) -> Turn:
        """End the session at once, with the turn that runs if one does."""
        if self.running is None:
            return await self.close(reason)
        self.running.abandon(reason)
        return await self._finish(self.running)

    def ending(self, reason: str, at: datetime) -> EndTurn:
        """Return what `abandon` would store at that time, and change nothing."""
        at = max(self.latest, at)
        if self.running is None:
            turn = self._new_turn(self.turn + 1, at)
            turn.ends = reason
        else:
            turn = self.running.twin()
            turn.abandon(reason)
        return self._ended(turn, at)

    def show(self, outcome: str = "") -> None:
        """Show operators where the session stands."""
        visibility.show_state(
            state=self.machine.state,
            owner=self.owner,
            status=self.status,
            turn=self.turn,
            still_to_ask=machine.still_to_ask(self.definition, self.machine),
            outcome=outcome,
        )

    def _next_turn(self, arrivals: Sequence[Arrival] = ()) -> Turn:
        self.turn += 1
        self.running = self._new_turn(self.turn, workflow.now(), arrivals)
        return self.running

    def _new_turn(self, number: int, started_at: datetime, arrivals: Sequence[Arrival] = ()) -> Turn:
        observer = TurnObserver(self.progress, self.machine)
        return Turn(number, started_at, self.machine, self.owner, arrivals, observer)

    async def _undo(self, order: Undo, request_id: MessageId) -> Turn:
        earlier = self.earlier.last
        if earlier is None:
            raise interventions.nothing_to(order.action, self.owner)
        self.earlier.pop()
        turn = self._intervene(order, request_id, since=earlier.turn)
        turn.withdraws = Withdrawal(first=earlier.turn, last=turn.number - 1)
        self.machine = earlier.machine
        return await self._take(turn, Resumed())

    async def _regenerate(self, order: Regenerate, request_id: MessageId) -> Turn:
        """Have the last reply written anew. Where nobody does, it stands, and so does the conversation."""
        reply = self.free_reply
        if reply is None:
            raise interventions.nothing_to(order.action, self.owner)
        turn = self._intervene(order, request_id, since=reply.turn)
        turn.answers = reply.turn
        before = self.machine
        await self._run_machine(turn, ReplyWanted(ask=reply.ask), None)
        if turn.free and not turn.stopped:
            turn.withdraws = Withdrawal(first=reply.shown_in, last=reply.shown_in, replies_only=True)
        else:
            turn.stopped = turn.stopped or TurnStatus.FAILED
            turn.said, turn.ends, self.machine = [], None, before
        await self._finish(turn)
        if turn.withdraws:
            self._remember_reply(turn, reply.turn)
        return turn

    def _remember_reply(self, turn: Turn, answers: int) -> None:
        self.free_reply = None
        if turn.free and turn.status is TurnStatus.ANSWERED and self.owner is Owner.BOT:
            self.free_reply = FreeReply(turn=answers, shown_in=turn.number, ask=turn.free)

    def _intervene(self, order: Order, request_id: MessageId, reason: str = "", **what: Any) -> Turn:
        turn = self._next_turn()
        turn.intervention = Intervention(
            action=order.action, request_id=request_id, operator=order.operator, reason=reason, **what
        )
        return turn

    def _possible(self, event: Event) -> Event:
        """Pass on an event that the machine does not reject."""
        _, effects = machine.advance(self.definition, self.machine, event, workflow.now())
        for effect in effects:
            if isinstance(effect, RejectTransition):
                raise TransitionRefused(effect.reason, effect.allowed)
        return event

    async def _take(self, turn: Turn, event: Event | None = None, ranking: Ranking | None = None) -> Turn:
        if event:
            await self._run_machine(turn, event, ranking)
        return await self._finish(turn)

    async def _finish(self, turn: Turn) -> Turn:
        await self._end(turn)
        self.running = None
        self._settle(turn)
        await self._deliver(turn)
        return turn

    async def _run_machine(self, turn: Turn, event: Event, ranking: Ranking | None) -> None:
        """Perform the machine's effects and feed the outcomes back, until it asks for nothing more."""
        next_event: Event | None = event
        for _ in range(_ASKS_PER_TURN):
            if next_event is None or turn.stopped:
                break
            now = workflow.now()
            observed = machine.observe(self.definition, self.machine, next_event, now)
            turn.observer.see(observed, now)
            self.machine, next_event = observed.state, None
            for effect in observed.effects:
                match effect:
                    case Say():
                        turn.said.append(effect.text)
                    case AskProvider():
                        next_event = await self._ask(turn, effect.ask, ranking)
                    case RunErrand():
                        next_event = await self._run_errand(turn, effect.errand)
                    case HandOver():
                        self._hand_over(turn, effect.reason, effect.cause)
                    case RejectTransition():
                        pass  # It was looked for before the turn.
                    case EndSession():
                        turn.ends = effect.reason
        if self._is_wanted_by_human():
            # Whatever has taken so long: the bot is not to speak any more.
            turn.stopped = TurnStatus.HANDED_OVER

    async def _ask(self, turn: Turn, ask: Ask, ranking: Ranking | None) -> ProviderAnswered | ProvidersFailed | None:
        """Ask the providers in order; None where the turn was stopped meanwhile."""
        if self._has_to_stop(turn):
            return None
        if turn.fallback is None:
            ranking = ranking or (await self._begin(turn.number, ())).ranking
            asker = Asker(
                session_id=self._session_id,
                tenant=self._opening.tenant,
                definition_hash=self.definition_hash,
                turn=turn.number,
                wanted=self._wanted(()),
                started_at=turn.started_at,
                answers=turn.answers,
            )
            turn.fallback = Fallback(asker, ranking, self._is_closing, self._show_waiting)
            if self._has_to_stop(turn):
                return None
        try:
            answer = await turn.until_stopped(turn.fallback.ask(ask))
        except BaseException as error:
            if turn.stopped and is_cancelled_exception(error):
                return None
            raise
        if answer is None:
            return ProvidersFailed(ask=ask, failures=turn.fallback.failures)
        self.warm = turn.fallback.warm
        if ask.purpose is Purpose.REPLY and answer.text.strip():
            turn.free = ask
        return ProviderAnswered(ask=ask, text=answer.text)

    async def _run_errand(self, turn: Turn, errand: Errand) -> ErrandDone | ErrandFailed | None:
        """Have done what a skill wants; None where the turn was stopped before."""
        if self._has_to_stop(turn):
            return None
        order = ErrandOrder(
            session_id=self._session_id,
            turn=turn.number,
            tenant=TenantId(self._opening.tenant),
            user_id=self._opening.user_id,
            role=self._opening.role,
            errand=errand,
            at=workflow.now(),
        )
        try:
            outcome = await workflow.execute_activity_method(
                Errands.run_errand, order, **options.errand(summary=f"turn {turn.number} · {errand.request.kind}")
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return ErrandFailed(errand=errand)
        return ErrandDone(errand=errand, outcome=outcome)

    def _has_to_stop(self, turn: Turn) -> bool:
        """Stop a turn whose outcome nobody is to see any more, before it asks for anything."""
        if self._is_wanted_by_human():
            turn.stopped = TurnStatus.HANDED_OVER
        elif self._is_superseded():
            turn.stopped = TurnStatus.INTERRUPTED
        return turn.stopped is not None

    def _hand_over(self, turn: Turn, reason: str, cause: HandOverCause) -> None:
        """Give the session to a human, unless one has it."""
        if self.owner is Owner.HUMAN:
            return
        self.earlier.clear()
        known = turn.intervention or Intervention(action=HandOverToHuman.action, reason=reason)
        turn.intervention = known.model_copy(update={"cause": cause})
        self.hand_over = HandOverContext(
            reason=reason,
            cause=cause,
            operator=known.operator,
            at=workflow.now(),
            turn=turn.number,
            state=self.machine.state,
            slots=self.machine.slots,
            asking=self.machine.asking,
            still_to_ask=machine.still_to_ask(self.definition, self.machine),
            messages_after=max(0, self.transcript.seq - MESSAGES),
        )

    async def _begin(self, turn: int, arrivals: Sequence[Arrival]) -> TurnBegun:
        messages = self.transcript.written(turn, arrivals)
        return await workflow.execute_local_activity_method(
            TurnActivities.begin_turn,
            BeginTurn(
                session_id=self._session_id,
                turn=turn,
                messages=messages,
                wanted=self._wanted(messages),
                at=self._now(),
            ),
            summary=f"turn {turn}",
            **options.STORAGE,
        )

    async def _end(self, turn: Turn) -> None:
        end = self._ended(turn, self._now())
        await workflow.execute_local_activity_method(
            TurnActivities.end_turn, end, summary=f"turn {turn.number} · {turn.status}", **options.STORAGE
        )
        if turn.withdraws:
            self.transcript.withdraw(turn.withdraws, turn.number)
        self.transcript.add(end.messages)
        self.progress = end.session.progress
        self.status = end.session.status
        self.show(turn.status)

    def _ended(self, turn: Turn, at: datetime) -> EndTurn:
        """Settle a turn's outcome, and put together all that is stored of it."""
        session = self._projection(turn)
        turn.settle(session)
        figures, progress = self._observed(turn, at)
        return EndTurn(
            session_id=self._session_id,
            turn=turn.number,
            status=turn.status,
            messages=turn.spoken or self.transcript.shown(turn.number, turn.reply.text),
            reply=turn.reply,
            message_ids=turn.message_ids,
            state_before=turn.state_before,
            session=session.model_copy(update={"progress": progress}),
            passed_over=turn.fallback.passed_over if turn.fallback else (),
            tried=tuple(turn.fallback.tried) if turn.fallback else (),
            started_at=turn.started_at,
            ended_at=at,
            intervention=turn.intervention,
            withdraws=turn.withdraws,
            news=turn.news(session.slots) if self._opening.applies else (),
            applies=self._opening.applies,
            figures=figures,
        )

    async def _deliver(self, turn: Turn) -> None:
        """Let what was said be sent. Not before this point: an end that is not in history yet may be done again."""
        last = self.transcript.window[-1] if self.transcript.window else None
        if is_sent_to(self._opening.channel) and last and last.turn == turn.number and last.role is not Role.USER:
            spoken = ToDeliver(session_id=self._session_id, up_to_turn=turn.number, at=workflow.now())
            await workflow.execute_activity_method(ChannelDeliveryActivities.wake_delivery, spoken, **options.WAKE)

    def _observed(self, turn: Turn, ended_at: datetime) -> tuple[TurnFigures, Progress]:
        return turn.observer.end(
            self.definition,
            self.machine,
            status=turn.status,
            ends=turn.ends,
            handed_over=Owner.HUMAN in (turn.owner, self.owner),
            arrived_at=turn.arrivals[0].arrived_at if turn.arrivals else None,
            answered=bool(turn.reply.text),
            at=ended_at,
        )

    def _wanted(self, messages: Sequence[Message]) -> Wanted:
        characters = sum(
            len(message.text) for message in (*self.transcript.window, *messages) if message.withdrawn_in is None
        )
        choice = self.definition.providers
        return Wanted(
            input_tokens=characters // _CHARS_PER_TOKEN, warm=self.warm, prefer=choice.prefer, only=choice.only
        )

    def _show_waiting(self) -> None:
        until = self.running.running.waiting_until if self.running else None
        self.show(f"waits for a provider until {until:%H:%M:%S} UTC" if until else "is under way")

    def _now(self) -> datetime:
        """The workflow's time, but never going back, as the server's clock may: by it storage tells late writes."""
        self.latest = max(self.latest, workflow.now())
        return self.latest

    def _projection(self, turn: Turn) -> SessionProjection:
        status = SessionStatus.OPEN if turn.ends is None else SessionStatus.CLOSED
        return SessionProjection(
            state=self.machine.state,
            status=status,
            owner=self.owner,
            turn=turn.number,
            slots=self.machine.slots,
            next_action=self._next_action(status),
            closed_reason=turn.ends,
            hand_over=self.hand_over,
        )

    def _next_action(self, status: SessionStatus) -> NextAction:
        if status is SessionStatus.CLOSED:
            return NextAction(kind="none")
        if self.owner is Owner.HUMAN:
            return NextAction(kind="talk")
        return machine.next_action(self.definition, self.machine)
