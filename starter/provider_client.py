"""Calls about providers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from starter.api_client import ApiClient, given
from tertulia.api.provider_views import (
    DecisionView,
    ProbeView,
    ProviderHistory,
    ProviderList,
    ProviderMetricsList,
    ProviderStatusList,
    ProviderView,
)
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import PROVIDER_NAME_PATTERN


class ProviderClient(ApiClient):
    """Sees to the providers. Methods that name one raise InvalidInput where that can't be a name."""

    def providers(self) -> Sequence[ProviderView]:
        """Read the configurations of all providers, in the order of preference."""
        return ProviderList.model_validate_json(self._call("GET", "/v1/providers").content).providers

    def add_provider(self, fields: Mapping[str, Any]) -> ProviderView:
        """Add a provider; `fields` are the call's body."""
        return ProviderView.model_validate_json(self._call("POST", "/v1/providers", json=fields).content)

    def update_provider(self, name: ProviderName, patch: Mapping[str, Any]) -> ProviderView:
        """Change a provider; None puts a field back to its default."""
        answer = self._call("PATCH", _provider(name), json=patch)
        return ProviderView.model_validate_json(answer.content)

    def remove_provider(self, name: ProviderName) -> None:
        """Remove a provider."""
        self._call("DELETE", _provider(name))

    def provider_status(self) -> ProviderStatusList:
        """Read how all providers are."""
        return ProviderStatusList.model_validate_json(self._call("GET", "/v1/providers/status").content)

    def provider_metrics(self, **window: str | None) -> ProviderMetricsList:
        """Read what came of the attempts of a window."""
        answer = self._call("GET", "/v1/providers/metrics", params=given(**window))
        return ProviderMetricsList.model_validate_json(answer.content)

    def provider_history(self, name: ProviderName, limit: int) -> ProviderHistory:
        """Read what was decided about a provider, newest first."""
        answer = self._call("GET", f"{_provider(name)}/history", params={"limit": limit})
        return ProviderHistory.model_validate_json(answer.content)

    def start_maintenance(self, name: ProviderName, note: str | None) -> None:
        """Take a provider out of service."""
        self._call("PUT", f"{_provider(name)}/maintenance", json=given(note=note))

    def end_maintenance(self, name: ProviderName) -> None:
        """Put a provider back in service."""
        self._call("DELETE", f"{_provider(name)}/maintenance")

    def check_provider(self, name: ProviderName) -> ProbeView:
        """Probe a provider now."""
        return ProbeView.model_validate_json(self._call("POST", f"{_provider(name)}/check").content)

    def provider_decision(self, question: Mapping[str, Any]) -> DecisionView:
        """Read who would be asked now."""
        return DecisionView.model_validate_json(self._call("GET", "/v1/providers/decision", params=question).content)


def _provider(name: ProviderName) -> str:
    # Whatever else was typed could lead to another call.
    if not re.fullmatch(PROVIDER_NAME_PATTERN, name):
        raise InvalidInput("begins with a-z and has up to 32 characters of a-z 0-9 _ -", field="a provider's name")
    return f"/v1/providers/{name}"
