"""Every way in which an attempt fails, and the class that decides what is tried next."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers import errors
from tertulia.providers.errors import error_in, from_event, from_exception, from_response, presentable

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)

C = FailureClass

Refusals = list[tuple[int, dict[str, Any], FailureClass]]

OPENAI: Refusals = [
    (400, {"message": "bad temperature", "type": "invalid_request_error", "code": None}, C.BAD_REQUEST),
    (400, {"message": "maximum context length is 8192 tokens", "type": "invalid_request_error"}, C.CONTEXT_LENGTH),
    (400, {"message": "x", "code": "context_length_exceeded"}, C.CONTEXT_LENGTH),
    (400, {"message": "x", "code": "content_policy_violation"}, C.CONTENT_POLICY),
    (400, {"message": "x", "code": "content_filter"}, C.CONTENT_POLICY),
    (400, {"message": "Unsupported parameter: 'max_tokens'", "code": "unsupported_parameter"}, C.CONFIG),
    (401, {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}, C.AUTH),
    (403, {"message": "country not supported", "type": "request_forbidden"}, C.AUTH),
    (404, {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}, C.CONFIG),
    (408, {"message": "x"}, C.TIMEOUT),
    (409, {"message": "x"}, C.SERVER),
    (413, {"message": "x"}, C.BAD_REQUEST),
    (418, {"message": "x"}, C.BAD_REQUEST),
    (422, {"message": "x"}, C.BAD_REQUEST),
    (429, {"message": "x", "code": "rate_limit_exceeded"}, C.RATE_LIMIT),
    (429, {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}, C.BILLING),
    (429, {"message": "x"}, C.RATE_LIMIT),
    (500, {"message": "x", "type": "server_error"}, C.SERVER),
    (502, {"message": "x"}, C.SERVER),
    (503, {"message": "x", "type": "server_error"}, C.OVERLOADED),
    (504, {"message": "x"}, C.SERVER),
    (301, {"message": "x"}, C.CONFIG),
    (599, {"message": "x"}, C.SERVER),
    (
        400,
        {"object": "error", "message": "This is longer than the model's context length", "code": 400},
        C.CONTEXT_LENGTH,
    ),
]
OPENROUTER: Refusals = [
    (400, {"code": 400, "message": "x", "metadata": {"error_type": "context_length_exceeded"}}, C.CONTEXT_LENGTH),
    (400, {"code": 400, "message": "x", "metadata": {"error_type": "token_limit_exceeded"}}, C.CONTEXT_LENGTH),
    (400, {"code": 400, "message": "x", "metadata": {"error_type": "content_policy_violation"}}, C.CONTENT_POLICY),
    (400, {"code": 400, "message": "x", "metadata": {"error_type": "refusal"}}, C.CONTENT_POLICY),
    (400, {"code": 400, "message": "x", "metadata": {"error_type": "invalid_request"}}, C.BAD_REQUEST),
    (400, {"code": 400, "message": "acme/x is not a valid model ID"}, C.CONFIG),
    (401, {"code": 401, "message": "No auth credentials found"}, C.AUTH),
    (402, {"code": 402, "message": "Insufficient credits"}, C.BILLING),
    (402, {"code": 402, "message": "x", "metadata": {"limit_source": "openrouter_in_flight_budget"}}, C.RATE_LIMIT),
    (402, {"code": 402, "message": "x", "metadata": {"limit_source": "openrouter_credits"}}, C.BILLING),
    (403, {"code": 403, "message": "x", "metadata": {"limit_source": "openrouter_workspace_budget"}}, C.BILLING),
    (403, {"code": 403, "message": "Key limit exceeded (total limit)"}, C.BILLING),
    (403, {"code": 403, "message": "x", "metadata": {"reasons": ["hate"], "flagged_input": "…"}}, C.CONTENT_POLICY),
    (403, {"code": 403, "message": "Blocked by guardrail"}, C.CONTENT_POLICY),
    (403, {"code": 403, "message": "x", "metadata": {"error_type": "permission_denied"}}, C.AUTH),
    (404, {"code": 404, "message": "No endpoints found"}, C.CONFIG),
    (404, {"code": 404, "message": "x", "availability": {"code": "model_deprecated", "retryable": False}}, C.CONFIG),
    (
        429,
        {"code": 429, "message": "x", "availability": {"code": "capacity_exhausted", "retryable": True}},
        C.OVERLOADED,
    ),
    (408, {"code": 408, "message": "x"}, C.TIMEOUT),
    (429, {"code": 429, "message": "Rate limit exceeded: free-models-per-min."}, C.RATE_LIMIT),
    (429, {"code": 429, "message": "Rate limit exceeded: free-models-per-day. Add 10 credits"}, C.QUOTA),
    (500, {"code": 500, "message": "Internal Server Error"}, C.SERVER),
    (502, {"code": 502, "message": "x", "metadata": {"error_type": "provider_unavailable"}}, C.SERVER),
    (502, {"code": 502, "message": "x", "metadata": {"error_type": "provider_overloaded"}}, C.OVERLOADED),
    (503, {"code": 503, "message": "x"}, C.OVERLOADED),
    (524, {"code": 524, "message": "x"}, C.TIMEOUT),
    (529, {"code": 529, "message": "x"}, C.OVERLOADED),
]
GROQ: Refusals = [
    (
        400,
        {"message": "x", "type": "invalid_request_error", "code": "json_validate_failed", "failed_generation": "{"},
        C.MALFORMED,
    ),
    (400, {"message": "x", "type": "invalid_request_error", "code": "tool_use_failed"}, C.MALFORMED),
    (400, {"message": "This model does not support response format `json_schema`"}, C.CONFIG),
    (400, {"message": "The model `x` has been decommissioned", "code": "model_decommissioned"}, C.CONFIG),
    (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, C.CONFIG),
    (413, {"message": "Request too large", "type": "tokens", "code": "rate_limit_exceeded"}, C.CONTEXT_LENGTH),
    (424, {"message": "x"}, C.SERVER),
    (
        429,
        {"message": "on tokens per minute (TPM): Limit 6000", "type": "tokens", "code": "rate_limit_exceeded"},
        C.RATE_LIMIT,
    ),
    (
        429,
        {"message": "on tokens per day (TPD): Limit 100000", "type": "tokens", "code": "rate_limit_exceeded"},
        C.QUOTA,
    ),
    (
        429,
        {"message": "on requests per day (RPD): Limit 1000", "type": "requests", "code": "rate_limit_exceeded"},
        C.QUOTA,
    ),
    (498, {"message": "x", "code": "capacity_exceeded"}, C.OVERLOADED),
    (499, {"message": "x"}, C.SERVER),
]


def quota_failure(quota: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}]


GEMINI: Refusals = [
    (400, {"code": 400, "message": "x", "status": "INVALID_ARGUMENT"}, C.BAD_REQUEST),
    (400, {"message": "x", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, C.AUTH),
    (400, {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}, C.AUTH),
    (400, {"message": "The input token count (9) exceeds the maximum", "status": "INVALID_ARGUMENT"}, C.CONTEXT_LENGTH),
    (400, {"message": "x", "status": "FAILED_PRECONDITION"}, C.CONFIG),
    (401, {"message": "x", "status": "UNAUTHENTICATED"}, C.AUTH),
    (402, {"message": "x", "status": "RESOURCE_EXHAUSTED"}, C.BILLING),
    (403, {"message": "x", "status": "PERMISSION_DENIED"}, C.AUTH),
    (404, {"message": "x", "status": "NOT_FOUND"}, C.CONFIG),
    (
        429,
        {"message": "x", "status": "RESOURCE_EXHAUSTED", "details": quota_failure("RequestsPerMinutePerProject")},
        C.RATE_LIMIT,
    ),
    (
        429,
        {"message": "x", "status": "RESOURCE_EXHAUSTED", "details": quota_failure("RequestsPerDayPerProject")},
        C.QUOTA,
    ),
    (429, {"message": "You exceeded your current quota, check your plan and billing details"}, C.RATE_LIMIT),
    (500, {"message": "x", "status": "INTERNAL"}, C.SERVER),
    (503, {"message": "x", "status": "UNAVAILABLE"}, C.OVERLOADED),
    (504, {"message": "x", "status": "DEADLINE_EXCEEDED"}, C.TIMEOUT),
]
ANTHROPIC: Refusals = [
    (400, {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}, C.CONTEXT_LENGTH),
    (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, C.BILLING),
    (400, {"type": "invalid_request_error", "message": "You have reached your specified API usage limits."}, C.BILLING),
    (400, {"type": "invalid_request_error", "message": "`temperature` is deprecated for this model."}, C.CONFIG),
    (400, {"type": "invalid_request_error", "message": "x"}, C.BAD_REQUEST),
    (401, {"type": "authentication_error", "message": "x"}, C.AUTH),
    (402, {"type": "billing_error", "message": "x"}, C.BILLING),
    (403, {"type": "permission_error", "message": "x"}, C.AUTH),
    (404, {"type": "not_found_error", "message": "x"}, C.CONFIG),
    (409, {"type": "conflict_error", "message": "x"}, C.SERVER),
    (413, {"type": "request_too_large", "message": "x"}, C.BAD_REQUEST),
    (429, {"type": "rate_limit_error", "message": "x"}, C.RATE_LIMIT),
    (429, {"type": "rate_limit_error", "code": "enforced_spend_limit_reached", "message": "x"}, C.BILLING),
    (500, {"type": "api_error", "message": "x"}, C.SERVER),
    (504, {"type": "timeout_error", "message": "x"}, C.TIMEOUT),
    (529, {"type": "overloaded_error", "message": "x"}, C.OVERLOADED),
]

# These come as mere texts.
OLLAMA = [
    (400, "invalid options", C.BAD_REQUEST),
    (400, '"llama3.2" does not support thinking', C.CONFIG),
    (400, "the input length exceeds the context length", C.CONTEXT_LENGTH),
    (401, "unauthorized", C.AUTH),
    (403, "forbidden", C.AUTH),
    (404, "model 'llama3.2' not found", C.CONFIG),
    (429, "too many requests", C.RATE_LIMIT),
    (500, "llama runner process has terminated", C.SERVER),
    (502, "bad gateway", C.SERVER),
    (503, "server busy, please try again. maximum pending requests exceeded", C.OVERLOADED),
]


@pytest.mark.parametrize(("status", "error", "failure"), OLLAMA)
def test_every_refusal_that_is_a_mere_text_has_its_class(status: int, error: str, failure: FailureClass) -> None:
    classified = from_response(status, {}, json.dumps({"error": error}).encode(), NOW)
    assert (classified.failure, classified.status, classified.detail) == (failure, status, error)


@pytest.mark.parametrize(("status", "error", "failure"), OPENAI + OPENROUTER + GROQ + GEMINI + ANTHROPIC)
def test_every_refusal_has_its_class(status: int, error: dict[str, Any], failure: FailureClass) -> None:
    for body in ({"error": error}, [{"error": error}]):
        classified = from_response(status, {}, json.dumps(body).encode(), NOW)
        assert (classified.failure, classified.status) == (failure, status)
    assert error["message"] in from_response(status, {}, json.dumps({"error": error}).encode(), NOW).detail


@pytest.mark.parametrize(
    ("error", "failure", "status"),
    [
        ({"code": 429, "message": "x"}, C.RATE_LIMIT, 429),
        ({"code": "503", "message": "x"}, C.OVERLOADED, 503),
        ({"code": "rate_limit_exceeded", "message": "x"}, C.RATE_LIMIT, None),
        ({"code": "context_length_exceeded", "message": "x"}, C.CONTEXT_LENGTH, None),
        ({"type": "overloaded_error", "message": "x"}, C.OVERLOADED, None),
        ({"type": "invalid_request_error", "message": "x"}, C.BAD_REQUEST, None),
        ({"metadata": {"error_type": "timeout"}}, C.TIMEOUT, None),
        ({"code": 7, "message": "x"}, C.SERVER, None),
        ({}, C.SERVER, None),
    ],
)
def test_an_error_inside_a_stream_has_its_class(
    error: dict[str, Any], failure: FailureClass, status: int | None
) -> None:
    classified = from_event(error, NOW)
    assert (classified.failure, classified.status) == (failure, status)


def test_a_failure_carries_the_wait_that_was_asked_for() -> None:
    body = b'{"error": {"message": "Please try again in 9s."}}'
    assert from_response(429, {}, body, NOW).retry_after == timedelta(seconds=9)
    assert from_response(429, {"Retry-After": "4"}, body, NOW).retry_after == timedelta(seconds=4)
    assert from_event({"message": "Please try again in 9s."}, NOW).retry_after == timedelta(seconds=9)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"<html><title>502 Bad Gateway</title></html>", "status 502"),
        (b"", "status 502"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error": "model failed to load"}', "model failed to load"),
        (b'{"object": "error", "message": "engine is dead", "type": "x", "code": 502}', "engine is dead"),
        (b'{"error": {"message": {"nested": 1}}}', "status 502"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_body_of_any_kind_is_read_as_well_as_it_can(body: bytes, detail: str) -> None:
    failure = from_response(502, {}, body, NOW)
    assert (failure.failure, failure.detail) == (C.SERVER, detail)


@pytest.mark.parametrize(
    "body", [None, 5, "error", [], {}, {"error": None}, {"error": {}}, {"error": ""}, {"choices": []}, [{}, {}]]
)
def test_what_is_no_error_is_not_taken_for_one(body: object) -> None:
    assert error_in(body) is None


REQUEST = httpx.Request("POST", "https://provider.example/v1")


@pytest.mark.parametrize(
    ("error", "before", "inside"),
    [
        (httpx.ConnectError("[Errno 111] refused"), C.CONNECT, C.TRUNCATED),
        (httpx.ConnectTimeout(""), C.CONNECT, C.CONNECT),
        (httpx.ReadError(""), C.CONNECT, C.TRUNCATED),
        (httpx.WriteError(""), C.CONNECT, C.TRUNCATED),
        (httpx.ProxyError("503"), C.CONNECT, C.TRUNCATED),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), C.CONNECT, C.TRUNCATED),
        (httpx.RemoteProtocolError("illegal status line"), C.MALFORMED, C.TRUNCATED),
        (httpx.ReadTimeout(""), C.TIMEOUT, C.TIMEOUT),
        (httpx.PoolTimeout(""), C.TIMEOUT, C.TIMEOUT),
        (httpx.DecodingError("", request=REQUEST), C.MALFORMED, C.MALFORMED),
        (httpx.LocalProtocolError("Illegal header value b'Bearer k'"), C.CONFIG, C.CONFIG),
        (httpx.UnsupportedProtocol("ftp"), C.CONFIG, C.CONFIG),
        (httpx.InvalidURL("no host"), C.CONFIG, C.CONFIG),
    ],
    ids=repr,
)
def test_an_exception_has_its_class(error: Exception, before: FailureClass, inside: FailureClass) -> None:
    assert from_exception(error, began=False).failure is before
    assert from_exception(error, began=True).failure is inside


@pytest.mark.parametrize(
    "key",
    [
        "sk-or-v1-0123456789abcdef",
        "gsk_0123456789abcdef",
        "AIzaSyA0123456789_-abc",
        "plain0123456789",
        "spaced 0123456789",
    ],
)
@pytest.mark.parametrize(
    "words",
    ["Incorrect API key provided: {}.", "Illegal header value b'Bearer {}'", "{}", "{}" + "x" * 400, "x" * 290 + "{}"],
)
def test_no_key_gets_out(key: str, words: str) -> None:
    shown = presentable(ProviderFailure(C.AUTH, words.format(key)), [key])
    assert key not in str(shown)
    assert key[:12] not in shown.detail


@pytest.mark.parametrize("masked", ["sk-ab12********************wxyz", "Bearer abc.def.ghi", "gsk_abcdefghij"])
def test_what_looks_like_a_key_does_not_get_out_either(masked: str) -> None:
    assert presentable(ProviderFailure(C.AUTH, f"Bad key {masked}, sorry"), []).detail == "Bad key …, sorry"


def test_what_people_wrote_does_not_get_out() -> None:
    failure = ProviderFailure(C.BAD_REQUEST, "Invalid content: 'My name\nis Ada Lovelace' in messages.1")
    assert presentable(failure, ["My name\nis Ada Lovelace"]).detail == "Invalid content: '…' in messages.1"


def test_innocent_words_stay() -> None:
    words = "The task asked for a risk-free sketch of the keyboard; yes, it did."
    assert presentable(ProviderFailure(C.SERVER, words), ["yes", ""]).detail == words


def test_a_detail_is_short_and_all_else_is_kept() -> None:
    failure = ProviderFailure(C.RATE_LIMIT, "word " * 500, status=429, retry_after=timedelta(seconds=3))
    shown = presentable(failure, [])
    assert len(shown.detail) == errors.MAX_DETAIL == 300
    assert (shown.failure, shown.status, shown.retry_after) == (C.RATE_LIMIT, 429, timedelta(seconds=3))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "metadata", "details", "availability", "violations"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(300, 599), JSON)
@settings(max_examples=300)
def test_no_body_breaks_the_classification(status: int, body: Any) -> None:
    assert from_response(status, {}, json.dumps(body).encode(), NOW).status == status
