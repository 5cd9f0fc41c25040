"""Every route of the running product, on the real engine: no error of ours, no answer that is not described."""

import asyncio
import json
from itertools import count

import pytest

from tests.api.fuzzing import call_every_route
from tests.e2e.cluster import Cluster

# Enough that some are still open when others have been closed or erased by a call.
_SESSIONS = 24
_SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
# A stream of an open session does not end; `test_streams.py` is about it.
_ENDLESS = "/v1/sessions/{session_id}/events"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cases", [25])
async def test_no_call_brings_an_error_of_ours_on_the_real_engine(
    tmp_path_factory: pytest.TempPathFactory, cases: int
) -> None:
    numbers = count()
    environment = {"TERTULIA_REQUIRE_KEYS": "true", "TERTULIA_SECRET_KEY": _SECRET, "TERTULIA_RATE_LIMIT": "0"}
    async with Cluster(tmp_path_factory.mktemp("routes"), environment) as cluster:
        made = json.loads(await cluster.run("keys", "create", "first", "--scope", "admin", "--json"))
        admin = {"Authorization": f"Bearer {made['key']}"}
        for number in range(_SESSIONS):
            body = {"definition": "recruiting", "user_id": "ada", "session_id": f"s-{number}"}
            assert (await cluster.http.post("/v1/sessions", json=body, headers=admin)).status_code == 201
        for path in ("/v1/sessions/s-0/messages", "/v1/sessions/s-1/messages"):
            assert (await cluster.http.post(path, json={"text": "Ada Lovelace"}, headers=admin)).status_code == 200

        def known() -> dict[str, str]:
            return {"session_id": f"s-{next(numbers) % _SESSIONS}", "user_id": "ada", "name": "offline", "turn": "0"}

        calls = await asyncio.to_thread(
            call_every_route, cluster.url, cases, headers=admin, without=[_ENDLESS], known=known
        )

    assert calls > 50 * cases
