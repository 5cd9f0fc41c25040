"""What the simulator can be told to do with one request. As JSON each is an object with its `kind`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quota(Value):
    """A quota that is used up; each wire tells it in places of its own, if at all."""

    period: Literal["minute", "day"] = "minute"
    wait_s: float


class Answer(Value):
    """Answer as a provider should.

    Attributes:
        text: What to say, a word a piece; None for what the simulator says by itself.
        finish: Why the answer ends, in OpenAI's words or in the wire's own.
        comments: Comments sent ahead of the first piece.
        usage: Whether the tokens are reported.
        usage_after_s: Pause between the finish and what follows it.
        done: Whether `[DONE]` ends the stream, on the wire that has it.
        then: What becomes of the connection after the answer: kept for the next call, closed or reset in place of a
            proper end, or left hanging.
        cached_tokens: How much of the prompt is reported as read from a cache.
        headers: Sent with the response, about rate limits say.
    """

    kind: Literal["answer"] = "answer"
    text: str | None = None
    finish: str = "stop"
    headers_after_s: float = 0
    first_token_after_s: float = 0
    gap_s: float = 0
    comments: int = 0
    usage: bool = True
    usage_after_s: float = 0
    done: bool = True
    then: Literal["keep", "close", "reset", "hang"] = "keep"
    cached_tokens: int = 0
    headers: dict[str, str] = {}


class Status(Value):
    """Refuse with an HTTP status.

    Attributes:
        after_s: How long it takes to refuse, in seconds.
        error: The error object of the body; None for the wire's usual one with `message`.
        quota: Why it refuses, where a quota is the reason.
        retry_after_s: Sent as `retry-after`, in seconds.
        retry_after_ms: Sent as `retry-after-ms`.
        retry_at_s: Sent as `retry-after`, as the HTTP date so many seconds from then.
    """

    kind: Literal["status"] = "status"
    code: int = Field(ge=200, le=599)
    after_s: float = 0
    message: str = "simulated failure"
    error: dict[str, Any] | None = None
    quota: Quota | None = None
    headers: dict[str, str] = {}
    retry_after_s: float | None = None
    retry_after_ms: float | None = None
    retry_at_s: float | None = None

    # So that a script reads `Status(429)`.
    def __init__(self, code: int = 0, **fields: Any) -> None:
        BaseModel.__init__(self, code=code, **fields)


class CutStream(Value):
    """Break off after so many pieces: by closing, by a TCP reset, or by ending the body as if all had been said."""

    kind: Literal["cut_stream"] = "cut_stream"
    after: int = 3
    text: str | None = None
    how: Literal["close", "reset", "end"] = "close"


class Stall(Value):
    """Fall silent after so many pieces, or with `comments_every_s` not quite silent, and keep the connection open."""

    kind: Literal["stall"] = "stall"
    after: int = 3
    text: str | None = None
    comments_every_s: float | None = None


class MalformedChunks(Value):
    """Answer, but with broken chunks in between."""

    kind: Literal["malformed_chunks"] = "malformed_chunks"
    after: int = 3
    count: int = 1
    text: str | None = None


class ErrorEvent(Value):
    """Report an error inside the stream after so many pieces, then end it."""

    kind: Literal["error_event"] = "error_event"
    after: int = 3
    code: int | str = 502
    message: str = "simulated failure"
    text: str | None = None


class ErrorBody(Value):
    """Report an error in a body with status 200."""

    kind: Literal["error_body"] = "error_body"
    code: int | str = 502
    message: str = "simulated failure"


class Reset(Value):
    """Take the request and reset the connection."""

    kind: Literal["reset"] = "reset"


class BlackHole(Value):
    """Take the request and never answer."""

    kind: Literal["black_hole"] = "black_hole"


class Garbage(Value):
    """Answer with bytes that are no HTTP."""

    kind: Literal["garbage"] = "garbage"


class Raw(Value):
    """Answer with a body given literally, in two parts where there is a `rest`."""

    kind: Literal["raw"] = "raw"
    body: bytes
    pause_s: float = 0
    rest: bytes = b""
    content_type: str = "text/event-stream"


Behaviour = Annotated[
    Answer | Status | CutStream | Stall | MalformedChunks | ErrorEvent | ErrorBody | Reset | BlackHole | Garbage | Raw,
    Field(discriminator="kind"),
]
