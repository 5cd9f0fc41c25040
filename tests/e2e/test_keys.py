"""Keys in the running product: an API that the network can reach, its first key, and its end."""

import json

import httpx
import pytest

from tests.e2e.cluster import Cluster

SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


@pytest.mark.timeout(300)
async def test_an_api_that_the_network_can_reach_opens_to_keys_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"TERTULIA_HOST": "0.0.0.0", "TERTULIA_SECRET_KEY": SECRET}
    async with Cluster(tmp_path_factory.mktemp("cluster"), environment) as cluster:
        assert (await cluster.http.get("/v1/sessions")).status_code == 401

        made = json.loads(await cluster.run("keys", "create", "first", "--scope", "admin", "--json"))
        admin = {"Authorization": f"Bearer {made['key']}"}
        chat = await cluster.http.post("/v1/keys", json={"name": "site", "scope": "chat"}, headers=admin)
        site = {"Authorization": f"Bearer {chat.json()['key']}"}
        body = {"definition": "recruiting", "user_id": "ada", "session_id": "s-1"}
        started = await cluster.http.post("/v1/sessions", json=body, headers=site)
        token = (await cluster.http.post("/v1/sessions/s-1/token", headers=site)).json()["token"]
        browser = {"Authorization": f"Bearer {token}"}
        said = await cluster.http.post("/v1/sessions/s-1/messages", json={"text": "Ada Lovelace"}, headers=browser)

        assert (started.status_code, said.status_code) == (201, 200)
        await _ends_with_its_key(cluster, token, chat.json()["key_id"], admin)
        assert (await cluster.http.get("/v1/sessions/s-1", headers=browser)).status_code == 401
        logged = (cluster.directory / "serve.log").read_text()
        assert not [secret for secret in (made["key"], chat.json()["key"], token) if secret in logged]
        assert "no_key_opens_the_api_yet" in logged


async def _ends_with_its_key(cluster: Cluster, token: str, key_id: str, admin: dict[str, str]) -> None:
    """Follow a session as a browser does; when the key is revoked, the stream ends, although nothing is said."""
    address = f"{cluster.url}/v1/sessions/s-1/events"
    async with (
        httpx.AsyncClient(timeout=60) as browser,
        browser.stream("GET", address, params={"access_token": token}) as events,
    ):
        assert events.status_code == 200
        lines = events.aiter_lines()
        await anext(lines)
        assert (await cluster.http.delete(f"/v1/keys/{key_id}", headers=admin)).status_code == 204
        async for _ in lines:
            pass
