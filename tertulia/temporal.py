"""How this product reaches Temporal: one data converter, and Temporal's own profiles, TLS and keys."""

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from tertulia.domain.errors import Unavailable

_DEFAULT_ADDRESS = "localhost:7233"


async def connect(address: str | None = None, namespace: str | None = None) -> Client:
    """Connect to a Temporal server.

    What is not given here comes from Temporal's own variables and profile files (`TEMPORAL_…`), as do TLS and API keys.

    Raises:
        Unavailable: Nobody answers there.
    """
    config = ClientConfig.load_client_connect_config()
    config["target_host"] = address or config.get("target_host") or _DEFAULT_ADDRESS
    if namespace:
        config["namespace"] = namespace
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter)
    except RuntimeError as error:
        raise Unavailable("Temporal", f"no answer at {config['target_host']}") from error
