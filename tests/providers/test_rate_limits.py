"""What is left of a provider's rate limits, from the headers of every family."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.providers.completions import RateLimits
from tertulia.providers.rate_limits import rate_limits

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)

GROQ = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "4500",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2026-03-14T12:00:01Z",
    "anthropic-ratelimit-input-tokens-limit": "80000",
    "anthropic-ratelimit-input-tokens-remaining": "60000",
    "anthropic-ratelimit-input-tokens-reset": "2026-03-14T12:00:15Z",
    "anthropic-ratelimit-output-tokens-limit": "16000",
    "anthropic-ratelimit-output-tokens-remaining": "1600",
    "anthropic-ratelimit-output-tokens-reset": "2026-03-14T12:00:54Z",
}


@pytest.mark.parametrize(
    ("headers", "remaining", "full_in_s"),
    [
        (GROQ, 0.25, 7.66),
        (GROQ | {"x-ratelimit-remaining-requests": "144"}, 0.01, 179.56),
        ({name.title(): value for name, value in GROQ.items()}, 0.25, 7.66),
        (GROQ | {"x-ratelimit-reset-tokens": "6m0s"}, 0.25, 360),
        (ANTHROPIC, 0.1, 54),
        (ANTHROPIC | {"anthropic-ratelimit-requests-remaining": "0"}, 0, 1),
        # OpenRouter's, which come with a refusal alone: the reset is a moment in milliseconds.
        (
            {
                "X-RateLimit-Limit": "20",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(int((NOW.timestamp() + 5) * 1000)),
            },
            0,
            5,
        ),
        ({"x-ratelimit-remaining": "0"}, 0, None),
        ({"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "5"}, 0.5, None),
        # Of two that are used up, the one that is full again last.
        (
            GROQ | {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"},
            0,
            179.56,
        ),
        (GROQ | {"x-ratelimit-remaining-tokens": "-3"}, 0, 7.66),
        (GROQ | {"x-ratelimit-remaining-tokens": "20000", "x-ratelimit-remaining-requests": "20000"}, 1, 179.56),
        # A clock that is ahead of ours.
        (ANTHROPIC | {"anthropic-ratelimit-output-tokens-reset": "2026-03-14T11:59:59Z"}, 0.1, 0),
        (GROQ | {"x-ratelimit-reset-tokens": "soon"}, 0.25, None),
        (GROQ | {"x-ratelimit-reset-tokens": "9999999999999999"}, 0.25, None),
    ],
)
def test_the_tightest_limit_is_told(headers: dict[str, str], remaining: float, full_in_s: float | None) -> None:
    found = rate_limits(headers, NOW)
    assert found is not None
    assert found.remaining == pytest.approx(remaining)
    if full_in_s is None:
        assert found.until is None
    else:
        assert found.until is not None
        assert found.until - NOW == pytest.approx(timedelta(seconds=full_in_s), abs=timedelta(milliseconds=1))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream", "retry-after": "5"},
        {"x-ratelimit-limit-tokens": "10", "x-ratelimit-reset-tokens": "5s"},
        {"x-ratelimit-remaining-tokens": "5"},
        {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-limit-tokens": "0"},
        {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-limit-tokens": "-1"},
        {"x-ratelimit-remaining-tokens": "many", "x-ratelimit-limit-tokens": "10"},
    ],
)
def test_where_headers_do_not_say_nothing_is_known(headers: dict[str, str]) -> None:
    assert rate_limits(headers, NOW) is None


@given(st.dictionaries(st.sampled_from([*GROQ, *ANTHROPIC]), st.text() | st.floats().map(str) | st.integers().map(str)))
def test_whatever_the_headers_say_the_share_is_a_share(headers: dict[str, str]) -> None:
    found = rate_limits(headers, NOW)
    assert found is None or isinstance(found, RateLimits)
    assert found is None or 0 <= found.remaining <= 1
