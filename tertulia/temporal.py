"""How this product reaches Temporal: one data converter, Temporal's own profiles, and what a namespace must know."""

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from tertulia.domain.errors import CannotStart, Unavailable
from tertulia.domain.ids import SEARCH_ATTRIBUTES

_DEFAULT_ADDRESS = "localhost:7233"
_POLL_S = 0.05


async def connect(address: str | None = None, namespace: str | None = None, *, metrics_at: str | None = None) -> Client:
    """Connect to a Temporal server.

    What is not given here comes from Temporal's own variables and profile files (`TEMPORAL_…`), as do TLS and API keys.

    Args:
        metrics_at: host:port where Prometheus finds the SDK's metrics; None: nowhere.

    Raises:
        CannotStart: Metrics can't be had there; the address is taken, or no address.
        Unavailable: Nobody answers there.
    """
    config = ClientConfig.load_client_connect_config()
    config["target_host"] = address or config.get("target_host") or _DEFAULT_ADDRESS
    if namespace:
        config["namespace"] = namespace
    runtime = _with_metrics(metrics_at) if metrics_at else None
    try:
        return await Client.connect(**config, runtime=runtime, data_converter=pydantic_data_converter)
    except RuntimeError as error:
        raise Unavailable("Temporal", f"no answer at {config['target_host']}") from error


def _with_metrics(address: str) -> Runtime:
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
    except (RuntimeError, ValueError) as error:
        raise CannotStart("the worker's metrics", f"{address}: can't be used (TERTULIA_WORKER_METRICS)") from error


async def register_search_attributes(client: Client) -> None:
    """Make the search attributes of sessions known to the client's namespace, and return when they can be used.

    A namespace that has them already stays as it is.
    """
    while missing := set(SEARCH_ATTRIBUTES) - await search_attributes(client):
        request = AddSearchAttributesRequest(namespace=client.namespace)
        for name in missing:
            request.search_attributes[name] = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise
        await asyncio.sleep(_POLL_S)


async def search_attributes(client: Client) -> set[str]:
    """Name the custom search attributes that the client's namespace has."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    listed = await client.operator_service.list_search_attributes(request, timeout=timedelta(seconds=5))
    return set(listed.custom_attributes)
