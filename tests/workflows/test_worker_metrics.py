"""What a worker's client tells Prometheus."""

import httpx
import pytest

from tertulia.domain.errors import CannotStart
from tertulia.embedded.tcp import free_port
from tertulia.temporal import connect


async def test_the_sdks_metrics_are_where_they_are_asked_for(temporal_address: str) -> None:
    address = f"127.0.0.1:{free_port(0)}"
    client = await connect(temporal_address, metrics_at=address)
    await client.service_client.check_health()

    async with httpx.AsyncClient(trust_env=False) as http:
        told = (await http.get(f"http://{address}/metrics")).text

    assert "temporal_request" in told


@pytest.mark.parametrize("address", ["no address", "127.0.0.1"])
async def test_an_address_that_is_none_is_said(temporal_address: str, address: str) -> None:
    with pytest.raises(CannotStart, match="TERTULIA_WORKER_METRICS"):
        await connect(temporal_address, metrics_at=address)
