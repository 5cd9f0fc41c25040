"""What the API is given: the ports behind it, and how long it waits for them."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from tertulia.api.waiting import within
from tertulia.domain.errors import Unavailable
from tertulia.ports import Definitions, Deltas, HealthRecords, SessionRecords, Sessions, Transcripts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """Everything behind the API.

    Attributes:
        parts: What has to be reached for the API to be of use, by name; a check raises where it isn't.
        reply_wait: Longest time that a request waits for its reply before it gets a receipt.
        engine_wait: Longest time for the engine to take something in.
        max_body_bytes: Longest body of a request.
    """

    sessions: Sessions
    records: SessionRecords
    transcripts: Transcripts
    deltas: Deltas
    definitions: Definitions
    health: HealthRecords
    parts: Mapping[str, Callable[[], Awaitable[None]]]
    # Most proxies cut a silent request after 60 s; a reply that is too late for that becomes a receipt, for which the
    # engine may be waited for once more.
    reply_wait: timedelta = timedelta(seconds=45)
    engine_wait: timedelta = timedelta(seconds=10)
    max_body_bytes: int = 1024 * 1024

    async def taken(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for the engine to take something in.

        Raises:
            Unavailable: It did not within `engine_wait`; the client may send the same again, under the same id.
        """
        try:
            return await within(self.engine_wait, call)
        except TimeoutError as error:
            raise Unavailable("the engine", "no worker has answered in time") from error


def _ports(request: Request) -> ApiPorts:
    ports: ApiPorts = request.app.state.ports
    return ports


Ports = Annotated[ApiPorts, Depends(_ports)]
