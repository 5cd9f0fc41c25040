"""How many requests a caller may make: a bucket for each, in this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from tertulia.domain.errors import RateLimited

# Who was not seen for longer has a full bucket again, so that forgetting the oldest does nobody harm or good.
_BUCKETS_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left to a caller, and when that was so, in seconds."""

    tokens: float
    at: float

    def refilled(self, burst: float, per_second: float, at: float) -> "Bucket":
        """Return the bucket as it is at a later time."""
        return Bucket(min(burst, self.tokens + max(0.0, at - self.at) * per_second), at)


class RateLimit:
    """Holds each caller to so many requests a second; for a short while twice as many.

    Args:
        per_second: Requests; what isn't used of two seconds is kept.
        monotonic: Tells seconds that only ever go forward.
    """

    def __init__(self, per_second: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = max(1.0, 2 * per_second)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, caller: str) -> Mapping[str, str]:
        """Count a request; return the headers that tell what is left.

        Raises:
            RateLimited: Nothing is left; it says when there will be.

        Source: the headers follow draft-ietf-httpapi-ratelimit-headers.
        """
        now = self._monotonic()
        full = Bucket(self._burst, now)
        bucket = self._buckets.pop(caller, full).refilled(self._burst, self._per_second, now)
        allowed = bucket.tokens >= 1
        left = Bucket(bucket.tokens - 1, now) if allowed else bucket
        self._buckets[caller] = left
        if len(self._buckets) > _BUCKETS_AT_MOST:
            self._buckets.popitem(last=False)
        if not allowed:
            raise RateLimited(timedelta(seconds=(1 - left.tokens) / self._per_second))
        return {
            "RateLimit-Policy": f'"caller";q={math.floor(self._burst)};w=2',
            "RateLimit": f'"caller";r={math.floor(left.tokens)}',
        }
