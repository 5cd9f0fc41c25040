"""What the driver's errors mean: what passes by itself becomes Unavailable, the rest stays loud but quotes no row."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from tertulia.domain.errors import Unavailable

PART = "Postgres"

# What passes by itself or once an operator has acted, by the beginning of the SQLSTATE.
_PASSING = (
    "08",  # connection exception
    "25006",  # read-only: it has become a standby in a failover
    "25P03",  # a transaction was idle for too long
    "28",  # invalid authorization
    "3D",  # no such database
    "40",  # rolled back because of another transaction
    "53",  # insufficient resources: connections, memory, disk
    "55P03",  # a lock was not to be had in time
    "57",  # operator intervention: shutdown, start-up, time limit of a statement
    "58",  # system error
)
# Errors of this class, the driver's own about arguments too, quote the value that does not fit.
_DATA_EXCEPTION = "22"


@contextmanager
def translated() -> Iterator[None]:
    """Let the errors of asyncpg and of sockets leave the block as what they mean.

    Raises:
        Unavailable: Postgres can't be reached or can't serve at this moment; the transaction in hand is rolled back.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "").startswith(_PASSING):
            raise Unavailable(PART, str(error.args[0])) from error
        _forget_rows(error)
        raise
    except asyncpg.InternalClientError as error:
        # The driver has lost track of what the server said, because a connection broke; it drops the connection.
        raise Unavailable(PART, "the connection broke") from error
    except TimeoutError as error:
        raise Unavailable(PART, "no answer in time") from error
    except OSError as error:
        raise Unavailable(PART, error.strerror or type(error).__name__) from error


def _forget_rows(error: asyncpg.PostgresError) -> None:
    """Remove what quotes rows or values: details, context, causes, and the message itself where it does so."""
    if (error.sqlstate or "").startswith(_DATA_EXCEPTION):
        error.args = (f"a value does not fit (SQLSTATE {error.sqlstate})",)
    error.message = error.args[0]
    error.detail = error.hint = error.context = error.internal_query = None
    error.__cause__ = error.__context__ = None
