"""Sessions that talk by HTTP and don't give up: every message is repeated under its id until it is answered."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

_AGAIN = {503}


@dataclass
class Talk:
    """One session, with what its client sent and got."""

    http: httpx.AsyncClient
    session_id: str
    messages: int
    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    async def open(self) -> None:
        body = {"definition": "assistant", "user_id": "e2e", "session_id": self.session_id}
        await post(self.http, "/v1/sessions", body)

    async def run(self) -> None:
        """Say everything, one message after the other."""
        for number in range(1, self.messages + 1):
            text = f"{self.session_id} says {number}"
            body = {"text": text, "message_id": f"m{number}"}
            answer = await post(self.http, f"/v1/sessions/{self.session_id}/messages", body)
            self.said.append(text)
            self.heard.append(answer["reply"])


async def post(http: httpx.AsyncClient, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Send a request, which can be repeated, again and again until it is answered."""
    while True:
        with suppress(httpx.TransportError):
            response = await http.post(path, json=body)
            if response.status_code in {200, 201}:
                answer: dict[str, Any] = response.json()
                return answer
            assert response.status_code in _AGAIN | {202}, response.text
        await asyncio.sleep(random.uniform(0.05, 0.3))
