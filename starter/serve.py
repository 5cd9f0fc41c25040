"""Composition root of the API: settings → pool, adapters, client → app → server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import structlog
from temporalio.client import Client

from starter.channel_intake import DurableIntake
from starter.couriers import TemporalCouriers
from starter.http_server import listen, serve_app
from starter.sessions import TemporalSessions
from tertulia.api.app import create_app
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.ports import ApiPorts, ChannelPorts
from tertulia.api.rate_limit import RateLimit
from tertulia.api.recruiting_ports import RecruitingPorts
from tertulia.api.session_tokens import SessionTokens
from tertulia.composition import (
    open_provider_service,
    purposes,
    question_suggester,
    resume_intake,
    webhooks,
)
from tertulia.config import Settings
from tertulia.console.mount import mount_pages
from tertulia.console.ports import Pages
from tertulia.domain.ids import TenantId
from tertulia.provider_service.service import ProviderService
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.api_keys import PostgresApiKeys
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.definitions import PostgresPinnedDefinitions
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.migrations import migrate
from tertulia.storage.outbox import PostgresOutbox
from tertulia.storage.pool import Pool, open_pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.session_events import PostgresSessionEvents
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.tallies import PostgresTallies
from tertulia.storage.tickets import PostgresTickets
from tertulia.storage.transcripts import PostgresTranscripts
from tertulia.temporal import connect

log = structlog.get_logger("tertulia.api")


async def serve(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Serve the API until cancelled; requests under way may end first.

    Args:
        ready: Set as soon as connections are taken.

    Raises:
        InvalidInput: A setting is missing.
        CannotStart: The port is taken.
        Unavailable: Postgres or Temporal can't be reached.
    """
    dsn = settings.require_database_url()
    listener = listen(settings.host, settings.port)
    await migrate(dsn)
    async with (
        open_pool(dsn) as pool,
        PostgresSessionEvents(pool, dsn) as events,
        open_provider_service(settings, pool) as providers,
    ):
        await _warn_of_doors(settings, PostgresApiKeys(pool))
        client = await connect(settings.temporal_address, settings.temporal_namespace)
        ports = ApiPorts(
            sessions=TemporalSessions(client, turns_per_run=settings.turns_per_run),
            records=PostgresSessionRecords(pool),
            transcripts=PostgresTranscripts(pool),
            events=events,
            definitions=DefinitionFiles(settings.definitions_dir),
            providers=providers,
            completions=providers,
            recruiting=_recruiting(settings, pool, providers),
            doorkeeper=_doorkeeper(settings, pool),
            cors_origins=settings.cors_origins or (),
            analytics=PostgresAnalytics(pool),
            tallies=PostgresTallies(pool),
            parts=_parts(pool, client),
            channels=_channels(settings, pool, client),
            user_is_session=settings.user_is_session,
        )
        app = create_app(ports)
        mount_pages(app, _pages(settings, ports, pool))
        await serve_app(app, listener, ready=ready, stopping=events.stop)


def _pages(settings: Settings, ports: ApiPorts, pool: Pool) -> Pages:
    return Pages(
        api=ports,
        pinned=PostgresPinnedDefinitions(pool),
        tickets=PostgresTickets(pool),
        temporal_ui=settings.temporal_ui,
        temporal_namespace=settings.temporal_namespace or "default",
        chat_tenants=[TenantId(tenant) for tenant in settings.chat_tenants],
        visitors=RateLimit(settings.chat_rate_limit) if settings.chat_rate_limit else None,
        embedders=[origin.strip() for origin in settings.chat_embedders.split(",") if origin.strip()],
        chat_css=settings.chat_css.read_text() if settings.chat_css else "",
    )


async def _warn_of_doors(settings: Settings, keys: PostgresApiKeys) -> None:
    """Say what is odd about who may call, and what to do about it."""
    if not settings.keys_required:
        if not settings.is_local:
            log.warning("open_to_everybody", host=settings.host, advice="set TERTULIA_REQUIRE_KEYS=true")
        return
    if settings.secret_key is None:
        log.warning("session_tokens_end_with_this_process", advice="set TERTULIA_SECRET_KEY")
    if not await keys.any_usable(datetime.now(UTC)):
        log.warning("no_key_opens_the_api_yet", advice="tertulia keys create NAME --scope admin")


def _doorkeeper(settings: Settings, pool: Pool) -> Doorkeeper:
    return Doorkeeper(
        PostgresApiKeys(pool),
        SessionTokens(settings.secret_key),
        required=settings.keys_required,
        local=settings.is_local,
        origins=settings.cors_origins or (),
        limit=RateLimit(settings.rate_limit) if settings.rate_limit else None,
    )


def _recruiting(settings: Settings, pool: Pool, providers: ProviderService) -> RecruitingPorts:
    return RecruitingPorts(
        jobs=PostgresJobs(pool),
        applications=PostgresApplications(pool),
        candidates=PostgresCandidates(pool),
        resumes=resume_intake(settings, pool, providers),
        suggester=question_suggester(providers),
    )


def _channels(settings: Settings, pool: Pool, client: Client) -> ChannelPorts:
    inbox, outbox = PostgresChannelInbox(pool), PostgresOutbox(pool)
    return ChannelPorts(
        webhooks=webhooks(settings),
        intake=DurableIntake(inbox, outbox, TemporalCouriers(client), purposes(settings)),
        deliveries=outbox,
    )


def _parts(pool: Pool, client: Client) -> Mapping[str, Callable[[], Awaitable[None]]]:
    async def postgres() -> None:
        async with pool.connection() as connection:
            await connection.execute("SELECT 1")

    async def temporal() -> None:
        if not await client.service_client.check_health():
            raise ConnectionError("Temporal is not serving")

    return {"postgres": postgres, "temporal": temporal}
