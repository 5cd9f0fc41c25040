"""What the settings mean for the provider service."""

from collections.abc import Mapping

import pytest

from tertulia.composition import open_provider_service
from tertulia.config import Settings
from tertulia.domain.errors import InvalidInput
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind
from tertulia.provider_service.service import ProviderService
from tertulia.storage.pool import open_pool

PRIMARY = ProviderConfig(name="primary", kind=ProviderKind.OFFLINE)
ADDED = ProviderConfig(name="added", kind=ProviderKind.OLLAMA, base_url="http://127.0.0.1:11434")


def _settings(database: str, **more: object) -> Settings:
    given: Mapping[str, object] = {"database_url": database, "providers": (PRIMARY,), "allow_private_providers": True}
    return Settings().model_copy(update={**given, **more})


def _names(service: ProviderService) -> list[str]:
    return [configured.config.name for configured in service.configured()]


async def test_providers_given_at_runtime_are_there_after_a_restart(database: str) -> None:
    settings = _settings(database)
    async with open_pool(database) as pool:
        async with open_provider_service(settings, pool) as service:
            await service.add_provider(ADDED)
        async with open_provider_service(settings, pool) as service:
            assert sorted(_names(service)) == ["added", "primary"]


async def test_where_the_provider_system_is_off_only_the_primary_is_there_and_none_can_be_added(database: str) -> None:
    async with open_pool(database) as pool:
        async with open_provider_service(_settings(database), pool) as service:
            await service.add_provider(ADDED)
        async with open_provider_service(_settings(database, enable_provider_system=False), pool) as service:
            assert _names(service) == ["primary"]
            with pytest.raises(InvalidInput, match="ENABLE_PROVIDER_SYSTEM"):
                await service.add_provider(ADDED)
