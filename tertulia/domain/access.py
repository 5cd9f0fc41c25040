"""Who may call the API, and for whom: scopes, keys, callers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from tertulia.domain.conversation import Payload
from tertulia.domain.ids import DEFAULT_TENANT, SessionId, TenantId

KeyId = NewType("KeyId", str)

# Runs the installation: what all tenants share is changed by keys of this tenant alone.
HOUSE = DEFAULT_TENANT


class Scope(StrEnum):
    """What a key is for. Each includes those before it."""

    CHAT = "chat"  # start sessions and talk in them
    OPERATE = "operate"  # see and steer all of a tenant's: sessions, jobs, applications, metrics
    ADMIN = "admin"  # hand out keys; in the house also providers and budgets

    def includes(self, other: "Scope") -> bool:
        """Tell whether whoever has this scope may do what the other one allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class ApiKey(Payload):
    """A key as it is known after it has been shown: everything but the key itself.

    Attributes:
        name: What it is for, in the words of whoever made it.
        prefix: How the key begins, so that it can be told from others.
        last_used_at: To within some minutes.
    """

    key_id: KeyId
    tenant: TenantId
    name: str
    scope: Scope
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_usable(self, now: datetime) -> bool:
        """Tell whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyPage(Payload):
    """A page of keys, newest first; `next` is the cursor of the page behind it, None at the end."""

    keys: Sequence[ApiKey]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request.

    Attributes:
        key_id: The key that it showed, or that its session token comes from; None where nobody is asked for keys.
        session_id: The only session that it may touch; None: any of its tenant's.
    """

    tenant: TenantId
    scope: Scope
    key_id: KeyId | None = None
    session_id: SessionId | None = None

    @property
    def is_of_house(self) -> bool:
        """Whether it may see and, by its scope, change what all tenants share."""
        return self.tenant == HOUSE and self.session_id is None
