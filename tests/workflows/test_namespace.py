"""What a namespace is prepared with, and what it may refuse."""

from datetime import timedelta

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from starter.namespace import HEALTH_SCHEDULE, prepare_namespace

CHECK_EVERY = timedelta(hours=7)


class NothingMayBeRegistered:
    """The operator service of a namespace whose search attributes are somebody else's to register."""

    def __init__(self, refusal: RPCStatusCode) -> None:
        self._refusal = refusal

    async def list_search_attributes(self, *_request: object, **_options: object) -> ListSearchAttributesResponse:
        return ListSearchAttributesResponse()

    async def add_search_attributes(self, *_request: object, **_options: object) -> None:
        raise RPCError("no", self._refusal, b"")


@pytest.mark.parametrize("refusal", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED])
async def test_a_namespace_where_search_attributes_cannot_be_registered_is_prepared_all_the_same(
    client: Client, task_queue: str, monkeypatch: pytest.MonkeyPatch, refusal: RPCStatusCode
) -> None:
    monkeypatch.setattr(Client, "operator_service", NothingMayBeRegistered(refusal))

    await prepare_namespace(client, check_every=CHECK_EVERY, task_queue=task_queue)

    schedule = client.get_schedule_handle(HEALTH_SCHEDULE)
    assert (await schedule.describe()).schedule.spec.intervals[0].every == CHECK_EVERY
    await schedule.delete()
