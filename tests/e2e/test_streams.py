"""Whoever follows a session has its transcript in the end, however often it is cut off and whatever is killed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent
from pydantic import TypeAdapter

from tertulia.domain.conversation import Message
from tertulia.domain.session_events import (
    SessionEnded,
    SessionEvent,
    Shown,
    TurnEnded,
    TurnStarted,
    TurnSuperseded,
)
from tertulia.domain.turns import Delta, TurnWaits
from tertulia.embedded.simulator import Answer, CutStream, ProviderSimulator
from tests.e2e.cluster import Cluster
from tests.e2e.talking import Talk

_EVENTS: dict[str, type[SessionEvent]] = {
    "turn.started": TurnStarted,
    "turn.waiting": TurnWaits,
    "text.delta": Delta,
    "turn.superseded": TurnSuperseded,
    "message": Message,
    "turn.completed": TurnEnded,
    "turn.failed": TurnEnded,
    "session.closed": SessionEnded,
}
_messages = TypeAdapter(tuple[Message, ...])


@dataclass
class Reader:
    """Follows one session to its end, over whichever process of the API answers.

    Attributes:
        ids: Of all events that it was told.
        cuts: How often it was cut off, or went away by itself.
    """

    http: httpx.AsyncClient
    urls: list[str]
    session_id: str
    shown: Shown = field(default_factory=Shown)
    ids: list[str] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    cuts: int = -1

    async def run(self) -> None:
        while not self.shown.ended:
            self.cuts += 1
            with suppress(httpx.TransportError, TimeoutError):
                async with asyncio.timeout(random.uniform(0.2, 6)):
                    await self._read()
            await asyncio.sleep(random.uniform(0, 0.2))

    async def _read(self) -> None:
        headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        url = f"{random.choice(self.urls)}/v1/sessions/{self.session_id}/events"
        async with self.http.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 503:
                return
            assert answer.status_code == 200, await answer.aread()
            patience = random.randint(1, 40)
            async for event in EventSource(answer).aiter_sse():
                self._take(event)
                patience -= 1
                if not patience:
                    return

    def _take(self, event: ServerSentEvent) -> None:
        self.ids.append(event.id)
        self.names[event.event] += 1
        self.shown = self.shown.after(_EVENTS[event.event].model_validate_json(event.data))


@pytest.fixture
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with ProviderSimulator() as simulator:
        # Answers that take their time are shown piece by piece, and some of them are cut off and superseded.
        simulator.always("first", Answer(text="one and two and three and four " * 3, gap_s=0.04))
        simulator.script("first", [CutStream(after=5)] * 5)
        environment = {
            "PRIMARY_PROVIDER": "first",
            "SECONDARY_PROVIDER": "second",
            "FIRST_BASE_URL": simulator.url,
            "FIRST_MODEL": "first",
            "FIRST_MAX_CONCURRENT": "100",
            "SECOND_BASE_URL": simulator.url,
            "TERTULIA_RATE_LIMIT": "0",
        }
        async with Cluster(tmp_path_factory.mktemp("streams"), environment, apis=2) as running:
            yield running


@pytest.mark.timeout(600)
async def test_every_reader_has_the_transcript_in_the_end(cluster: Cluster) -> None:
    await _read_while_apis_are_killed(cluster, readers=20, sessions=5, messages=3, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_two_hundred_readers_have_the_transcripts_of_fifty_sessions_in_the_end(cluster: Cluster) -> None:
    await _read_while_apis_are_killed(cluster, readers=200, sessions=50, messages=12, kills=20)


async def _read_while_apis_are_killed(
    cluster: Cluster, *, readers: int, sessions: int, messages: int, kills: int
) -> None:
    unlimited = httpx.Limits(max_connections=None)
    killed = asyncio.Event()
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5), limits=unlimited) as http,
        httpx.AsyncClient(base_url=cluster.url, timeout=90, limits=unlimited) as talking_http,
    ):
        talks = [Talk(talking_http, f"streams-{number}", messages) for number in range(sessions)]
        await asyncio.gather(*(talk.open() for talk in talks))
        reading = [Reader(http, list(cluster.urls), talks[number % sessions].session_id) for number in range(readers)]
        everybody = asyncio.gather(
            *(reader.run() for reader in reading), *(_talk_and_close(talk, killed) for talk in talks)
        )
        await _kill_apis(cluster, kills)
        killed.set()
        await everybody
        transcripts = {talk.session_id: await _transcript(cluster, talk) for talk in talks}

    assert sum(reader.cuts for reader in reading) > readers
    for reader in reading:
        assert len(set(reader.ids)) == len(reader.ids)
        assert reader.shown.messages == transcripts[reader.session_id]
    told = sum((reader.names for reader in reading), Counter[str]())
    assert told["text.delta"] > readers  # a show: who is cut off while it goes on misses some of it
    assert told["turn.completed"] == readers * (messages + 2)  # the greeting and the close are turns too


async def _talk_and_close(talk: Talk, killed: asyncio.Event) -> None:
    await talk.run()
    await killed.wait()
    while True:
        with suppress(httpx.TransportError):
            answer = await talk.http.delete(f"/v1/sessions/{talk.session_id}")
            if answer.status_code == 204:
                return
            assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.2)


async def _kill_apis(cluster: Cluster, kills: int) -> None:
    """Kill one process after the other; each is back before the next one goes."""
    for kill in range(kills):
        number = kill % len(cluster.urls)
        await asyncio.sleep(random.uniform(0.2, 2))
        await cluster.kill_api(number)
        await cluster.start_api(number)
        await cluster.ready()


async def _transcript(cluster: Cluster, talk: Talk) -> tuple[Message, ...]:
    await cluster.ready()
    answer = await cluster.http.get(f"/v1/sessions/{talk.session_id}/messages", params={"limit": 500})
    transcript = _messages.validate_python(answer.json()["messages"])
    said = [message.text for message in transcript if message.turn > 0]
    assert said[: 2 * len(talk.said)] == [line for lines in zip(talk.said, talk.heard, strict=True) for line in lines]
    return transcript
