"""The worker's composition root: settings → adapters → activities → Worker. `python worker.py` is `tertulia worker`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never

import httpx
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.errors import ErrorTranslation
from activities.provider_calls import ProviderCalls
from activities.provider_health import HealthChecks
from activities.turns import TurnActivities
from tertulia.config import Provider, Settings
from tertulia.domain.ids import TASK_QUEUE, ProviderName
from tertulia.domain.routing import ConfiguredProvider
from tertulia.ports import Completer
from tertulia.providers.anthropic import AnthropicMessages
from tertulia.providers.attempt import Clocks
from tertulia.providers.endpoint import Endpoint
from tertulia.providers.gemini import GeminiContent
from tertulia.providers.offline import Offline
from tertulia.providers.ollama import OllamaChat
from tertulia.providers.openai import OpenAIChat
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.definitions import PostgresPinnedDefinitions
from tertulia.storage.deltas import PostgresDeltas
from tertulia.storage.health import PostgresHealthRecords
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.transcripts import PostgresTranscripts
from tertulia.storage.turns import PostgresTurns
from tertulia.temporal import connect
from workflows.provider_health import ProviderHealthCheck
from workflows.session import Session

# A deploy lets running provider calls end.
_DRAIN = timedelta(seconds=30)
# Cancellations and lost workers are noticed by heartbeats; the default throttle of up to a minute would hide them.
_HEARTBEAT_THROTTLE = timedelta(milliseconds=800)


async def run_worker(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Work until cancelled.

    Args:
        ready: Set as soon as the worker polls.

    Raises:
        Unavailable: Postgres or Temporal can't be reached at the start.
    """
    dsn = settings.require_database_url()
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    async with (
        open_pool(dsn) as pool,
        httpx.AsyncClient() as http,
        build_worker(client, pool, completers(settings, http), settings),
    ):
        if ready:
            ready.set()
        await asyncio.Event().wait()


def build_worker(
    client: Client,
    pool: Pool,
    completers: Mapping[ProviderName, Completer],
    settings: Settings,
    *,
    task_queue: str = TASK_QUEUE,
) -> Worker:
    """Connect activities to their adapters."""
    health = PostgresHealthRecords(pool)
    turns = TurnActivities(
        PostgresTurns(pool),
        DefinitionFiles(settings.definitions_dir),
        health,
        [_configured(provider, settings) for provider in settings.providers],
    )
    calls = ProviderCalls(
        completers,
        PostgresTranscripts(pool),
        PostgresPinnedDefinitions(pool),
        PostgresAttempts(pool),
        PostgresDeltas(pool, settings.require_database_url()),
        _now,
    )
    checks = HealthChecks(completers, health, _now)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[Session, ProviderHealthCheck],
        activities=[
            turns.open_session,
            turns.begin_turn,
            turns.end_turn,
            turns.recall_turn,
            calls.call_provider,
            checks.list_providers,
            checks.check_provider,
        ],
        interceptors=[ErrorTranslation()],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=_DRAIN,
        max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
    )


def completers(settings: Settings, http: httpx.AsyncClient) -> Mapping[ProviderName, Completer]:
    """Make a Completer for every provider that can be asked."""
    clocks = Clocks(total=settings.provider_timeout)
    return {
        provider.name: _completer(provider, clocks, http)
        for provider in settings.providers
        if provider.unusable is None
    }


def _completer(provider: Provider, clocks: Clocks, http: httpx.AsyncClient) -> Completer:
    endpoint = Endpoint(provider.base_url, provider.model, provider.api_key, clocks)
    match provider.dialect:
        case "openai" | "openrouter" | "groq":
            return OpenAIChat(http, endpoint, provider.dialect)
        case "gemini":
            return GeminiContent(http, endpoint)
        case "anthropic":
            return AnthropicMessages(http, endpoint)
        case "ollama":
            return OllamaChat(http, endpoint)
        case "offline":
            return Offline()
        case _:
            assert_never(provider.dialect)


def _configured(provider: Provider, settings: Settings) -> ConfiguredProvider:
    return ConfiguredProvider(
        name=provider.name,
        timeout_s=settings.provider_timeout,
        max_attempts=settings.provider_retry_attempts,
        unusable=provider.unusable,
    )


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    from starter.cli import main

    main(["worker"])
