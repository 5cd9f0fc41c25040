"""Sessions that are under way go on under new code: every recorded history replays."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tests.replay.record import HISTORIES, SCENARIOS
from workflows.channel_delivery import ChannelDelivery
from workflows.channel_intake import ChannelIntake
from workflows.provider_health import ProviderHealthCheck
from workflows.session import Session
from workflows.session_upkeep import SessionUpkeep

RECORDED = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(
        workflows=[Session, ProviderHealthCheck, ChannelIntake, ChannelDelivery, SessionUpkeep],
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(f"session/{path.stem}", path.read_text()))


def test_every_scenario_is_recorded() -> None:
    assert {path.stem.rsplit("-", 1)[0] for path in RECORDED} == {scenario.__name__ for scenario in SCENARIOS}
