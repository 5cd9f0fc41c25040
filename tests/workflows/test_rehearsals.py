"""The conversations that the bundled definitions are rehearsed with, held by running sessions with a provider behind.

What a script says of providers is what the simulator answers; what it says of data is what comes of errands. A script
is held up to its first long silence, for these are told elsewhere (test_quiet_sessions.py).
"""

import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import takewhile
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

import worker
from activities.errands import ErrandOrder
from tertulia.domain import errands
from tertulia.domain.conversation import Close, IncomingMessage, OpenSession, Owner, TakeBack, TransitionTo
from tertulia.domain.definitions.rehearsal import Miss, Outcome, Script, Step, seen
from tertulia.domain.errors import TransitionRefused
from tertulia.domain.ids import DefinitionName, SessionId
from tertulia.domain.turns import SessionRecord
from tertulia.embedded.simulator import Answer, ProviderSimulator, Status
from tertulia.storage.sessions import PostgresSessionRecords
from tests.domain.conversations import BUNDLED
from tests.domain.test_definition_scripts import FILES
from tests.engine import Engine, running_engine, simulated

# Days count from when a script is held.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class ScriptedErrands:
    """Has errands come back as a script says; those that it says nothing of can't be done.

    Attributes:
        outcomes: What is to come back, in order.
        run: How many errands were run.
    """

    def __init__(self) -> None:
        self.outcomes = deque[errands.Outcome]()
        self.run = 0

    @activity.defn
    async def run_errand(self, order: ErrandOrder) -> errands.Outcome:
        self.run += 1
        if not self.outcomes:
            raise ApplicationError("it can't be done", non_retryable=True)
        return self.outcomes.popleft()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedErrands:
    scripted = ScriptedErrands()
    monkeypatch.setattr(worker, "Errands", lambda *_ports: scripted)
    return scripted


@pytest.fixture
async def engine(
    client: Client, database: str, task_queue: str, simulator: ProviderSimulator, scripted: ScriptedErrands
) -> AsyncIterator[Engine]:
    """One provider, which is not waited for where it can't answer."""
    providers = [simulated(simulator, "first")]
    async with running_engine(client, database, task_queue, providers, provider_patience=0) as running:
        yield running


class Rehearsal:
    """One conversation being held."""

    def __init__(self, engine: Engine, simulator: ProviderSimulator, scripted: ScriptedErrands) -> None:
        self._engine = engine
        self._simulator = simulator
        self._errands = scripted
        self._id = SessionId(uuid4().hex)

    async def hold(self, definition: str, script: Script) -> list[Miss]:
        """Hold a conversation, and tell what came otherwise."""
        opening = OpenSession(
            definition=definition,
            user_id="rehearsal",
            channel=script.channel or "api",
            role=BUNDLED.get(DefinitionName(definition)).role,
            context=dict(script.context),
        )
        opened = await self._engine.sessions.open(self._id, opening)
        reply, misses = "\n\n".join(message.text for message in opened.messages), list[Miss]()
        for number, step in enumerate(takewhile(lambda step: step.waits is None, script.steps)):
            self._expect(step)
            asked, run, refused = len(self._simulator.log), self._errands.run, None
            try:
                reply = await self._happens(step, reply)
            except TransitionRefused as error:
                refused = tuple(error.allowed)
            record = await self._record()
            misses += self._missed(number, step, record, reply)
            if refused != step.refused:
                misses.append(Miss(number, "refused", f"is {refused}"))
            if step.provider is None and len(self._simulator.log) > asked:
                misses.append(Miss(number, "provider", "a provider was asked"))
            if step.data is None and self._errands.run > run:
                misses.append(Miss(number, "data", "an errand was run"))
        if (await self._record()).closed_reason is None:
            await self._engine.sessions.close(self._id, Close())
        return misses

    def _expect(self, step: Step) -> None:
        self._simulator.reset()
        self._simulator.always("first", Status(code=400))
        self._simulator.script("first", [Answer(text=text) for text in step.provider or ()])
        self._errands.outcomes = deque(step.data or ())

    async def _happens(self, step: Step, reply: str) -> str:
        sessions = self._engine.sessions
        if step.said is not None:
            return (await sessions.send(self._id, IncomingMessage(text=step.said))).text
        if step.moved_to is None:
            return reply
        if (await self._record()).owner is Owner.HUMAN:
            return (await sessions.order(self._id, TakeBack(state=step.moved_to))).text
        view = await sessions.transition(self._id, TransitionTo(state=step.moved_to))
        messages = await self._engine.transcripts.messages(self._id, limit=1000)
        return "\n\n".join(message.text for message in messages if message.turn == view.turn)

    def _missed(self, number: int, step: Step, record: SessionRecord, reply: str) -> Iterator[Miss]:
        asks = record.next_action.slot if record.next_action else None
        # What no longer counts is still on record.
        certain = {
            name: value for name, value in step.slots.items() if value is not None and not _DAY.fullmatch(str(value))
        }
        outcome = Outcome(reply, record.state, asks, record.slots)
        yield from seen(step.model_copy(update={"slots": certain}), number, outcome)
        if step.ends != record.closed_reason:
            yield Miss(number, "ends", f"is {record.closed_reason!r}, not {step.ends!r}")
        if step.hands_over and record.owner is not Owner.HUMAN:
            yield Miss(number, "hands_over", "no human has the session")

    async def _record(self) -> SessionRecord:
        record = await PostgresSessionRecords(self._engine.pool).get(self._id)
        assert record is not None
        return record


@pytest.mark.parametrize("name", FILES)
async def test_running_sessions_hold_the_conversations_with_a_provider_behind(
    name: str, engine: Engine, simulator: ProviderSimulator, scripted: ScriptedErrands
) -> None:
    file = FILES[name]  # type: ignore[index]
    told = list[str]()
    for number, script in enumerate(file.conversations):
        misses = await Rehearsal(engine, simulator, scripted).hold(name, script)
        told += [file.told(number, miss) for miss in misses]
    assert told == []
