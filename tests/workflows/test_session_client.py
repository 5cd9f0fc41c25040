"""What a client is told by its sessions, whatever has happened to their workflows."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.errors import from_application_error, to_application_error
from starter.sessions import TemporalSessions
from tertulia.domain.conversation import OpenSession
from tertulia.domain.errors import (
    ActionRefused,
    CannotStart,
    ChannelFailure,
    DefinitionInvalid,
    Forbidden,
    InvalidInput,
    NotAdmitted,
    NotFound,
    ProviderFailure,
    RateLimited,
    Refused,
    SessionClosed,
    SessionMoved,
    TertuliaError,
    TooManyWaiting,
    TransitionRefused,
    TurnInProgress,
    Unauthenticated,
    Unavailable,
)
from tertulia.domain.ids import SessionId, workflow_id
from tertulia.embedded.simulator import Answer, ProviderSimulator
from tertulia.storage.turns import PostgresTurns
from tests.engine import Engine
from tests.storage.examples import GREETING, new_session

CROSSING = [
    InvalidInput("is empty", field="text"),
    InvalidInput("is empty"),
    DefinitionInvalid(["a.yaml:1: no name", "a.yaml:7: no such state"]),
    NotFound("session", "s-1"),
    Refused("another session has this id"),
    SessionClosed("the session is closed"),
    SessionMoved("the session goes on in a new run"),
    TurnInProgress("a turn is running"),
    TooManyWaiting("too many messages are waiting"),
    TransitionRefused("does not lead there", ["processing", "completed"]),
    ActionRefused("a human has the session", ["take_back"]),
    Unavailable("Postgres", "no answer in time"),
]


@pytest.mark.parametrize("error", CROSSING, ids=lambda error: type(error).__name__)
async def test_an_error_arrives_as_it_was_sent(error: TertuliaError) -> None:
    failure = Failure()
    await pydantic_data_converter.encode_failure(to_application_error(error), failure)
    sent = await pydantic_data_converter.decode_failure(failure)

    assert isinstance(sent, ApplicationError)
    arrived = from_application_error(sent)

    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


def test_every_error_that_can_reach_a_client_arrives() -> None:
    # The last three are raised and answered at the API's door.
    stay_at_home = {
        CannotStart,
        ChannelFailure,
        NotAdmitted,
        ProviderFailure,
        Forbidden,
        RateLimited,
        Unauthenticated,
    }
    assert {type(error) for error in CROSSING} == set(_descendants(TertuliaError)) - stay_at_home


def _descendants(kind: type[TertuliaError]) -> Iterator[type[TertuliaError]]:
    for child in kind.__subclasses__():
        if child.__module__ == kind.__module__:
            yield child
        yield from _descendants(child)


async def test_an_error_of_nobodys_is_a_session_that_is_unavailable(engine: Engine) -> None:
    chat = await engine.chat()

    with pytest.raises(Unavailable, match="the session"):
        async with engine.sessions._translated(chat.id):
            raise WorkflowUpdateFailedError(ApplicationError("odd", type="KeyError"))


async def test_a_send_to_a_workflow_that_is_terminated_meanwhile_says_that_the_session_is_closed(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Answer(first_token_after_s=30)])
    chat = await engine.chat()
    sending = asyncio.create_task(chat.say("hello"))
    await simulator.asked()

    await chat.workflow.terminate()

    with pytest.raises(SessionClosed):
        await sending


@workflow.defn(name="Unopened", sandboxed=False)
class Unopened:
    """A session as it is before it has opened."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def state(self) -> None:
        raise ApplicationError("it is still opening")


async def test_a_view_of_a_session_that_has_not_opened_tells_one_that_will_from_one_that_never_does(
    client: Client, task_queue: str
) -> None:
    sessions, session_id = TemporalSessions(client, task_queue=task_queue), SessionId(uuid4().hex)
    async with Worker(client, task_queue=task_queue, workflows=[Unopened]):
        running = await client.start_workflow(Unopened.run, id=workflow_id(session_id), task_queue=task_queue)
        with pytest.raises(Unavailable, match="still opening"):
            await sessions.view(session_id)

        await running.terminate()
        with pytest.raises(SessionClosed):
            await sessions.view(session_id)


async def test_an_id_whose_workflow_is_forgotten_is_not_given_to_somebody_else(engine: Engine) -> None:
    session_id = SessionId(uuid4().hex)
    await PostgresTurns(engine.pool).open(new_session(session_id), GREETING)

    with pytest.raises(Refused, match="another session has this id"):
        await engine.sessions.open(session_id, OpenSession(definition="assistant", user_id="eve"))

    (row,) = await engine.rows("select user_id, definition from sessions where session_id = $1", session_id)
    assert tuple(row) == ("ada", "greeting")
