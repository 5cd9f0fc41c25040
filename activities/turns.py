"""The writes of a session: opening it, and the beginning and the end of each turn. Local activities, all idempotent."""

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from pydantic import AwareDatetime, JsonValue
from temporalio import activity

from activities.intake import ApplicationIntake
from tertulia.domain.conversation import OpenSession, Payload, Reply
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.ids import DefinitionName, MessageId, ProviderName, SessionId
from tertulia.domain.providers.routing import Demand
from tertulia.domain.turns import BeginTurn, EndTurn, NewSession, Ranking, RankTurn, TurnBegun, WaitTurn
from tertulia.ports import Definitions, Turns


class Opening(Payload):
    session_id: SessionId
    opening: OpenSession
    opened_at: AwareDatetime


class SessionOpened(Payload):
    """Answer to Opening.

    Attributes:
        definition: The session's application, pinned from here on.
        known: What need not be asked, by the names of slots.
    """

    definition: Definition
    known: dict[str, JsonValue] = {}


class Recall(Payload):
    session_id: SessionId
    message_id: MessageId


class RecallOrder(Payload):
    session_id: SessionId
    request_id: MessageId


class RefusedMessages(Payload):
    session_id: SessionId
    message_ids: tuple[MessageId, ...]


class RankingProviders(Protocol):
    """Orders the providers. Implemented by the provider service."""

    def rank(self, demand: Demand) -> Ranking:
        """Rank by what this worker knows, without asking storage."""
        ...

    async def rank_afresh(self, demand: Demand) -> Ranking:
        """Rank by what storage knows now."""
        ...


class TurnActivities:
    """Stores sessions and turns.

    Args:
        patience: How long a turn may wait for a provider, counted from its beginning.
    """

    def __init__(
        self,
        turns: Turns,
        definitions: Definitions,
        providers: RankingProviders,
        intake: ApplicationIntake,
        patience: timedelta,
    ) -> None:
        self._turns = turns
        self._definitions = definitions
        self._providers = providers
        self._intake = intake
        self._patience = patience

    @activity.defn
    async def open_session(self, opening: Opening) -> SessionOpened:
        """Store the session, and return its application, pinned from here on, with what is known already.

        Raises:
            NotFound: There is no definition of that name.
        """
        on_offer = self._definitions.get(DefinitionName(opening.opening.definition))
        definition = await self._intake.interview(opening.opening, on_offer)
        session = NewSession(
            session_id=opening.session_id,
            opening=opening.opening,
            definition_hash=definition.content_hash(),
            opened_at=opening.opened_at,
        )
        await self._turns.open(session, definition)
        return SessionOpened(definition=definition, known=await self._intake.begin(session, definition))

    @activity.defn
    async def begin_turn(self, turn: BeginTurn) -> TurnBegun:
        """Store what the person wrote, and say in which order to ask the providers."""
        answered = await self._turns.begin(turn)
        ranking = self._with_patience(self._providers.rank(_demand(turn)))
        return TurnBegun(ranking=ranking, answered=dict(answered))

    @activity.defn
    async def rank_providers(self, turn: RankTurn) -> Ranking:
        """Order the providers anew, after what has happened in the turn."""
        return self._with_patience(await self._providers.rank_afresh(_demand(turn)))

    @activity.defn
    async def wait_turn(self, wait: WaitTurn) -> None:
        """Store that a turn waits for a provider, and tell those who follow it."""
        await self._turns.wait(wait)

    @activity.defn
    async def end_turn(self, turn: EndTurn) -> None:
        """Store the reply, the session as it stands, and the evidence, in one transaction; then what follows from it.

        What follows is an application's. It can be repeated as well, and a worker that dies before it is done leaves it
        to the next one, which does all of it again.
        """
        await self._turns.end(turn)
        if turn.applies:
            await self._intake.follow(turn)

    @activity.defn
    async def refuse_messages(self, refused: RefusedMessages) -> None:
        """Store which messages a session has ended before, without a turn for them."""
        await self._turns.refuse(refused.session_id, refused.message_ids)

    @activity.defn
    async def recall_turn(self, recall: Recall) -> Reply | None:
        """Find the outcome of a message that was answered too long ago to be remembered by the session."""
        return await self._turns.outcome(recall.session_id, recall.message_id)

    @activity.defn
    async def recall_order(self, recall: RecallOrder) -> Reply | None:
        """Find the outcome of an order that was carried out too long ago to be remembered by the session."""
        return await self._turns.outcome_of_order(recall.session_id, recall.request_id)

    def _with_patience(self, ranking: Ranking) -> Ranking:
        return ranking.model_copy(update={"patience_s": self._patience.total_seconds()})


def _demand(turn: BeginTurn | RankTurn) -> Demand:
    wanted = turn.wanted
    demand = Demand(
        input_tokens=wanted.input_tokens,
        prefer=tuple(ProviderName(name) for name in wanted.prefer),
        only=frozenset(ProviderName(name) for name in wanted.only),
    )
    if wanted.warm is None:
        return demand
    return replace(
        demand,
        warm=wanted.warm.provider,
        warm_tokens=wanted.warm.input_tokens,
        warm_age_s=(turn.at - wanted.warm.at).total_seconds(),
    )
