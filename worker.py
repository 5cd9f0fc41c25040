"""The worker's composition root: settings → adapters → activities → Worker. `python worker.py` is `tertulia worker`."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.channel_delivery import ChannelDeliveryActivities
from activities.channel_intake import ChannelIntakeActivities
from activities.errands import Errands
from activities.errors import ErrorTranslation
from activities.intake import ApplicationIntake
from activities.provider_calls import ProviderCalls
from activities.provider_health import HealthChecks
from activities.session_upkeep import SessionUpkeepActivities
from activities.turns import TurnActivities
from starter.couriers import TemporalCouriers
from starter.cut_off_sessions import TemporalCutOffSessions
from starter.sessions import TemporalSessions
from tertulia.composition import open_messengers, open_provider_service, question_suggester, resume_intake
from tertulia.config import Settings
from tertulia.domain.channels import ChannelName
from tertulia.domain.ids import TASK_QUEUE
from tertulia.ports import Messenger
from tertulia.provider_service.service import ProviderService
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.definitions import PostgresPinnedDefinitions
from tertulia.storage.deltas import PostgresDeltas, sweeping
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.outbox import PostgresOutbox
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.transcripts import PostgresTranscripts
from tertulia.storage.turns import PostgresTurns
from tertulia.temporal import connect
from workflows.channel_delivery import ChannelDelivery
from workflows.channel_intake import ChannelIntake
from workflows.provider_health import ProviderHealthCheck
from workflows.session import Session
from workflows.session_upkeep import SessionUpkeep

# A deploy lets running provider calls end.
_DRAIN = timedelta(seconds=30)
# Cancellations and lost workers are noticed by heartbeats; the default throttle of up to a minute would hide them.
_HEARTBEAT_THROTTLE = timedelta(milliseconds=800)


async def run_worker(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Work until cancelled; then calls under way may end first, and give back what they hold.

    Args:
        ready: Set as soon as the worker polls.

    Raises:
        Unavailable: Postgres or Temporal can't be reached at the start.
    """
    dsn = settings.require_database_url()
    client = await connect(settings.temporal_address, settings.temporal_namespace, metrics_at=settings.worker_metrics)
    async with (
        open_pool(dsn) as pool,
        open_provider_service(settings, pool) as providers,
        sweeping(PostgresDeltas(pool)),
        open_messengers(settings) as messengers,
        build_worker(client, pool, providers, settings, messengers=messengers),
    ):
        if ready:
            ready.set()
        await asyncio.Event().wait()


def build_worker(
    client: Client,
    pool: Pool,
    providers: ProviderService,
    settings: Settings,
    *,
    messengers: Mapping[ChannelName, Messenger] = MappingProxyType({}),
    task_queue: str = TASK_QUEUE,
) -> Worker:
    """Connect activities to their adapters."""
    patience = timedelta(seconds=settings.provider_patience)
    intake = ApplicationIntake(PostgresJobs(pool), PostgresApplications(pool), PostgresCandidates(pool))
    turns = TurnActivities(PostgresTurns(pool), DefinitionFiles(settings.definitions_dir), providers, intake, patience)
    calls = ProviderCalls(
        providers,
        PostgresTranscripts(pool),
        PostgresPinnedDefinitions(pool),
        PostgresDeltas(pool),
    )
    errands = Errands(
        PostgresJobs(pool), PostgresApplications(pool), PostgresCandidates(pool), question_suggester(providers)
    )
    checks = HealthChecks(providers)
    arrivals, deliveries = _channels(client, pool, providers, messengers, settings, task_queue)
    upkeep = SessionUpkeepActivities(
        TemporalCutOffSessions(client), PostgresSessionRecords(pool), turns, arrivals, deliveries
    )
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[Session, ProviderHealthCheck, ChannelIntake, ChannelDelivery, SessionUpkeep],
        activities=[
            turns.open_session,
            turns.begin_turn,
            turns.rank_providers,
            turns.wait_turn,
            turns.end_turn,
            turns.recall_turn,
            turns.recall_order,
            turns.refuse_messages,
            calls.call_provider,
            errands.run_errand,
            checks.list_providers,
            checks.check_provider,
            arrivals.next_arrival,
            arrivals.fetch_file,
            arrivals.do_without_file,
            arrivals.hand_over,
            arrivals.put_back,
            deliveries.wake_delivery,
            deliveries.next_delivery,
            deliveries.send,
            deliveries.give_up,
            upkeep.find_cut_off,
            upkeep.end_cut_off,
        ],
        interceptors=[ErrorTranslation()],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=_DRAIN,
        max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
    )


def _channels(
    client: Client,
    pool: Pool,
    providers: ProviderService,
    messengers: Mapping[ChannelName, Messenger],
    settings: Settings,
    task_queue: str,
) -> tuple[ChannelIntakeActivities, ChannelDeliveryActivities]:
    outbox, couriers = PostgresOutbox(pool), TemporalCouriers(client, task_queue=task_queue)
    arrivals = ChannelIntakeActivities(
        PostgresChannelInbox(pool),
        outbox,
        TemporalSessions(client, task_queue=task_queue, turns_per_run=settings.turns_per_run),
        PostgresSessionRecords(pool),
        PostgresTranscripts(pool),
        couriers,
        messengers,
        resume_intake(settings, pool, providers),
        DefinitionFiles(settings.definitions_dir),
        settle=timedelta(seconds=settings.channel_settle_seconds),
    )
    return arrivals, ChannelDeliveryActivities(outbox, couriers, messengers)


if __name__ == "__main__":
    from starter.cli import main

    main(["worker"])
