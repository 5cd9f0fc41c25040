"""A candidate that knows only the contract of docs/temporal.md: plain JSON, no code of this project.

python bare_client.py HOST:PORT SESSION_ID ANSWER...
"""

import asyncio
import json
import sys

from temporalio.client import Client


async def main(address: str, session_id: str, answers: list[str]) -> None:
    client = await Client.connect(address)
    session = await client.start_workflow(
        "Session", {"definition": "recruiting", "user_id": "bare"}, id=f"session/{session_id}", task_queue="tertulia"
    )
    for number, answer in enumerate(answers):
        message = {"text": answer, "message_id": f"m{number}"}
        if number % 2:
            await session.signal("message", message)
        else:
            await session.execute_update("send", message)
    last = await session.execute_update("send", {"text": "Thank you!", "message_id": "thanks"})
    json.dump({"state": await session.query("state"), "last": last}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
