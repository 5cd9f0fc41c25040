"""The turns of one session: what the state machine wants is done, then stored, and only then seen by anybody."""

from collections.abc import Callable, Sequence
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.turns import TurnActivities
    from tertulia.domain import machine
    from tertulia.domain.conversation import Message, NextAction, Owner, SessionStatus, TurnStatus
    from tertulia.domain.definition import Definition
    from tertulia.domain.events import (
        Ask,
        AskProvider,
        EndSession,
        Event,
        ProviderAnswered,
        ProvidersFailed,
        RejectTransition,
        Say,
    )
    from tertulia.domain.ids import SessionId
    from tertulia.domain.machine import MachineState
    from tertulia.domain.turns import BeginTurn, EndTurn, Ranking, SessionProjection, TurnBegun, Wanted, Warm
    from workflows import options, visibility
    from workflows.fallback import Asker, Fallback
    from workflows.inbox import Arrival
    from workflows.transcript import TranscriptTail
    from workflows.turn import Turn

# No definition needs more questions to providers in one turn; a machine that asks on and on is stopped here.
_ASKS_PER_TURN = 5
# Close enough to choose by: the call itself counts what it sends.
_CHARS_PER_TOKEN = 4


class Conversation:
    """Takes turns, one at a time.

    Args:
        tenant: On whose account providers are asked.
        is_superseded: Tells whether a later message takes the place of the turn that runs.
        is_closing: Tells whether somebody wants the session to end, so that a turn does not wait for a provider.

    Attributes:
        turn: The last turn that has begun; the greeting is turn 0.
        running: The turn in progress.
        latest: The latest time that a write was stamped with.
        warm: Who answered last; None before anybody has.
    """

    def __init__(
        self,
        session_id: SessionId,
        definition: Definition,
        tenant: str,
        *,
        is_superseded: Callable[[], bool],
        is_closing: Callable[[], bool],
    ) -> None:
        self._session_id = session_id
        self._tenant = tenant
        self._is_superseded = is_superseded
        self._is_closing = is_closing
        self.definition = definition
        self.definition_hash = definition.content_hash()
        self.machine: MachineState = machine.initial(definition)
        self.status = SessionStatus.OPEN
        self.owner = Owner.BOT
        self.transcript = TranscriptTail()
        self.turn = -1
        self.running: Turn | None = None
        self.latest = workflow.now()
        self.warm: Warm | None = None

    @property
    def next_action(self) -> NextAction:
        return self._next_action(self.status)

    async def begin(self, arrivals: Sequence[Arrival]) -> TurnBegun:
        """Store the messages of the next turn, and learn which of them an earlier one has answered."""
        return await self._begin(self.turn + 1, arrivals)

    async def answer(self, event: Event, arrivals: Sequence[Arrival], begun: TurnBegun) -> Turn:
        """Take the turn that has begun with these messages."""
        self.transcript.add(self.transcript.written(self.turn + 1, arrivals))
        return await self._take(event, arrivals, begun.ranking)

    async def happen(self, event: Event) -> Turn:
        """Take a turn for what no message says: the opening, a reminder, the expiry, a transition by hand."""
        return await self._take(event)

    async def close(self, reason: str) -> Turn:
        """Take the last turn, which only ends the session."""
        return await self._take(None, ends=reason)

    async def abandon(self, reason: str) -> Turn:
        """End the session at once, with the turn that runs if one does."""
        if self.running is None:
            return await self.close(reason)
        turn = self.running
        turn.stopped = turn.stopped or TurnStatus.CANCELLED
        turn.ends = reason
        await self._end(turn)
        self.running = None
        return turn

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

    async def _take(
        self,
        event: Event | None,
        arrivals: Sequence[Arrival] = (),
        ranking: Ranking | None = None,
        *,
        ends: str | None = None,
    ) -> Turn:
        self.turn += 1
        turn = self.running = Turn(self.turn, workflow.now(), self.machine.state, arrivals)
        turn.ends = ends
        if event:
            await self._run_machine(turn, event, ranking)
        await self._end(turn)
        self.running = None
        return turn

    async def _run_machine(self, turn: Turn, event: Event, ranking: Ranking | None) -> None:
        """Perform the machine's effects and feed the outcomes back, until it asks for nothing more."""
        next_event: Event | None = event
        for _ in range(_ASKS_PER_TURN):
            if next_event is None or turn.stopped:
                return
            self.machine, effects = machine.advance(self.definition, self.machine, next_event, workflow.now())
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
        if self._is_superseded():
            turn.stopped = TurnStatus.INTERRUPTED
            return None
        if turn.fallback is None:
            ranking = ranking or (await self._begin(turn.number, ())).ranking
            asker = Asker(
                session_id=self._session_id,
                tenant=self._tenant,
                definition_hash=self.definition_hash,
                turn=turn.number,
                wanted=self._wanted(()),
                started_at=turn.started_at,
            )
            turn.fallback = Fallback(asker, ranking, self._is_closing, self._show_waiting)
        try:
            answer = await turn.until_stopped(turn.fallback.ask(ask))
        except BaseException as error:
            if turn.stopped and is_cancelled_exception(error):
                return None
            raise
        if answer is None:
            return ProvidersFailed(ask=ask, failures=turn.fallback.failures)
        self.warm = turn.fallback.warm
        return ProviderAnswered(ask=ask, text=answer.text)

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
            **options.STORAGE,
        )

    async def _end(self, turn: Turn) -> None:
        session = self._projection(turn)
        turn.settle(session)
        shown = self.transcript.shown(turn.number, turn.reply.text)
        await workflow.execute_local_activity_method(
            TurnActivities.end_turn,
            EndTurn(
                session_id=self._session_id,
                turn=turn.number,
                status=turn.status,
                messages=shown,
                reply=turn.reply,
                message_ids=turn.message_ids,
                state_before=turn.state_before,
                session=session,
                passed_over=turn.fallback.passed_over if turn.fallback else (),
                tried=tuple(turn.fallback.tried) if turn.fallback else (),
                started_at=turn.started_at,
                ended_at=self._now(),
            ),
            **options.STORAGE,
        )
        self.transcript.add(shown)
        self.status = session.status
        self.show(turn.status)

    def _wanted(self, messages: Sequence[Message]) -> Wanted:
        characters = sum(len(message.text) for message in (*self.transcript.window, *messages))
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
        )

    def _next_action(self, status: SessionStatus) -> NextAction:
        if status is SessionStatus.CLOSED:
            return NextAction(kind="none")
        return machine.next_action(self.definition, self.machine)
