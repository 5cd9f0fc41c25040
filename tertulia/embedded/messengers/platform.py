"""What the simulated platforms have in common: answers, a script for what is sent, and calls of our webhooks."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

import httpx

from tertulia.embedded.http import Request
from tertulia.embedded.loopback import Connection, Serving

# A platform goes on for days; this is for an API that restarts.
_TRIES = 200
_BETWEEN_TRIES_S = 0.1

Answering: TypeAlias = Callable[[Request], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse a message.

    Attributes:
        code: The platform's own, where it has one.
    """

    status: int
    code: int = 0
    message: str = "simulated refusal"
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class StaySilent:
    """Never answer.

    Attributes:
        takes: Whether the message reaches its person all the same.
    """

    takes: bool = True


Reaction: TypeAlias = Refuse | StaySilent


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as a person has got it.

    Attributes:
        choices: What can be pressed.
        template: The template's name, where it came by one.
        reference: What the sender gets back with the receipts.
    """

    platform_id: str
    address: str
    text: str
    choices: tuple[str, ...] = ()
    template: str | None = None
    reference: str | None = None


class SendingScript:
    """What becomes of the next messages; without a script they reach their people.

    Attributes:
        sent: What people have got, oldest first.
        attempts: How often something was sent, refused or not.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.attempts = 0
        self._next: deque[Reaction] = deque()
        self._always: Reaction | None = None
        self._news = asyncio.Event()

    def react(self, *reactions: Reaction) -> None:
        """Say what becomes of the next messages, one each."""
        self._next.extend(reactions)

    def always(self, reaction: Reaction | None) -> None:
        """Say what becomes of all other messages; None: they reach their people."""
        self._always = reaction

    def take(self) -> Reaction | None:
        self.attempts += 1
        self._tell()
        return self._next.popleft() if self._next else self._always

    def deliver(self, message: Sent) -> None:
        self.sent.append(message)
        self._tell()

    def to(self, address: str) -> list[Sent]:
        """Return what a person has got."""
        return [message for message in self.sent if message.address == address]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what was sent holds."""
        while not condition():
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def answering(answer: Answering) -> Serving:
    """Serve whole answers; None leaves the caller waiting."""

    async def serve(request: Request, connection: Connection) -> bool:
        written = await answer(request)
        if written is None:
            await connection.reader.read(1)
            return False
        connection.writer.write(written)
        await connection.writer.drain()
        return True

    return serve


class WebhookCaller:
    """Calls our webhook as a platform does: until it says that it has taken what was delivered.

    Args:
        sign: Makes the headers of a call from its body.

    Attributes:
        url: Where the webhook is.
    """

    def __init__(self, sign: Callable[[bytes], Mapping[str, str]]) -> None:
        self.url = ""
        self._sign = sign

    async def deliver(
        self, *bodies: bytes, times: int = 1, mixed_by: Random | None = None, at_once: int = 1
    ) -> Sequence[int]:
        """Deliver each body so many times.

        Args:
            mixed_by: Mixes up the calls; None keeps them in order.
            at_once: The most calls under way at a time.

        Returns:
            The statuses of the answers, in no order.
        """
        calls = [body for body in bodies for _ in range(times)]
        if mixed_by:
            mixed_by.shuffle(calls)
        queue = deque(calls)
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            done = await asyncio.gather(*(self._work(client, queue) for _ in range(at_once)))
        return [status for statuses in done for status in statuses]

    async def _work(self, client: httpx.AsyncClient, queue: deque[bytes]) -> Sequence[int]:
        statuses = []
        while queue:
            statuses.append(await self._call(client, queue.popleft()))
        return statuses

    async def _call(self, client: httpx.AsyncClient, body: bytes) -> int:
        status = 0
        for _ in range(_TRIES):
            try:
                answer = await client.post(
                    self.url, content=body, headers={"content-type": "application/json", **self._sign(body)}
                )
            except httpx.TransportError:
                status = 0
            else:
                status = answer.status_code
            if status and status < httpx.codes.INTERNAL_SERVER_ERROR:
                break
            await asyncio.sleep(_BETWEEN_TRIES_S)
        return status
