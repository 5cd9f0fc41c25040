"""What was decided about the providers, shared by all workers, and all that is known of them at a moment."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.state import Known, ProviderState, Sample
from tertulia.storage.listener import NOTIFY_PROVIDERS, PROVIDERS, Listener
from tertulia.storage.pool import Connection, Pool, Row

_STATES = """
SELECT provider, state FROM provider_state
"""

# Every provider that was ever asked has a slot 0.
_CALLS = """
SELECT provider_slots.provider, count(provider_slots.attempt_id) AS in_flight,
       bool_or(provider_slots.slot = 0 AND provider_slots.attempt_id IS NOT NULL) AS canary_in_flight,
       min(started_at) FILTER (WHERE silent) AS oldest_silent_since
FROM provider_slots LEFT JOIN attempts USING (attempt_id)
GROUP BY provider_slots.provider
"""

_SPENT = """
SELECT substr(scope, 10) AS provider, usd FROM spending WHERE scope LIKE 'provider:%' AND day = $1
"""

# The columns are in the order of Sample's fields.
_SAMPLES = """
SELECT newest.*
FROM provider_slots, LATERAL (
    SELECT attempt_id, attempts.provider, started_at, ended_at, failure, ttft_ms, latency_ms,
           output_visible + output_reasoning AS output_tokens, is_retry, limits_remaining AS remaining,
           limits_until AS remaining_until
    FROM attempts
    WHERE attempts.provider = provider_slots.provider AND ended_at >= $1
    ORDER BY ended_at DESC
    LIMIT $2
) AS newest
WHERE provider_slots.slot = 0
ORDER BY newest.ended_at
"""

# More would change no estimate.
SAMPLES = 200

_LOCK = """
SELECT state FROM provider_state WHERE provider = $1 FOR UPDATE
"""
_BEGIN = """
INSERT INTO provider_state (provider, state, updated_at) VALUES ($1, '{}', $2) ON CONFLICT DO NOTHING
"""
_CHANGE = """
UPDATE provider_state SET state = $2, updated_at = $3 WHERE provider = $1
"""
_REMEMBER = """
INSERT INTO provider_history (provider, at, reason, before, after) VALUES ($1, $2, $3, $4, $5)
"""


class PostgresProviderStates:
    """Implements `ports.ProviderStates`."""

    def __init__(self, pool: Pool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn

    async def read(self, since: datetime, at: datetime) -> Mapping[ProviderName, Known]:
        """Return what is known of every provider of which anything is known.

        Args:
            since: How far back samples go; of each provider there are at most `SAMPLES`, the newest.
            at: Now; says what day it is.
        """
        async with self._pool.connection() as connection:
            states = await connection.fetch(_STATES)
            calls = await connection.fetch(_CALLS)
            spent = await connection.fetch(_SPENT, at.astimezone(UTC).date())
            samples = await connection.fetch(_SAMPLES, since, SAMPLES)
        return _known(states, calls, spent, samples)

    async def change(
        self, provider: ProviderName, change: Callable[[ProviderState], ProviderState], *, at: datetime, reason: str
    ) -> ProviderState:
        """Change a provider's state under its lock, and wake all workers where that makes a difference.

        Args:
            change: Makes the new state of the present one; no I/O, for others wait.
            reason: Goes into the history, where the change is one that operators want to know of.

        Returns:
            The state as it is now.
        """
        async with self._pool.transaction() as connection:
            before = await _locked(connection, provider, at)
            after = change(before)
            if after != before:
                await connection.execute(_CHANGE, provider, after, at)
                if is_turn_of_events(before, after):
                    await connection.execute(_REMEMBER, provider, at, reason, before, after)
                await connection.execute(NOTIFY_PROVIDERS)
        return after

    @asynccontextmanager
    async def news(self) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set whenever a state or a configuration may have changed, here or in any process."""
        async with Listener(self._dsn, PROVIDERS) as listener:
            with listener.news() as event:
                yield event


def is_turn_of_events(before: ProviderState, after: ProviderState) -> bool:
    """Tell whether calls are let through or kept away differently, rather than that a count or a probe is new."""

    def access(state: ProviderState) -> tuple[object, ...]:
        return state.breaker.opened_at, state.gates, state.maintenance

    return access(before) != access(after)


async def _locked(connection: Connection, provider: ProviderName, at: datetime) -> ProviderState:
    row = await connection.fetchrow(_LOCK, provider)
    if row is None:
        await connection.execute(_BEGIN, provider, at)
        row = await connection.fetchrow(_LOCK, provider)
    assert row is not None
    return ProviderState.model_validate(row["state"])


def _known(
    states: Sequence[Row], calls: Sequence[Row], spent: Sequence[Row], samples: Sequence[Row]
) -> Mapping[ProviderName, Known]:
    state_of = {row["provider"]: ProviderState.model_validate(row["state"]) for row in states}
    calls_of = {row["provider"]: row for row in calls}
    spent_by: dict[str, Decimal] = {row["provider"]: row["usd"] for row in spent}
    samples_of: dict[str, list[Sample]] = defaultdict(list)
    for row in samples:
        samples_of[row["provider"]].append(_sample(row))
    known = {}
    for provider in {*state_of, *calls_of}:
        call = calls_of.get(provider)
        known[ProviderName(provider)] = Known(
            state=state_of.get(provider, ProviderState()),
            samples=tuple(samples_of[provider]),
            in_flight=call["in_flight"] if call else 0,
            canary_in_flight=call["canary_in_flight"] if call else False,
            oldest_silent_since=call["oldest_silent_since"] if call else None,
            spent_usd=spent_by.get(provider, Decimal(0)),
        )
    return known


def _sample(row: Row) -> Sample:
    # By place: all samples are read every second.
    attempt_id, provider, started_at, ended_at, failure, *rest = row
    return Sample(attempt_id, provider, started_at, ended_at, failure and FailureClass(failure), *rest)
