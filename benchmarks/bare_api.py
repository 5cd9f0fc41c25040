"""The floor of the API's measurements: a FastAPI route that does nothing. `python -m benchmarks.bare_api PORT`."""

import asyncio
import sys

from fastapi import FastAPI
from pydantic import BaseModel

from starter.http_server import listen, serve_app

app = FastAPI()


class Said(BaseModel):
    text: str
    message_id: str


@app.get("/read")
async def read() -> dict[str, str]:
    return {"status": "open"}


@app.post("/send")
async def send(said: Said) -> dict[str, str]:
    return {"reply": said.text}


if __name__ == "__main__":
    asyncio.run(serve_app(app, listen("127.0.0.1", int(sys.argv[1]))))
