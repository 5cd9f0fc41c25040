"""Fallback selection: the providers are asked in order; Temporal retries each one, then the next is asked."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.errors import failure_of, is_lost_worker, is_unavailable
    from activities.provider_calls import ProviderAnswer, ProviderCall, ProviderCalls
    from tertulia.domain import routing
    from tertulia.domain.errors import FailureClass
    from tertulia.domain.events import Ask
    from tertulia.domain.ids import DefinitionHash, SessionId
    from tertulia.domain.turns import Candidate, ProviderTry, Ranking
    from workflows import options


class Fallback:
    """The providers' part in one turn: who was passed over, who was tried, who answered."""

    def __init__(
        self,
        session_id: SessionId,
        turn: int,
        definition_hash: DefinitionHash,
        ranking: Ranking,
    ) -> None:
        self._session_id = session_id
        self._turn = turn
        self._definition_hash = definition_hash
        self._asked = 0
        self.ranking = ranking
        self.asking: Candidate | None = None
        self.tried: list[ProviderTry] = []

    @property
    def provider(self) -> str | None:
        """Who gave the last answer; None where nobody has."""
        return next((tried.provider for tried in reversed(self.tried) if tried.failure is None), None)

    @property
    def failures(self) -> tuple[FailureClass, ...]:
        return tuple(tried.failure for tried in self.tried if tried.failure is not None)

    async def ask(self, ask: Ask) -> ProviderAnswer | None:
        """Ask one provider after the other; None where none answers.

        Raises:
            ActivityError: The turn was stopped while a call ran (`is_cancelled_exception`).
        """
        self._asked += 1
        for position, candidate in enumerate(self.ranking.candidates):
            self.asking = candidate
            try:
                answer = await self._call_whatever_happens_to_us(ask, candidate, position)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                failure, detail = failure_of(error.cause)
                self.tried.append(ProviderTry(provider=candidate.provider, failure=failure, detail=detail))
                if not routing.try_elsewhere(failure):
                    return None
            else:
                self.tried.append(ProviderTry(provider=candidate.provider))
                return answer
        return None

    async def _call_whatever_happens_to_us(self, ask: Ask, candidate: Candidate, position: int) -> ProviderAnswer:
        """Call again where our storage is away or our worker has died: no provider is to blame for that."""
        lost_workers = 0
        while True:
            try:
                return await self._call(ask, candidate, position)
            except ActivityError as error:
                if is_unavailable(error.cause):
                    await workflow.sleep(options.STORAGE_WAIT, summary="until storage is back")
                elif is_lost_worker(error.cause) and lost_workers < options.LOST_WORKERS:
                    lost_workers += 1
                else:
                    raise

    async def _call(self, ask: Ask, candidate: Candidate, position: int) -> ProviderAnswer:
        call = ProviderCall(
            session_id=self._session_id,
            turn=self._turn,
            ask_number=self._asked,
            position=position,
            provider=candidate.provider,
            ask=ask,
            definition_hash=self._definition_hash,
        )
        summary = f"turn {self._turn} · {candidate.provider}"
        return await workflow.execute_activity_method(
            ProviderCalls.call_provider, call, **options.provider_call(candidate, summary=summary)
        )
