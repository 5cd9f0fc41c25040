"""Typed identifiers, and the one place that knows how a session is named in Temporal."""

import re
from typing import Annotated, NewType

from pydantic import StringConstraints

SessionId = NewType("SessionId", str)
MessageId = NewType("MessageId", str)
TenantId = NewType("TenantId", str)
ProviderName = NewType("ProviderName", str)
DefinitionName = NewType("DefinitionName", str)
DefinitionHash = NewType("DefinitionHash", str)
JobId = NewType("JobId", str)
ApplicationId = NewType("ApplicationId", str)

TASK_QUEUE = "tertulia"
SESSION_WORKFLOW = "Session"
CHANNEL_INTAKE_WORKFLOW = "ChannelIntake"
CHANNEL_DELIVERY_WORKFLOW = "ChannelDelivery"
# All of the type Keyword; never the place for anything personal.
SEARCH_ATTRIBUTES = (
    "TertuliaState",
    "TertuliaDefinition",
    "TertuliaChannel",
    "TertuliaOwner",
    "TertuliaTenant",
)
# Turns after which a session goes on in a new run: about 2,000 events, far below what the server suggests. A replay
# stays cheap, and what is carried is spread over many turns.
TURNS_PER_RUN = 150
MAX_TURNS_PER_RUN = 250
DEFAULT_TENANT = TenantId("default")

# Ids go into workflow ids, URLs and log lines, so they are short, printable and need no escaping anywhere.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
_ID = re.compile(ID_PATTERN)
_WORKFLOW_PREFIX = "session/"

Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


def is_identifier(text: str) -> bool:
    """Tell whether a text may serve as an id: 1 to 128 characters of `A-Z a-z 0-9 _ . : -`."""
    return _ID.fullmatch(text) is not None


def workflow_id(session_id: SessionId) -> str:
    """Name the workflow of a session: `session/<session_id>`."""
    return _WORKFLOW_PREFIX + session_id


def session_id_of(workflow_id: str) -> SessionId:
    """Read the session's id back from its workflow's id."""
    return SessionId(workflow_id.removeprefix(_WORKFLOW_PREFIX))
