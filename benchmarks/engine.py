"""The engine under measurement: real servers, a worker in this process, and a provider that answers at once."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.floor import Floor, echo
from starter.sessions import TemporalSessions
from tertulia.composition import provider_service
from tertulia.config import Settings, load_settings
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.completions import Completion, CompletionRequest, FinishReason, TextDelta
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProbeResult
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.temporal import EmbeddedTemporal
from tertulia.ports import Completer
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import Pool, open_pool
from tertulia.temporal import connect
from worker import build_worker

FLOOR_QUEUE = "floor"
ENGINE_QUEUE = "engine"
INSTANT = ProviderName("instant")


class Instant:
    """A provider that answers at once: what is measured is the engine."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion, None]:
        text = "Thank you. " + request.messages[-1].text
        yield TextDelta(text=text)
        yield Completion(text=text, finish=FinishReason.STOP)

    async def probe(self) -> ProbeResult:
        return ProbeResult(reachable=True, latency_ms=0)


@dataclass(frozen=True, slots=True)
class Engine:
    """What the measurements use."""

    client: Client
    pool: Pool
    sessions: TemporalSessions
    settings: Settings


@asynccontextmanager
async def running_engine(
    directory: Path,
    completers: Mapping[ProviderName, Completer] | None = None,
    *,
    task_queue: str = ENGINE_QUEUE,
) -> AsyncIterator[Engine]:
    """Run the servers and both workers for as long as the block lasts."""
    completers = completers or {INSTANT: Instant()}
    async with (
        EmbeddedPostgres(directory / "postgres") as postgres,
        EmbeddedTemporal(directory / "temporal") as temporal,
    ):
        await migrate(postgres.dsn)
        settings = load_settings({}).model_copy(
            update={
                "database_url": postgres.dsn,
                "temporal_address": temporal.address,
                "providers": tuple(_provider(name) for name in completers),
            }
        )
        client = await connect(temporal.address)
        async with (
            open_pool(postgres.dsn) as pool,
            provider_service(settings, pool, lambda config: completers[config.provider]) as providers,
            build_worker(client, pool, providers, settings, task_queue=task_queue),
            Worker(client, task_queue=FLOOR_QUEUE, workflows=[Floor], activities=[echo]),
        ):
            yield Engine(client, pool, TemporalSessions(client, task_queue=task_queue), settings)


def _provider(name: ProviderName) -> ProviderConfig:
    return ProviderConfig(name=name, model=name)
