"""The definitions that sessions have opened with, by the hash of their content."""

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import DefinitionHash
from tertulia.storage.pool import Pool

_READ = """
SELECT content FROM definitions WHERE hash = $1
"""

# Far more than are in use at a time, and still only megabytes.
_CACHED = 200


class PostgresPinnedDefinitions:
    """Implements `ports.PinnedDefinitions`. What was read is kept, since content never changes under its hash."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cached: dict[DefinitionHash, Definition] = {}

    async def pinned(self, definition_hash: DefinitionHash) -> Definition:
        """Return a definition that some session has opened with.

        Raises:
            NotFound: No session ever did.
        """
        if definition_hash not in self._cached:
            definition = await self._read(definition_hash)
            if len(self._cached) >= _CACHED:
                self._cached.pop(next(iter(self._cached)))
            self._cached[definition_hash] = definition
        return self._cached[definition_hash]

    async def _read(self, definition_hash: DefinitionHash) -> Definition:
        async with self._pool.connection() as connection:
            content = await connection.fetchval(_READ, definition_hash)
        if content is None:
            raise NotFound("definition", definition_hash)
        return Definition.model_validate_json(content)
