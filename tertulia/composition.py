"""Composition root of what the worker and the API share: settings → provider service, recruiting, channels."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import httpx

from tertulia.channels.telegram import TelegramAccount, TelegramMessenger, TelegramWebhook
from tertulia.channels.whatsapp import WhatsAppAccount, WhatsAppMessenger, WhatsAppWebhook
from tertulia.config import Settings
from tertulia.domain.channels import ChannelName, Purpose
from tertulia.domain.errors import InvalidInput, Unavailable
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.ports import Completer, Messenger, Webhook
from tertulia.provider_service.service import ProviderService, Stores
from tertulia.providers.addresses import PublicTransport, check_base_url
from tertulia.providers.completers import Completers
from tertulia.providers.prices import prices_of
from tertulia.recruiting.question_suggester import ProviderSuggester
from tertulia.recruiting.resume_completion import ResumeCompletion
from tertulia.recruiting.resume_intake import StoringIntake
from tertulia.recruiting.structured import Structured
from tertulia.resumes.reader import IsolatedReader
from tertulia.storage.attempts import PostgresAttempts
from tertulia.storage.budgets import PostgresBudgets
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.provider_configs import PostgresProviderConfigs
from tertulia.storage.provider_metrics import PostgresProviderMetrics
from tertulia.storage.provider_states import PostgresProviderStates

# For the ends of calls that could not be stored when they came; what then is left is swept by another worker.
_SETTLE = timedelta(seconds=5)


@asynccontextmanager
async def open_provider_service(settings: Settings, pool: Pool) -> AsyncIterator[ProviderService]:
    """Use the providers of the environment, and those given at runtime, for as long as the block lasts.

    Raises:
        Unavailable: Postgres can't be reached.
    """
    trusted = frozenset(config.base_url for config in settings.providers)
    # The limits of calls under way are the providers' own, and the service keeps to them.
    unlimited = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(limits=unlimited) as http,
        httpx.AsyncClient(transport=PublicTransport()) as public,
        provider_service(
            settings, pool, Completers(trusted, http, guarded=http if settings.allow_private_providers else public)
        ) as service,
    ):
        try:
            yield service
        finally:
            with suppress(Unavailable):
                await service.shutdown(_SETTLE)


class _OfTheEnvironmentOnly:
    """Stands for the configurations given at runtime where the provider system is switched off: there are none."""

    async def read(self) -> Mapping[ProviderName, ProviderConfig | None]:
        return {}

    async def store(self, config: ProviderConfig, *, at: datetime) -> None:  # noqa: ARG002
        raise _switched_off()

    async def remove(self, name: ProviderName, *, at: datetime) -> None:  # noqa: ARG002
        raise _switched_off()


def _switched_off() -> InvalidInput:
    return InvalidInput("is false, so providers can't be changed at runtime", field="ENABLE_PROVIDER_SYSTEM")


def provider_service(
    settings: Settings, pool: Pool, make_completer: Callable[[ProviderConfig], Completer]
) -> ProviderService:
    """Connect the service to Postgres."""
    trusted = frozenset(config.base_url for config in settings.providers)
    tenant_daily_usd = settings.tenant_daily_budget_usd
    return ProviderService(
        {config.provider: config for config in settings.providers},
        Stores(
            configs=PostgresProviderConfigs(pool, settings.secret_key)
            if settings.enable_provider_system
            else _OfTheEnvironmentOnly(),
            states=PostgresProviderStates(pool, settings.require_database_url()),
            attempts=PostgresAttempts(pool, tenant_daily_usd=tenant_daily_usd),
            metrics=PostgresProviderMetrics(pool),
            budgets=PostgresBudgets(pool, tenant_daily_usd=tenant_daily_usd),
        ),
        make_completer=make_completer,
        prices=prices_of,
        check_base_url=partial(check_base_url, trusted=trusted, private=settings.allow_private_providers),
        strategy=settings.provider_load_balance,
        now=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid4()),
        chance=random.Random(),  # noqa: S311 - it spreads load and guards nothing
    )


def resume_intake(settings: Settings, pool: Pool, providers: ProviderService) -> StoringIntake:
    """Connect the intake of résumés to Postgres, and to providers where they may see résumés."""
    completion = ResumeCompletion(Structured(providers)) if settings.resumes_to_providers else None
    return StoringIntake(IsolatedReader(), PostgresCandidates(pool), completion)


def question_suggester(providers: ProviderService) -> ProviderSuggester:
    """Connect the suggestion of questions to the providers."""
    return ProviderSuggester(Structured(providers))


def webhooks(settings: Settings) -> Mapping[ChannelName, Webhook]:
    """Connect the channels that are set up to their platforms' calls."""
    found: list[Webhook] = []
    if whatsapp := _whatsapp(settings):
        found.append(WhatsAppWebhook(whatsapp))
    if telegram := telegram_account(settings):
        found.append(TelegramWebhook(telegram))
    return {webhook.channel: webhook for webhook in found}


@asynccontextmanager
async def open_messengers(settings: Settings) -> AsyncIterator[Mapping[ChannelName, Messenger]]:
    """Use the channels that are set up for as long as the block lasts."""
    async with httpx.AsyncClient() as http:
        found: list[Messenger] = []
        if whatsapp := _whatsapp(settings):
            found.append(WhatsAppMessenger(whatsapp, http))
        if telegram := telegram_account(settings):
            found.append(TelegramMessenger(telegram, http))
        yield {messenger.channel: messenger for messenger in found}


def purposes(settings: Settings) -> Mapping[ChannelName, Purpose]:
    """Say whose each channel's chats are, and about which application."""
    return {
        ChannelName.WHATSAPP: Purpose(
            tenant=TenantId(settings.whatsapp_tenant), definition=settings.whatsapp_definition
        ),
        ChannelName.TELEGRAM: Purpose(
            tenant=TenantId(settings.telegram_tenant), definition=settings.telegram_definition
        ),
    }


def _whatsapp(settings: Settings) -> WhatsAppAccount | None:
    number, token = settings.whatsapp_phone_number_id, settings.whatsapp_access_token
    secret, verify = settings.whatsapp_app_secret, settings.whatsapp_verify_token
    if not (number and token and secret and verify):
        return None
    return WhatsAppAccount(
        phone_number_id=number,
        access_token=token.get_secret_value(),
        app_secret=secret.get_secret_value(),
        verify_token=verify.get_secret_value(),
        api_url=settings.whatsapp_api_url,
        template=settings.whatsapp_template,
        template_language=settings.whatsapp_template_language,
    )


def telegram_account(settings: Settings) -> TelegramAccount | None:
    """Read the bot's account; None where the channel is not set up."""
    token, secret = settings.telegram_bot_token, settings.telegram_webhook_secret
    if not (token and secret):
        return None
    return TelegramAccount(token.get_secret_value(), secret.get_secret_value(), settings.telegram_api_url)
