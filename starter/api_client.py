"""How the command line calls the HTTP API. What it calls for stands in a client of its own for each kind of thing."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from tertulia.api.views import Problem
from tertulia.domain.errors import TertuliaError, Unavailable

# Longer than the API lets a request wait for its reply, and than its pings are apart.
_TIMEOUT = httpx.Timeout(90, connect=5)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiRefusal(TertuliaError):
    """Raised when the API answers with a problem; `problem` is what it said."""

    code = "api_refusal"

    def __init__(self, problem: Problem) -> None:
        instead = f" (possible: {', '.join(problem.allowed)})" if problem.allowed else ""
        super().__init__(f"{problem.title}: {problem.detail}{instead}")
        self.problem = problem


class ApiClient:
    """Calls the API. Every method raises ApiRefusal where it refuses, and Unavailable where nothing answers."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def figures(self, figure: str, **of: str | None) -> bytes:
        """Read a figure about many conversations, as it comes."""
        return self._call("GET", f"/v1/analytics/{figure}", params=given(**of)).content

    def figure_rows(self, figure: str, **of: str | None) -> Sequence[Mapping[str, Any]]:
        """Read the rows of a figure about many conversations."""
        rows: Sequence[Mapping[str, Any]] = json.loads(self.figures(figure, **of))["rows"]
        return rows

    def readiness(self) -> Mapping[str, str]:
        """Read which parts the API can reach."""
        try:
            parts: Mapping[str, str] = self._call("GET", "/readyz").json()["parts"]
        except ApiRefusal as refusal:
            return refusal.problem.parts or {}
        return parts

    def _pages(self, path: str, limit: int, where: Mapping[str, str | None]) -> Iterator[bytes]:
        """Yield the pages of a list until they have `limit` items together."""
        query: dict[str, Any] = given(**where)
        while limit > 0:
            page_size = min(limit, 200)
            answer = self._call("GET", path, params={**query, "limit": page_size})
            yield answer.content
            limit -= page_size
            query["cursor"] = answer.json()["next"]
            if query["cursor"] is None:
                return

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._opened(method, path, **request) as answer:
            answer.read()
        return answer

    @contextmanager
    def _opened(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **request) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error_in(answer)
                yield answer
        except httpx.ConnectError as error:
            raise Unavailable(
                f"the API at {self._http.base_url}", "nothing listens there; start it with `make run`"
            ) from error
        except httpx.TransportError as error:
            raise Unavailable(f"the API at {self._http.base_url}", "the connection was lost") from error


Client = TypeVar("Client", bound=ApiClient)


@contextmanager
def open_api(url: str, client: type[Client]) -> Iterator[Client]:
    """Connect to the API at a URL, with the key of the environment, if there is one."""
    # A proxy of the environment knows nothing of this machine.
    local = httpx.URL(url).host in _LOOPBACK
    key = os.environ.get("TERTULIA_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=not local) as http:
        yield client(http)


def given(**fields: Any) -> dict[str, Any]:
    """Leave out what is None."""
    return {name: value for name, value in fields.items() if value is not None}


def _error_in(answer: httpx.Response) -> TertuliaError:
    if "problem+json" not in answer.headers.get("content-type", ""):
        return Unavailable(f"the API at {answer.url}", f"something else answers there (status {answer.status_code})")
    return error_of(Problem.model_validate_json(answer.content))


def error_of(problem: Problem) -> TertuliaError:
    # `/readyz` tells by parts; that is an answer to the question, not a failure to answer it.
    if problem.code == Unavailable.code and problem.parts is None:
        return Unavailable("the engine", problem.detail)
    return ApiRefusal(problem)
