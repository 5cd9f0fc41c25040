"""Counts of sessions and turns, which the database keeps by itself as they are written."""

from collections import defaultdict

from tertulia.domain.tallies import TURN_SECONDS, EndedTurns, Tallied
from tertulia.storage.pool import Pool

_READ = """
SELECT what, made_by, status, bucket, sum(count)::bigint AS count, sum(seconds) AS seconds
FROM tallies
GROUP BY what, made_by, status, bucket
ORDER BY what, made_by, status, bucket
"""


class PostgresTallies:
    """Implements `ports.Tallies`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self) -> Tallied:
        """Read what has been counted: some dozens of rows, whatever the database holds.

        Raises:
            Unavailable: Postgres can't be reached.
        """
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_READ)
        ended: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(TURN_SECONDS) + 1))
        seconds: dict[tuple[str, str], float] = defaultdict(float)
        for row in rows:
            if row["what"] == "ended":
                kind = row["made_by"], row["status"]
                ended[kind][row["bucket"]] = row["count"]
                seconds[kind] += row["seconds"]
        counts = {(row["what"], row["made_by"]): row["count"] for row in rows if row["what"] != "ended"}
        return Tallied(
            opened=counts.get(("opened", ""), 0),
            closed=counts.get(("closed", ""), 0),
            begun={made_by: count for (what, made_by), count in counts.items() if what == "begun"},
            ended=[EndedTurns(*kind, buckets=tuple(buckets), seconds=seconds[kind]) for kind, buckets in ended.items()],
        )
