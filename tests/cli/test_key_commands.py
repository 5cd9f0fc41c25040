"""`tertulia keys …` on a database of its own."""

import json

import pytest

from tests.cli.conftest import Cli


async def test_the_key_alone_goes_to_standard_output_and_is_found_in_the_list(tertulia: Cli, database: str) -> None:
    made = await tertulia("keys", "create", "the website", "--tenant", "acme", "--days", "30", DATABASE_URL=database)
    listed = await tertulia("keys", "list", "--tenant", "acme", DATABASE_URL=database)
    of_others = await tertulia("keys", "list", "--json", DATABASE_URL=database)

    key = made.out.strip()
    assert (made.code, len(key), key[:9]) == (0, 73, "tertulia_")
    assert key not in made.err
    assert "the website" in listed.out
    assert key[:17] in listed.out
    assert key not in listed.out
    assert of_others.out == ""


async def test_a_key_is_made_and_revoked_for_machines(tertulia: Cli, database: str) -> None:
    made = json.loads(
        (await tertulia("keys", "create", "first", "--scope", "admin", "--json", DATABASE_URL=database)).out
    )

    revoked = await tertulia("keys", "revoke", made["key_id"], DATABASE_URL=database)

    listed = json.loads((await tertulia("keys", "list", "--json", DATABASE_URL=database)).out)
    assert (made["scope"], made["tenant"], made["key"][:17]) == ("admin", "default", made["prefix"])
    assert revoked.code == 0
    assert listed["revoked_at"] is not None
    assert "key" not in listed


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["create", "x", "--tenant", "no such name"], 2, "--tenant"),
        (["create", "x", "--scope", "root"], 2, "--scope"),
        (["revoke", "nobodys"], 1, "there is no key 'nobodys'"),
    ],
)
async def test_what_can_not_be_done_is_said(
    tertulia: Cli, database: str, arguments: list[str], code: int, told: str
) -> None:
    ended = await tertulia("keys", *arguments, DATABASE_URL=database)

    assert ended.code == code
    assert told in ended.err


async def test_without_a_database_at_hand_it_says_so(tertulia: Cli) -> None:
    ended = await tertulia("keys", "list")

    assert ended.code == 1
    assert "make run" in ended.err
