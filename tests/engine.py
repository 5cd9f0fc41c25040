"""The engine inside the test's process: a worker on real servers, and providers that are the simulator's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from starter.sessions import TemporalSessions
from tertulia.composition import open_messengers, open_provider_service
from tertulia.config import Settings
from tertulia.domain.channels import ChannelName
from tertulia.domain.conversation import IncomingMessage, Message, Opened, OpenSession, Reply
from tertulia.domain.ids import SessionId, workflow_id
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.turns import TurnRecord
from tertulia.embedded.simulator import ProviderSimulator
from tertulia.ports import Messenger
from tertulia.provider_service.service import ProviderService
from tertulia.storage.pool import Pool, Row, open_pool
from tertulia.storage.transcripts import PostgresTranscripts
from worker import build_worker

DEFINITIONS = Path(__file__).parents[1] / "definitions"


@dataclass
class Engine:
    """What a test talks to."""

    client: Client
    pool: Pool
    sessions: TemporalSessions
    settings: Settings
    task_queue: str
    providers: ProviderService
    messengers: Mapping[ChannelName, Messenger]

    @property
    def transcripts(self) -> PostgresTranscripts:
        return PostgresTranscripts(self.pool)

    async def rows(self, query: str, *arguments: object) -> Sequence[Row]:
        """Ask Postgres itself what is stored."""
        async with self.pool.connection() as connection:
            return await connection.fetch(query, *arguments)

    def worker(self) -> Worker:
        """One more worker."""
        return build_worker(
            self.client,
            self.pool,
            self.providers,
            self.settings,
            messengers=self.messengers,
            task_queue=self.task_queue,
        )

    def with_turns_per_run(self, turns: int) -> TemporalSessions:
        return TemporalSessions(self.client, task_queue=self.task_queue, turns_per_run=turns)

    async def upkeep(self, workflow_id: str | None = None) -> Mapping[str, int]:
        """End at once what was cut off; return how many sessions that were, and how many were left."""
        report: Mapping[str, int] = await self.client.execute_workflow(
            "SessionUpkeep",
            {"settled_s": 0},
            id=workflow_id or uuid4().hex,
            task_queue=self.task_queue,
            execution_timeout=timedelta(minutes=1),
            result_type=dict[str, int],
        )
        return report

    async def chat(self, definition: str = "assistant", sessions: TemporalSessions | None = None) -> "Chat":
        """Open a session."""
        session_id = SessionId(uuid4().hex)
        opened = await (sessions or self.sessions).open(
            session_id, OpenSession(definition=definition, user_id="somebody")
        )
        return Chat(self, session_id, opened)


@dataclass
class Chat:
    """One session, as its client sees it."""

    engine: Engine
    id: SessionId
    opened: Opened

    @property
    def workflow(self) -> WorkflowHandle[object, object]:
        return self.engine.client.get_workflow_handle(workflow_id(self.id))

    async def say(self, text: str, message_id: str | None = None) -> Reply:
        return await self.engine.sessions.send(self.id, IncomingMessage(text=text, message_id=message_id))

    async def waits(self) -> datetime:
        """Wait until the running turn waits for a provider; return until when it does."""
        while True:
            running = (await self.engine.sessions.view(self.id)).running
            if running and running.waiting_until:
                return running.waiting_until
            await asyncio.sleep(0.02)

    async def transcript(self) -> Sequence[Message]:
        return await self.engine.transcripts.messages(self.id, limit=1000)

    async def turn(self, number: int) -> TurnRecord:
        record = await self.engine.transcripts.turn(self.id, number)
        assert record is not None
        return record


@asynccontextmanager
async def running_engine(
    client: Client,
    database: str,
    task_queue: str,
    providers: Sequence[ProviderConfig],
    definitions: Path = DEFINITIONS,
    **settings: object,
) -> AsyncIterator[Engine]:
    """Run a worker for as long as the block lasts."""
    given = Settings().model_copy(
        update={"database_url": database, "definitions_dir": definitions, "providers": tuple(providers), **settings}
    )
    async with (
        open_pool(database) as pool,
        open_provider_service(given, pool) as service,
        open_messengers(given) as messengers,
    ):
        sessions = TemporalSessions(client, task_queue=task_queue)
        engine = Engine(client, pool, sessions, given, task_queue, service, messengers)
        async with engine.worker():
            yield engine


def simulated(simulator: ProviderSimulator, name: str) -> ProviderConfig:
    """A provider whose model of the same name the simulator plays."""
    return ProviderConfig(name=name, base_url=simulator.url, model=name, api_key=SecretStr("test-key"))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces; the test's own time limit bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
