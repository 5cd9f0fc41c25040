"""What a provider says in its headers to be left of its rate limits.

Every family of such headers has the same three: what is allowed, what remains of it, and when it is full again; only
their names differ, and whether they speak of requests or tokens, of a minute or a day.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from tertulia.domain.providers.completions import RateLimits
from tertulia.providers.retry_hints import ABSURD_S, wait_s
from tertulia.providers.untrusted import number


def rate_limits(headers: Mapping[str, str], now: datetime) -> RateLimits | None:
    """Read what is left of the tightest limit; of several the one that is full again last.

    Args:
        headers: The response's, names in any case.
        now: Time of the response, UTC.

    Returns:
        None where the headers don't say.
    """
    limits = list(_limits({name.lower(): value for name, value in headers.items()}, now))
    return min(limits, key=lambda limit: (limit.remaining, -(limit.until or now).timestamp()), default=None)


def _limits(headers: Mapping[str, str], now: datetime) -> Iterator[RateLimits]:
    for name, value in headers.items():
        if "ratelimit" in name and "remaining" in name:
            left = _share(number(value), number(headers.get(name.replace("remaining", "limit"))))
            if left is not None:
                yield RateLimits(remaining=left, until=_moment(headers.get(name.replace("remaining", "reset")), now))


def _share(remaining: Decimal | None, allowed: Decimal | None) -> float | None:
    if remaining is None:
        return None
    if remaining <= 0:
        return 0.0
    # Without what is allowed, nobody knows how much the rest is.
    return min(1.0, float(remaining / allowed)) if allowed and allowed > 0 else None


def _moment(reset: str | None, now: datetime) -> datetime | None:
    wait = None if reset is None else wait_s(reset, now)
    return None if wait is None or wait > ABSURD_S else now + timedelta(seconds=max(0.0, wait))
