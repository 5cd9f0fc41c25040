"""A process that holds both embedded servers until it is killed: `python -m tests.embedded.holder DIRECTORY`.

With `--without-death-signal` it behaves as where the kernel knows none. Its only line of output is JSON: where the
servers are and their process ids, or the error that it ended with.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tertulia.domain.errors import CannotStart
from tertulia.embedded import process
from tertulia.embedded.postgres import EmbeddedPostgres
from tertulia.embedded.temporal import EmbeddedTemporal


async def hold(directory: Path) -> None:
    async with AsyncExitStack() as servers:
        try:
            postgres = await servers.enter_async_context(EmbeddedPostgres(directory / "postgres"))
            temporal = await servers.enter_async_context(EmbeddedTemporal(directory / "temporal"))
        except CannotStart as error:
            tell({"error": str(error)})
            return
        tell({"dsn": postgres.dsn, "address": temporal.address, "pids": [postgres.pid, temporal.pid]})
        await asyncio.Event().wait()


def tell(outcome: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if "--without-death-signal" in sys.argv:
        process._prctl = None
    asyncio.run(hold(Path(sys.argv[1])))
