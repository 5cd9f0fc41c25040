"""A client that has an answer already is not sent it again."""

import httpx
import pytest

from tertulia.domain.ids import SessionId
from tests.api.conftest import World


@pytest.fixture
async def said(api: httpx.AsyncClient, session: SessionId) -> str:
    """A message that was answered; the session's path."""
    path = f"/v1/sessions/{session}"
    assert (await api.post(f"{path}/messages", json={"text": "Ada", "message_id": "m-1"})).status_code == 200
    return path


@pytest.mark.parametrize("of", ["", "/messages", "/messages?limit=1", "/messages/m-1"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", {}'])
async def test_what_has_not_changed_is_not_sent_again(api: httpx.AsyncClient, said: str, of: str, form: str) -> None:
    first = await api.get(said + of)
    tag = first.headers["etag"]

    again = await api.get(said + of, headers={"If-None-Match": form.format(tag)})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == tag
    assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"


async def test_what_has_changed_is_sent(api: httpx.AsyncClient, world: World, said: str) -> None:
    before = [(await api.get(said + of)).headers["etag"] for of in ("", "/messages")]
    await api.post(f"{said}/messages", json={"text": "Lovelace"})

    after = [
        await api.get(said + of, headers={"If-None-Match": tag})
        for of, tag in zip(("", "/messages"), before, strict=True)
    ]

    assert [answer.status_code for answer in after] == [200, 200]
