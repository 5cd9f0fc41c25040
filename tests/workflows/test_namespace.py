"""What a namespace is prepared with, and what it may refuse."""

from datetime import timedelta

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from starter.namespace import HEALTH_SCHEDULE, UPKEEP_SCHEDULE, prepare_namespace

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

    schedules = [client.get_schedule_handle(name) for name in (HEALTH_SCHEDULE, UPKEEP_SCHEDULE)]
    specs = [(await schedule.describe()).schedule.spec for schedule in schedules]
    assert [spec.intervals[0].every for spec in specs] == [CHECK_EVERY, timedelta(minutes=1)]
    for schedule in schedules:
        await schedule.delete()
