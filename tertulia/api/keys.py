"""Keys of the API: hand out, list, revoke; each tenant's administrators their own."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, ConfigDict, Field

from tertulia.api.access import Tenant, allow
from tertulia.api.inputs import Given, Line, PageOfSessions
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.domain.access import ApiKey, KeyId, KeyPage, Scope
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import ID_PATTERN

router = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[allow(Scope.ADMIN)])

_EXAMPLE = {
    "key_id": "6b1f0c1e5d5b4a0f9a3e0c7d2b8f4a11",
    "tenant": "default",
    "name": "the website",
    "scope": "chat",
    "prefix": "tertulia_1c2d3e4f",
    "created_at": "2026-03-14T12:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}


class CreateKey(Given):
    """What a key is for.

    Attributes:
        name: What it is for, for people.
        expires_at: When it stops working by itself; null: never.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "the website", "scope": "chat"}]})

    name: Annotated[Line, Field(min_length=1, max_length=100)]
    scope: Scope
    expires_at: AwareDatetime | None = None


class CreatedKey(ApiKey):
    """A new key.

    Attributes:
        key: The key itself. It is shown here, and nowhere ever again.
    """

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{**_EXAMPLE, "key": f"tertulia_1c2d3e4f{'0' * 56}"}]}
    )

    key: str


@router.post("", status_code=201, responses=documented(body=True))
async def create_key(body: CreateKey, ports: Ports, tenant: Tenant, response: Response) -> CreatedKey:
    """Make a key for the caller's tenant. The answer is the only place where the key itself is ever shown."""
    now = ports.now()
    _must_be_ahead(body.expires_at, now)
    key, secret = await ports.doorkeeper.keys.create(tenant, body.name, body.scope, at=now, expires_at=body.expires_at)
    response.headers["Cache-Control"] = "no-store"
    return CreatedKey(**dict(key), key=secret.get_secret_value())


@router.get("", responses=documented())
async def list_keys(query: Annotated[PageOfSessions, Query()], ports: Ports, tenant: Tenant) -> KeyPage:
    """List the tenant's keys, newest first, the revoked ones too."""
    return await ports.doorkeeper.keys.find_all(tenant, cursor=query.cursor, limit=query.limit)


@router.delete("/{key_id}", status_code=204, response_class=Response, responses=documented("not_found"))
async def revoke_key(
    key_id: Annotated[KeyId, Path(pattern=ID_PATTERN, description="The key's id")], ports: Ports, tenant: Tenant
) -> None:
    """Revoke a key: within a second it opens nothing any more, nor does any session token that came from it."""
    await ports.doorkeeper.revoke(tenant, key_id, ports.now())


def _must_be_ahead(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("is over already", field="body.expires_at")
