"""Every place where a provider says how long to wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.providers.retry_hints import MAX_WAIT, retry_hint

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def wait(headers: dict[str, str] | None = None, error: dict[str, Any] | None = None) -> float | None:
    hint = retry_hint(headers or {}, error or {}, NOW)
    return None if hint is None else hint.total_seconds()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "0.5"}, 0.0005),
        ({"retry-after": "2"}, 2),
        ({"Retry-After": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Sat, 14 Mar 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Saturday, 14-Mar-26 12:00:30 GMT"}, 30),
        ({"retry-after": "2026-03-14T12:01:00Z"}, 60),
        ({"retry-after": "1m30s"}, 90),
        ({"retry-after": str(EPOCH + 40)}, 40),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"}, 7.66),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 5) * 1000)}, 5),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-03-14T12:00:20Z",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-03-14T12:00:45Z",
                "anthropic-ratelimit-output-tokens-remaining": "9",
                "anthropic-ratelimit-output-tokens-reset": "2026-03-14T13:00:00Z",
            },
            45,
        ),
    ],
)
def test_headers_say_how_long(headers: dict[str, str], seconds: float) -> None:
    assert wait(headers) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"availability": {"retryable": True, "retry_after": 12}}, 12),
        (
            {
                "details": [
                    {"@type": "Help"},
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "52.454646382s"},
                ]
            },
            52.454646,
        ),
        ({"metadata": {"resets_at": "2026-03-14T12:10:00Z"}}, 600),
        ({"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((EPOCH + 8) * 1000)}}}, 8),
        ({"message": "Rate limit reached. Please try again in 5.289s."}, 5.289),
        ({"message": "Please try again in 94ms."}, 0.094),
        ({"message": "Used 9. Please try again in 7m12s. Need more?"}, 432),
        ({"message": "try again in 1h2m"}, 3720),
        ({"message": "Please retry in 52.4s."}, 52.4),
        ({"message": "Try again in 20 seconds"}, 20),
        ({"message": "please retry after 2 minutes and be patient"}, 120),
    ],
)
def test_bodies_say_how_long(error: dict[str, Any], seconds: float) -> None:
    assert wait(error=error) == pytest.approx(seconds, abs=1e-6)


def daily_quota(**delay: str) -> dict[str, Any]:
    violations = [{"quotaId": "GenerateRequestsPerMinute"}, {"quotaId": "GenerateRequestsPerDayPerProject"}]
    return {"details": [{"@type": "QuotaFailure", "violations": violations}, delay]}


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-03-14T12:00:00+00:00", 19),
        ("2026-03-15T06:59:00+00:00", 1 / 60),
        ("2026-01-14T07:30:00+00:00", 0.5),
        # In California a night in March is an hour shorter.
        ("2026-03-08T08:00:00+00:00", 23),
    ],
)
def test_a_daily_quota_begins_anew_at_midnight_in_california(now: str, hours: float) -> None:
    hint = retry_hint({}, daily_quota(retryDelay="26s"), datetime.fromisoformat(now))
    assert hint == timedelta(hours=hours)


def test_the_most_precise_place_wins() -> None:
    places: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({"retry-after-ms": "1000"}, {}),
        ({"retry-after": "2"}, {}),
        ({}, {"availability": {"retry_after": 3}}),
        ({}, {"details": [{"retryDelay": "4s"}]}),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5s"}, {}),
        ({}, {"metadata": {"resets_at": "2026-03-14T12:00:06Z"}}),
        ({}, {"message": "try again in 7s"}),
    ]
    for first in range(len(places)):
        headers = {name: value for place, _ in places[first:] for name, value in place.items()}
        error = {name: value for _, place in places[first:] for name, value in place.items()}
        assert wait(headers, error) == first + 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": ""},
        {"retry-after": "soon"},
        {"retry-after": "-5"},
        {"retry-after": "nan"},
        {"retry-after": "inf"},
        {"retry-after": "1e400"},
        {"retry-after": "99999999"},
        {"retry-after": "Sat, 14 Mar 2026 11:00:00 GMT"},
        {"retry-after-ms": "soon"},
        {"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "7.66s"},
        {"x-ratelimit-remaining-tokens": "0"},
    ],
)
def test_what_makes_no_sense_is_no_hint(headers: dict[str, str]) -> None:
    assert wait(headers) is None


def test_nonsense_in_one_place_does_not_hide_the_next() -> None:
    assert wait({"retry-after-ms": "-1", "retry-after": "3"}) == 3


def test_no_wait_is_longer_than_a_day() -> None:
    assert retry_hint({"retry-after": "604800"}, {}, NOW) == MAX_WAIT == timedelta(hours=24)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["retry_after", "retryDelay", "resets_at", "headers", "violations", "quotaId"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        st.text(st.characters(codec="ascii"), max_size=30),
    ),
    st.dictionaries(st.sampled_from(["availability", "details", "metadata", "message"]), ANYTHING),
)
@settings(max_examples=300)
def test_whatever_a_provider_sends_the_wait_is_sensible(headers: dict[str, str], error: dict[str, Any]) -> None:
    hint = retry_hint(headers, error, NOW)
    assert hint is None or timedelta(0) <= hint <= MAX_WAIT
