"""`tertulia keys …`: keys of the API, in the database itself, so that the first one can be made."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer

from starter.options import AsJson
from starter.tables import print_table
from tertulia.config import load_settings
from tertulia.domain.access import HOUSE, ApiKey, KeyId, Scope
from tertulia.domain.errors import InvalidInput, Unavailable
from tertulia.domain.ids import TenantId, is_identifier
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.storage.api_keys import PostgresApiKeys
from tertulia.storage.migrations import migrate
from tertulia.storage.pool import open_pool

T = TypeVar("T")
commands = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys of the API; in the database itself.")

Tenant = Annotated[str, typer.Option(help="Whose key; `default` runs the installation.")]
_PAGE = 200


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Annotated[Scope, typer.Option(help="What it may do; each includes those before it.")] = Scope.CHAT,
    tenant: Tenant = HOUSE,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="It works for so long.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: it can't be shown again."""
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    key, secret = _in_database(lambda keys: keys.create(_tenant(tenant), name, scope, at=now, expires_at=expires_at))
    if as_json:
        typer.echo(json.dumps({**key.model_dump(mode="json"), "key": secret.get_secret_value()}))
        return
    typer.echo(secret.get_secret_value())
    typer.echo(f"Key {key.key_id} of tenant {key.tenant}, scope {key.scope}. It is shown this once.", err=True)


@commands.command("list")
def list_keys(*, tenant: Tenant = HOUSE, as_json: AsJson = False) -> None:
    """List a tenant's keys, newest first, the revoked ones too."""
    found = _in_database(lambda keys: _all(keys, _tenant(tenant)))
    if as_json:
        for key in found:
            typer.echo(key.model_dump_json())
    else:
        now = datetime.now(UTC)
        print_table(
            ("id", "begins with", "scope", "name", "state", "last used"),
            [(key.key_id, key.prefix, key.scope, key.name, _state(key, now), _time(key.last_used_at)) for key in found],
        )


@commands.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id.")], *, tenant: Tenant = HOUSE) -> None:
    """Revoke a key: within a second it opens nothing any more."""
    now = datetime.now(UTC)
    _in_database(lambda keys: keys.revoke(_tenant(tenant), KeyId(key_id), at=now))


def _in_database(action: Callable[[PostgresApiKeys], Awaitable[T]]) -> T:
    return asyncio.run(_done(action))


async def _done(action: Callable[[PostgresApiKeys], Awaitable[T]]) -> T:
    async with _keys() as keys:
        return await action(keys)


@asynccontextmanager
async def _keys() -> AsyncIterator[PostgresApiKeys]:
    settings = load_settings()
    # Without a database of one's own it is that of `tertulia up`, which then has to run.
    dsn = settings.database_url or EmbeddedPostgres(settings.data_dir / "postgres").dsn
    try:
        await migrate(dsn)
    except Unavailable as error:
        if settings.database_url:
            raise
        raise Unavailable(error.part, "start it with `make run`, or say where one is with DATABASE_URL") from error
    async with open_pool(dsn, size=1) as pool:
        yield PostgresApiKeys(pool)


async def _all(keys: PostgresApiKeys, tenant: TenantId) -> list[ApiKey]:
    page = await keys.find_all(tenant, limit=_PAGE)
    found = list(page.keys)
    while page.next:
        page = await keys.find_all(tenant, cursor=page.next, limit=_PAGE)
        found += page.keys
    return found


def _tenant(given: str) -> TenantId:
    if not is_identifier(given):
        raise InvalidInput("must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", field="--tenant")
    return TenantId(given)


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {_time(key.revoked_at)}"
    if not key.is_usable(now):
        return f"expired {_time(key.expires_at)}"
    return "in use" if key.expires_at is None else f"until {_time(key.expires_at)}"


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
