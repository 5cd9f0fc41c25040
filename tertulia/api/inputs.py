"""What clients may send, field by field: nothing gets past here that storage or the engine could choke on."""

import json
import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from tertulia.domain.conversation import OpenSession, SessionStatus
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ID_PATTERN, Identifier, MessageId, SessionId, TenantId

# The most that a definition may allow; its own limit is checked by the session.
MAX_TEXT_CHARACTERS = 100_000
# A session's context travels through the engine's history once a run.
MAX_CONTEXT_CHARACTERS = 16_000
# PostgreSQL's integer.
MAX_NUMBER = 2**31 - 1

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_LINE_CONTROLS = r"\x00-\x1f\x7f"
# JSON lets halves of surrogate pairs through, and so do strings of Python; UTF-8, and so all behind us, does not.
_UNSTORABLE = re.compile(rf"[{_CONTROLS}\ud800-\udfff]")
_UNSTORABLE_IN_LINE = re.compile(rf"[{_LINE_CONTROLS}\ud800-\udfff]")


def _text(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise PydanticCustomError("unstorable", "has control characters other than line breaks and tabs")
    if not text.strip():
        raise PydanticCustomError("blank", "is blank")
    return text


def _line(text: str) -> str:
    if _UNSTORABLE_IN_LINE.search(text):
        raise PydanticCustomError("unstorable", "has control characters")
    return text


def _strings(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _strings(item)


def _must_be_storable(value: JsonValue, most: int) -> None:
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise PydanticCustomError("not_finite", "has numbers that JSON does not know") from error
    if len(written) > most:
        raise PydanticCustomError("too_long", "is longer than {most} characters of JSON", {"most": most})
    if any(_UNSTORABLE.search(text) for text in _strings(value)):
        raise PydanticCustomError("unstorable", "has control characters or halves of surrogate pairs")


def _context(context: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _must_be_storable(context, MAX_CONTEXT_CHARACTERS)
    return context


def _slot_value(value: JsonValue) -> JsonValue:
    _must_be_storable(value, MAX_TEXT_CHARACTERS)
    return value


Text = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TEXT_CHARACTERS),
    AfterValidator(_text),
    Field(json_schema_extra={"pattern": rf"^[^{_CONTROLS}]*[^{_CONTROLS}\s][^{_CONTROLS}]*$"}),
]
_ONE_LINE = AfterValidator(_line)
_IN_SCHEMA = Field(json_schema_extra={"pattern": f"^[^{_LINE_CONTROLS}]*$"})
Line = Annotated[str, _ONE_LINE, _IN_SCHEMA]
PersonName = Annotated[str, Field(min_length=1, max_length=128), _ONE_LINE, _IN_SCHEMA]
Note = Annotated[str, Field(max_length=500), _ONE_LINE, _IN_SCHEMA]
SlotValue = Annotated[JsonValue, AfterValidator(_slot_value)]
Context = Annotated[dict[str, JsonValue], AfterValidator(_context)]

SessionInPath = Annotated[SessionId, Path(pattern=ID_PATTERN, description="The session's id")]
MessageInPath = Annotated[MessageId, Path(pattern=ID_PATTERN, description="The message's id")]
TurnInPath = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="Counted from 1; 0 is the greeting")]
SlotInPath = Annotated[str, Path(pattern=ID_PATTERN, description="The slot's name")]
PersonInPath = Annotated[PersonName, Path(description="The caller's own name for the person")]


class Given(BaseModel):
    """What a client sends. An unknown field is refused rather than silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StartSession(Given):
    """Who talks, where, and with which application.

    Attributes:
        role: Left out, the definition's. Any other than `candidate` needs the scope `operate`, here and in all calls of
            the session.
        session_id: Chosen by the client, so that a repeated call finds the first one's session.
        context: Values that the definition may use in prompts and slots.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"definition": "recruiting", "user_id": "candidate-17", "channel": "web"}]}
    )

    definition: Identifier
    user_id: PersonName
    channel: Identifier = "api"
    channel_user_id: Annotated[str, Field(max_length=256), _ONE_LINE, _IN_SCHEMA] | None = None
    role: Identifier | None = None
    job_id: Identifier | None = None
    context: Context = {}
    session_id: Identifier | None = None

    def opening(self, tenant: TenantId, role: str) -> OpenSession:
        """What the engine is told."""
        return OpenSession.model_validate({**self.model_dump(exclude={"session_id"}), "tenant": tenant, "role": role})


