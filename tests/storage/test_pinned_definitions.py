"""Definitions that sessions have opened with."""

from pathlib import Path

import pytest

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import DefinitionHash
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.definitions import PostgresPinnedDefinitions
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns

from .examples import GREETING, new_session, opened

_BUNDLED = DefinitionFiles(Path(__file__).parents[2] / "definitions")


@pytest.mark.parametrize("name", _BUNDLED.names())
async def test_a_pinned_definition_comes_back_with_its_hash(pool: Pool, name: str) -> None:
    definition = next(_BUNDLED.get(known) for known in _BUNDLED.names() if known == name)
    await PostgresTurns(pool).open(new_session(definition=definition), definition)

    pinned = await PostgresPinnedDefinitions(pool).pinned(definition.content_hash())

    assert pinned.model_dump() == definition.model_dump()
    assert list(pinned.states) == list(definition.states)
    assert pinned.content_hash() == definition.content_hash()


async def test_a_definition_that_no_session_opened_with_is_not_found(pool: Pool) -> None:
    with pytest.raises(NotFound, match="definition"):
        await PostgresPinnedDefinitions(pool).pinned(DefinitionHash("0" * 64))


async def test_a_pinned_definition_is_read_once(pool: Pool) -> None:
    await opened(pool)
    definitions = PostgresPinnedDefinitions(pool)
    first = await definitions.pinned(GREETING.content_hash())
    async with pool.connection() as connection:
        await connection.execute("TRUNCATE definitions CASCADE")

    assert await definitions.pinned(GREETING.content_hash()) is first
