"""The writes of a session: opening it, and the beginning and the end of each turn. Local activities, all idempotent."""

import asyncio
from collections.abc import Sequence

from pydantic import AwareDatetime
from temporalio import activity

from tertulia.domain import routing
from tertulia.domain.conversation import OpenSession, Payload, Reply
from tertulia.domain.definition import Definition
from tertulia.domain.ids import DefinitionName, MessageId, SessionId
from tertulia.domain.turns import BeginTurn, EndTurn, NewSession, TurnBegun
from tertulia.ports import Definitions, HealthRecords, Turns


class Opening(Payload):
    session_id: SessionId
    opening: OpenSession
    opened_at: AwareDatetime


class Recall(Payload):
    session_id: SessionId
    message_id: MessageId


class TurnActivities:
    """Stores sessions and turns."""

    def __init__(
        self,
        turns: Turns,
        definitions: Definitions,
        health: HealthRecords,
        providers: Sequence[routing.ConfiguredProvider],
    ) -> None:
        self._turns = turns
        self._definitions = definitions
        self._health = health
        self._providers = providers

    @activity.defn
    async def open_session(self, opening: Opening) -> Definition:
        """Store the session, and return its application, pinned from here on.

        Raises:
            NotFound: There is no definition of that name.
        """
        definition = self._definitions.get(DefinitionName(opening.opening.definition))
        session = NewSession(
            session_id=opening.session_id,
            opening=opening.opening,
            definition_hash=definition.content_hash(),
            opened_at=opening.opened_at,
        )
        await self._turns.open(session, definition)
        return definition

    @activity.defn
    async def begin_turn(self, turn: BeginTurn) -> TurnBegun:
        """Store what the person wrote, and say in which order to ask the providers."""
        answered, health = await asyncio.gather(self._turns.begin(turn), self._health.read())
        return TurnBegun(ranking=routing.rank(self._providers, health), answered=dict(answered))

    @activity.defn
    async def end_turn(self, turn: EndTurn) -> None:
        """Store the reply, the session as it stands, and the evidence, in one transaction."""
        await self._turns.end(turn)

    @activity.defn
    async def recall_turn(self, recall: Recall) -> Reply | None:
        """Find the outcome of a message that was answered too long ago to be remembered by the session."""
        return await self._turns.outcome(recall.session_id, recall.message_id)
