"""New ids: unguessable, in the order of time, and fit for URLs and workflow ids."""

import secrets
import time


def new_id() -> str:
    """Make an id of 32 hexadecimal digits: 48 bits of Unix time in milliseconds, then 80 bits of chance.

    Neighbours in time are neighbours in an index, as with UUID version 7 (RFC 9562).
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