class SendMessage(Given):
    """What the person wrote.

    Attributes:
        message_id: Chosen by the client, so that a repeated call gets the first one's outcome.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "My name is Ada Lovelace", "message_id": "m-1"}]}
    )

    text: Text
    message_id: Identifier | None = None


class ChangeState(Given):
    """A transition by hand."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": "waiting_for_input", "reason": "the candidate called"}]}
    )

    state: Identifier
    reason: Note = ""


class Asked(Given):
    """What every order of somebody in the loop may have.

    Attributes:
        operator: Who asks, by the caller's own name; it is kept with the turn.
        request_id: Chosen by the client, so that a repeated call gets the first one's outcome.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"operator": "eva", "request_id": "u-1"}]})

    operator: Annotated[str, Field(max_length=128), _ONE_LINE, _IN_SCHEMA] = ""
    request_id: Identifier | None = None


class GiveToHuman(Asked):
    """Why a human takes over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the candidate is upset", "operator": "eva"}]})

    reason: Annotated[Note, Field(min_length=1)] = "an operator has taken over"


class TakeBackSession(Asked):
    """How the bot goes on.

    Attributes:
        state: Where; left out, where the session stands.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"operator": "eva"}, {"state": "filed"}]})

    state: Identifier | None = None
    reason: Note = ""


class NewValue(Asked):
    """The value that a slot gets: what JSON can hold, or words as the person would say them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"value": "ada@example.org", "operator": "eva"}]})

    value: SlotValue


class SayAsOperator(Given):
    """What an operator says to the person.

    Attributes:
        operator: Who says it, by the caller's own name; it is kept with the turn.
        message_id: Chosen by the client, so that a repeated call says it once.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "Hello, this is Eva.", "message_id": "o-1", "operator": "eva"}]}
    )

    text: Text
    operator: Annotated[str, Field(max_length=128), _ONE_LINE, _IN_SCHEMA] = ""
    message_id: Identifier | None = None


class CloseSession(Given):
    """How a session is closed."""

    reason: Annotated[Note, Field(min_length=1)] = "closed by request"
    erase: bool = Field(default=False, description="Delete all that was said, in storage and in the workflow's history")


class PageOfSessions(Given):
    """Which page of a list; `cursor` is the `next` of the page before."""

    cursor: Annotated[str, Field(min_length=1, max_length=512), _ONE_LINE, _IN_SCHEMA] | None = None
    limit: int = Field(50, ge=1, le=200)


class FindSessions(PageOfSessions):
    """Which sessions to list; what is left out matches all."""

    state: Identifier | None = None
    status: SessionStatus | None = None
    definition: Identifier | None = None
    channel: Identifier | None = None
    user_id: PersonName | None = None


class PageOfMessages(Given):
    """Which messages: those behind `after`, or the `last` ones."""

    after: int = Field(0, ge=0, le=MAX_NUMBER, description="The `seq` behind which to begin")
    limit: int = Field(100, ge=1, le=500)
    last: int | None = Field(None, ge=1, le=500, description="The newest so many instead")


def chosen_id(in_body: str | None, in_header: str | None) -> str | None:
    """Read the id that a client chose for what it creates: a field of the body, or the header `Idempotency-Key`.

    Raises:
        InvalidInput: Both are given and differ, or the header's can't be an id.
    """
    if in_header is None:
        return in_body
    # The header's draft standard has the key in quotes; many clients send it bare.
    key = in_header.strip().removeprefix('"').removesuffix('"')
    if not re.fullmatch(ID_PATTERN, key):
        raise InvalidInput("must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", field="header.idempotency-key")
    if in_body not in {None, key}:
        raise InvalidInput("differs from the id in the body", field="header.idempotency-key")
    return key
