"""Fallback selection: the providers are asked in order; Temporal retries each one, then the next is asked.

Where nobody can answer now but somebody may soon, the turn sleeps until then by a durable timer, and asks again.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.errors import failure_of, is_lost_worker, is_unavailable, made_by, refusal_of
    from activities.provider_calls import ProviderAnswer, ProviderCall, ProviderCalls
    from activities.turns import TurnActivities
    from tertulia.domain.errors import FailureClass, NotAdmitted
    from tertulia.domain.events import Ask
    from tertulia.domain.ids import DefinitionHash, ProviderName, SessionId
    from tertulia.domain.providers import retries, routing
    from tertulia.domain.providers.retries import Ledger
    from tertulia.domain.turns import Candidate, PassedOver, ProviderTry, Ranking, RankTurn, WaitTurn, Wanted, Warm
    from workflows import options


@dataclass(frozen=True)
class Asker:
    """The turn for which providers are asked.

    Attributes:
        answers: The turn whose messages are answered anew; None where it is this one.
    """

    session_id: SessionId
    tenant: str
    definition_hash: DefinitionHash
    turn: int
    wanted: Wanted
    started_at: datetime
    answers: int | None = None


class Fallback:
    """The providers' part in one turn: who was passed over, who was tried, who answered.

    Args:
        gives_up: Tells whether the turn is not to wait for a provider any longer.
        show: Called when `waiting_until` has changed.

    Attributes:
        ledger: Bounds failed attempts and what they cost, over all providers and questions of the turn.
        asking: Who is being asked, or was asked last.
        waiting_until: When somebody is asked again; None where the turn does not wait for a provider.
        warm: Who answered last, and when; None where nobody has.
    """

    def __init__(self, asker: Asker, ranking: Ranking, gives_up: Callable[[], bool], show: Callable[[], None]) -> None:
        self._asker = asker
        self._ranking = ranking
        self._gives_up = gives_up
        self._show = show
        self._asked = 0
        self._calls = 0
        self._waits = 0
        self._hopeless = False
        # Why providers are not to be asked again, for as long as the turn does not wait.
        self._left_out: dict[ProviderName, FailureClass | NotAdmitted] = {}
        self.ledger = Ledger()
        self.asking: Candidate | None = None
        self.waiting_until: datetime | None = None
        self.tried: list[ProviderTry] = []
        self.warm: Warm | None = None

    @property
    def provider(self) -> str | None:
        """Who gave the last answer; None where nobody has."""
        return next((tried.provider for tried in reversed(self.tried) if tried.failure is None), None)

    @property
    def failures(self) -> tuple[FailureClass, ...]:
        return tuple(tried.failure for tried in self.tried if tried.failure is not None)

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Who was not asked: left out by the selection, or refused before anything was sent."""
        refused = tuple(PassedOver(provider=refusal.provider, reason=refusal.reason) for refusal in self._refusals)
        return self._ranking.passed_over + refused

    @property
    def _refusals(self) -> Sequence[NotAdmitted]:
        return [why for why in self._left_out.values() if isinstance(why, NotAdmitted)]

    async def ask(self, ask: Ask) -> ProviderAnswer | None:
        """Ask one provider after the other, and wait for one within the turn's patience; None where none answers.

        Raises:
            ActivityError, CancelledError: The turn was stopped meanwhile (`is_cancelled_exception`).
        """
        self._asked += 1
        self._hopeless = False
        while True:
            if answer := await self._ask_in_order(ask):
                return answer
            if self._hopeless or self.ledger.spent or not await self._find_somebody_else():
                return None

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask_in_order(self, ask: Ask) -> ProviderAnswer | None:
        order = self._order()
        for place, candidate in enumerate(order, start=1):
            behind = len(order) - place
            if self._hopeless or not self._allowed(candidate, behind):
                return None
            before = self.ledger
            try:
                answer = await self._call_whatever_happens_to_us(ask, candidate, behind)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._note_failure(candidate.provider, error.cause, before)
            else:
                self._note(candidate.provider, before)
                self.warm = Warm(provider=candidate.provider, input_tokens=answer.input_tokens, at=workflow.now())
                return answer
        return None

    def _order(self) -> Sequence[Candidate]:
        return [candidate for candidate in self._ranking.candidates if candidate.provider not in self._left_out]

    def _allowed(self, candidate: Candidate, behind: int) -> int:
        return retries.allowed_here(self.ledger, candidate, behind)

    async def _call_whatever_happens_to_us(self, ask: Ask, candidate: Candidate, behind: int) -> ProviderAnswer:
        """Call again where our storage is away or our worker has died: no provider is to blame for that."""
        lost_workers = waits = 0
        while True:
            try:
                answer = await self._call(ask, candidate, self._allowed(candidate, behind))
            except ActivityError as error:
                self.ledger += made_by(error.cause)
                if not self._allowed(candidate, behind):
                    raise
                if is_unavailable(error.cause):
                    await workflow.sleep(options.storage_wait(waits), summary="until storage is back")
                    waits += 1
                elif is_lost_worker(error.cause) and lost_workers < options.LOST_WORKERS:
                    lost_workers += 1
                else:
                    raise
            else:
                self.ledger += answer.made
                return answer

    async def _call(self, ask: Ask, candidate: Candidate, attempts: int) -> ProviderAnswer:
        self.asking = candidate
        call = ProviderCall(
            session_id=self._asker.session_id,
            tenant=self._asker.tenant,
            turn=self._asker.turn,
            ask_number=self._asked,
            position=self._calls,
            is_retry=self.ledger.failed > 0,
            provider=candidate.provider,
            ask=ask,
            definition_hash=self._asker.definition_hash,
            answers=self._asker.answers,
        )
        self._calls += 1
        summary = f"turn {self._asker.turn} · {candidate.provider}"
        return await workflow.execute_activity_method(
            ProviderCalls.call_provider, call, **options.provider_call(candidate, attempts, summary=summary)
        )

    def _note_failure(self, provider: ProviderName, cause: BaseException | None, before: Ledger) -> None:
        if refusal := refusal_of(cause):
            self._left_out[provider] = refusal
            return
        failure, detail = failure_of(cause)
        self._left_out[provider] = failure
        self._hopeless = not routing.try_elsewhere(failure)
        if self.ledger == before:
            # An end that tells nothing of its attempts: a time limit of Temporal's, a fault of ours.
            self.ledger += Ledger(attempts=1, failed=1)
        self._note(provider, before, failure, detail)

    def _note(
        self, provider: ProviderName, before: Ledger, failure: FailureClass | None = None, detail: str = ""
    ) -> None:
        self.tried.append(
            ProviderTry(
                provider=provider,
                failure=failure,
                detail=detail,
                attempts=self.ledger.attempts - before.attempts,
                wasted_usd=self.ledger.wasted_usd - before.wasted_usd,
            )
        )

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _find_somebody_else(self) -> bool:
        """Find a provider that may be asked now, or wait for one; False where none is in sight."""
        if self._ranking.candidates:
            # Those asked may have closed their gates, and others opened theirs, since the order was made.
            await self._rank()
            if self._order():
                return True
        resumes_at = self._resumes_at()
        if resumes_at is None or not await self._wait(resumes_at):
            return False
        self._left_out = {
            provider: why
            for provider, why in self._left_out.items()
            if not isinstance(why, NotAdmitted) and not routing.again_later(why)
        }
        await self._rank()
        return True

    async def _rank(self) -> None:
        self._ranking = await workflow.execute_local_activity_method(
            TurnActivities.rank_providers,
            RankTurn(
                session_id=self._asker.session_id,
                turn=self._asker.turn,
                wanted=self._asker.wanted,
                at=workflow.now(),
            ),
            **options.STORAGE,
        )

    def _resumes_at(self) -> datetime | None:
        """Say when to ask again; None where nobody can be asked within the turn's patience."""
        openings = [self._ranking.retry_at, *(refusal.retry_at for refusal in self._refusals)]
        known = [opens_at for opens_at in openings if opens_at is not None]
        if not known or min(known) > self._asker.started_at + timedelta(seconds=self._ranking.patience_s):
            return None
        wait = max(min(known) - workflow.now(), options.least_wait(self._waits))
        return workflow.now() + wait + options.jitter(wait, workflow.random().random())

    async def _wait(self, resumes_at: datetime) -> bool:
        """Sleep; False where the turn is not to wait any longer."""
        self._waits += 1
        self.waiting_until = resumes_at
        self._show()
        try:
            await workflow.execute_local_activity_method(
                TurnActivities.wait_turn,
                WaitTurn(session_id=self._asker.session_id, turn=self._asker.turn, resumes_at=resumes_at),
                **options.STORAGE,
            )
            given_up = await self._given_up_before(resumes_at)
        finally:
            self.waiting_until = None
        self._show()
        return not given_up

    async def _given_up_before(self, resumes_at: datetime) -> bool:
        with suppress(TimeoutError):
            await workflow.wait_condition(
                self._gives_up,
                timeout=max(resumes_at - workflow.now(), timedelta(0)),
                timeout_summary="until a provider may be asked",
            )
            return True
        return False
