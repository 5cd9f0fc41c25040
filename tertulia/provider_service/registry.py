"""The providers in use: those of the environment, overlaid by what was given at runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import ProviderConfig, Providers
from tertulia.domain.providers.costs import Prices
from tertulia.domain.providers.known import KNOWN
from tertulia.domain.providers.reports import Configured, Origin
from tertulia.ports import Completer

# Configurations given at runtime by name; None for a provider that was removed.
Overlay = Mapping[ProviderName, ProviderConfig | None]


@dataclass(frozen=True, slots=True)
class InUse:
    """One version of a provider's configuration, with what was made for it. A call keeps the one it began with.

    Attributes:
        prices: None where they are not known.
        completer: None where the provider can't be asked.
    """

    config: ProviderConfig
    origin: Origin
    prices: Prices | None
    completer: Completer | None


class Registry:
    """Makes a Completer for every version of a configuration, once."""

    def __init__(
        self,
        configured: Providers,
        make_completer: Callable[[ProviderConfig], Completer],
        prices: Callable[[ProviderConfig], Prices | None],
    ) -> None:
        self._configured = configured
        self._make_completer = make_completer
        self._prices = prices
        self._in_use: Mapping[ProviderName, InUse] = {}
        self.adopt({})

    @property
    def providers(self) -> Providers:
        return {name: in_use.config for name, in_use in self._in_use.items()}

    @property
    def prices(self) -> Mapping[ProviderName, Prices]:
        return {name: in_use.prices for name, in_use in self._in_use.items() if in_use.prices is not None}

    @property
    def configured(self) -> tuple[Configured, ...]:
        """Those in use, in the order of preference."""
        return tuple(Configured(in_use.config, in_use.origin) for in_use in self._in_use.values())

    def find(self, name: ProviderName) -> InUse:
        """Return the version in use.

        Raises:
            NotFound: There is no provider of that name.
        """
        if name not in self._in_use:
            raise NotFound("provider", name)
        return self._in_use[name]

    def over(self, overlay: Overlay) -> Providers:
        """Tell which providers there are under an overlay."""
        given = {name: config and self._with_its_key(config) for name, config in overlay.items()}
        merged = {**self._configured, **given}
        return {name: config for name, config in merged.items() if config is not None}

    def storable(self, config: ProviderConfig) -> ProviderConfig:
        """Leave out what `over` finds by itself; a key of the environment is not kept in two places."""
        ours = self._key_of_the_environment(config)
        key = None if config.api_key == ours else config.api_key
        return config.model_copy(update={"api_key": key, "unusable": None})

    def _with_its_key(self, config: ProviderConfig) -> ProviderConfig:
        key = config.api_key or self._key_of_the_environment(config)
        unusable = config.unusable or ("no key" if key is None and _needs_key(config) else None)
        return config.model_copy(update={"api_key": key, "unusable": unusable})

    def _key_of_the_environment(self, config: ProviderConfig) -> SecretStr | None:
        """Return the environment's key for the environment's address; it is for no other."""
        by_environment = self._configured.get(config.provider)
        if by_environment is None or by_environment.base_url != config.base_url:
            return None
        return by_environment.api_key

    def adopt(self, overlay: Overlay) -> bool:
        """Use these configurations from now on; True where that changes any."""
        known = self._in_use
        providers = sorted(self.over(overlay).items(), key=lambda item: item[1].priority)
        self._in_use = {
            name: self._version(config, Origin.RUNTIME if name in overlay else Origin.ENVIRONMENT)
            for name, config in providers
        }
        return list(known.items()) != list(self._in_use.items())

    def _version(self, config: ProviderConfig, origin: Origin) -> InUse:
        known = self._in_use.get(config.provider)
        if known is not None and (known.config, known.origin) == (config, origin):
            return known
        completer = self._make_completer(config) if config.unusable is None else None
        return InUse(config, origin, self._prices(config), completer)


def _needs_key(config: ProviderConfig) -> bool:
    known = KNOWN.get(config.kind)
    return known is not None and known.needs_key and config.base_url == known.base_url
