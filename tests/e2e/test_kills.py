"""Whatever is killed while sessions talk: every message is answered exactly once, in order, and nothing is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tertulia.embedded.simulator import Answer, ProviderSimulator
from tests.e2e.cluster import Cluster
from tests.e2e.talking import Talk, post

SESSIONS = 50
MESSAGES = 4
KILLS = 4


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    # The answers take a while to stream, so that kills hit before, during and after the provider's call.
    async with ProviderSimulator() as simulator:
        simulator.always("first", Answer(first_token_after_s=0.1, gap_s=0.05))
        environment = {
            "PRIMARY_PROVIDER": "first",
            "SECONDARY_PROVIDER": "second",
            "FIRST_BASE_URL": simulator.url,
            "FIRST_MODEL": "first",
            "SECOND_BASE_URL": simulator.url,
        }
        async with Cluster(tmp_path_factory.mktemp("cluster"), environment) as running:
            yield running


async def _kill_worker(cluster: Cluster) -> None:
    await cluster.kill_worker()
    await cluster.start_worker()


async def _kill_api(cluster: Cluster) -> None:
    await cluster.kill_api()
    await cluster.start_api()


async def _kill_postgres(cluster: Cluster) -> None:
    await cluster.kill_postgres()


async def _kill_temporal(cluster: Cluster) -> None:
    await cluster.kill_temporal()


_KILLS = (_kill_worker, _kill_api, _kill_postgres, _kill_temporal)


@pytest.mark.parametrize("kill", _KILLS, ids=lambda kill: kill.__name__)
async def test_every_message_is_answered_exactly_once_whatever_is_killed(
    cluster: Cluster, kill: Callable[[Cluster], Awaitable[None]]
) -> None:
    talks = [Talk(cluster.http, f"{kill.__name__[1:]}-{number}", MESSAGES) for number in range(SESSIONS)]
    await asyncio.gather(*(talk.open() for talk in talks))
    talking = asyncio.gather(*(talk.run() for talk in talks))
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.1, 1.5))
        await kill(cluster)
    await talking
    for talk in talks:
        await _was_answered_exactly_once(cluster, talk)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_message_is_answered_exactly_once_while_everything_is_killed_again_and_again(
    cluster: Cluster,
) -> None:
    talks = [Talk(cluster.http, f"soak-{number}", 60) for number in range(SESSIONS)]
    await asyncio.gather(*(talk.open() for talk in talks))
    talking = asyncio.gather(*(talk.run() for talk in talks))
    while not talking.done():
        await random.choice(_KILLS)(cluster)
        await asyncio.wait({talking}, timeout=random.uniform(0.5, 6))
    await talking
    for talk in talks:
        await _was_answered_exactly_once(cluster, talk)


@pytest.mark.parametrize("kill", [_kill_worker, _kill_api], ids=lambda kill: kill.__name__)
async def test_what_a_human_does_is_done_exactly_once_and_the_bot_keeps_silent_whatever_is_killed(
    cluster: Cluster, kill: Callable[[Cluster], Awaitable[None]]
) -> None:
    async def attend(session: str) -> list[tuple[str, str]]:
        talk = Talk(cluster.http, session, 1)
        await talk.open()
        await talk.run()
        path, operator = f"/v1/sessions/{session}", {"operator": "eva"}
        shown = [("user", talk.said[0]), ("assistant", talk.heard[0])]
        taken = await post(cluster.http, f"{path}/hand-over", operator | {"request_id": "take"})
        for number in range(MESSAGES):
            asked = {"text": f"is anybody there? {number}", "message_id": f"ask-{number}"}
            assert (await post(cluster.http, f"{path}/messages", asked))["reply"] == ""
            said = {"text": f"eva says {number}", "message_id": f"say-{number}"}
            await post(cluster.http, f"{path}/operator-messages", operator | said)
            shown += [("user", asked["text"]), ("operator", said["text"])]
        assert await post(cluster.http, f"{path}/hand-over", operator | {"request_id": "take"}) == taken
        back = await post(cluster.http, f"{path}/take-back", operator | {"request_id": "back"})
        shown += [("assistant", back["reply"])] if back["reply"] else []
        last = {"text": "and now?", "message_id": "last"}
        answer = await post(cluster.http, f"{path}/messages", last)
        return [*shown, ("user", last["text"]), ("assistant", answer["reply"])]

    sessions = [f"human-{kill.__name__[1:]}-{number}" for number in range(SESSIONS // 5)]
    attending = asyncio.gather(*(attend(session) for session in sessions))
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.1, 1.5))
        await kill(cluster)
    for session, shown in zip(sessions, await attending, strict=True):
        stored = await cluster.rows(
            "select role, text from messages where session_id = $1 and turn > 0 order by seq", session
        )
        assert [tuple(row) for row in stored] == shown
        actions = await cluster.rows(
            "select intervention ->> 'action' as action from turns"
            " where session_id = $1 and intervention is not null order by turn",
            session,
        )
        assert [row["action"] for row in actions] == ["hand_over", *["operator_message"] * MESSAGES, "take_back"]


async def _was_answered_exactly_once(cluster: Cluster, talk: Talk) -> None:
    stored = await cluster.rows(
        "select seq, role, text from messages where session_id = $1 and turn > 0 order by seq", talk.session_id
    )
    expected = [
        line
        for said, heard in zip(talk.said, talk.heard, strict=True)
        for line in (("user", said), ("assistant", heard))
    ]
    assert [(row["role"], row["text"]) for row in stored] == expected
    assert all(said in heard for said, heard in zip(talk.said, talk.heard, strict=True))
