import asyncio
import re
from collections.abc import Sequence

import httpx
import pytest

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import DefinitionInvalid
from tertulia.domain.ids import DefinitionName
from tests.api.conftest import GREETER, World, reached
from tests.fakes import InMemoryDefinitions


async def unreached() -> None:
    raise OSError("no route to canary")


async def test_a_process_is_alive_whatever_is_down(api: httpx.AsyncClient, world: World) -> None:
    world.change(parts={"postgres": unreached})

    assert (await api.get("/healthz")).json() == {"status": "alive"}


async def test_the_api_is_ready_when_every_part_is_reached(api: httpx.AsyncClient) -> None:
    answer = await api.get("/readyz")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "parts": {"postgres": "ok", "temporal": "ok"}},
    )


async def test_a_part_that_is_not_reached_is_named(api: httpx.AsyncClient, world: World) -> None:
    world.change(parts={"postgres": reached, "temporal": unreached})

    answer = await api.get("/readyz")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "can't be reached: temporal"
    assert answer.json()["parts"] == {"postgres": "ok", "temporal": "unreachable"}
    assert "canary" not in answer.text


async def test_a_part_that_says_nothing_counts_as_not_reached(
    api: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("tertulia.api.operations.CHECK_SECONDS", 0.05)
    world.change(parts={"postgres": silent})

    assert (await api.get("/readyz")).json()["parts"] == {"postgres": "unreachable"}


async def test_the_applications_on_offer_are_listed(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/definitions")).json() == {"definitions": [{"name": "greeter", "title": "A greeter"}]}


async def test_a_broken_definition_does_not_take_the_others_off_the_list(api: httpx.AsyncClient, world: World) -> None:
    class OneBroken(InMemoryDefinitions):
        def names(self) -> Sequence[DefinitionName]:
            return [*super().names(), DefinitionName("broken")]

        def get(self, name: DefinitionName) -> Definition:
            if name == "broken":
                raise DefinitionInvalid(["broken.yaml:3: canary"])
            return super().get(name)

    world.change(definitions=OneBroken(GREETER))

    listed = await api.get("/v1/definitions")
    started = await api.post("/v1/sessions", json={"definition": "broken", "user_id": "ada"})

    assert [each["name"] for each in listed.json()["definitions"]] == ["greeter"]
    assert (started.status_code, started.json()["code"]) == (422, "definition_invalid")
    assert "canary" not in started.text


async def test_the_documentation_needs_nothing_from_elsewhere(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs")).text

    addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len(addresses) == 3
    assert all(address.startswith("/docs/static/") for address in addresses)
    assert [(await api.get(address)).status_code for address in addresses] == [200] * 3
    assert "url: '/openapi.json'" in page
    assert "//" not in re.sub(r"<!--.*?-->|// .*", "", page.replace("window.location.origin", ""))
