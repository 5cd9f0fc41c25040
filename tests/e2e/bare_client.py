"""A candidate that knows only the contract of docs/temporal.md: plain JSON, no code of this project.

python bare_client.py HOST:PORT SESSION_ID ANSWER...
"""

import asyncio
import json
import os
import sys
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy


async def main(address: str, session_id: str, answers: list[str]) -> None:
    client = await Client.connect(address)
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "Session",
        {"definition": "recruiting", "user_id": "bare"},
        id=f"session/{session_id}",
        task_queue="tertulia",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    opened = await client.execute_update_with_start_workflow("open", start_workflow_operation=start)
    session = await start.workflow_handle()
    replies = []
    for number, answer in enumerate(answers):
        message = {"text": answer, "message_id": f"m{number}"}
        if number % 2:
            await session.signal("message", message)
        else:
            replies.append(await session.execute_update("send", message))
    history = await session.query("history")
    state = await session.query("state")
    await session.execute_update("close", {"reason": "all is said"})
    told = {"opened": opened, "replies": replies, "state": state, "history": history}
    print(json.dumps(told), flush=True)  # noqa: T201
    # One in ten processes crashes when the interpreter ends with the client's threads (temporalio/sdk-python#300).
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
