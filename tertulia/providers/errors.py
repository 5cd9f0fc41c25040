"""What went wrong with an attempt: a response, an error inside a stream or an exception becomes a ProviderFailure.

The vocabularies of the providers hardly overlap, so one table serves them all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers import untrusted
from tertulia.providers.rate_limits import rate_limits
from tertulia.providers.retry_hints import retry_hint
from tertulia.providers.untrusted import items, mapping, number, string

MAX_DETAIL = 300

# Shorter texts occur in innocent words as well, so hiding them would only garble the message.
_SHORTEST_SECRET = 8
_KEY = re.compile(r"\bBearer\s+[^\s,;'\"]+|\b(?:sk|pk|rk|gsk|xai)[-_][\w.*-]{6,}|\bAIza[\w*-]{10,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Says what a failure is if all that the rule names is found: one of the statuses, one of the codes, the words."""

    failure: FailureClass
    statuses: frozenset[int | None] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None

    def fits(self, status: int | None, codes: frozenset[str], text: str) -> bool:
        return (
            (not self.statuses or status in self.statuses)
            and (not self.codes or not self.codes.isdisjoint(codes))
            and (self.words is None or self.words.search(text) is not None)
        )


def _rule(failure: FailureClass, *codes: str, statuses: Iterable[int | None] = (), words: str | None = None) -> _Rule:
    pattern = re.compile(words, re.IGNORECASE) if words else None
    return _Rule(failure, frozenset(statuses), frozenset(codes), pattern)


# The first rule that fits decides. What a provider says in a code counts for more than its HTTP status.
_RULES = (
    # OpenRouter: too much estimated cost in flight passes by itself; the other 402s don't.
    _rule(FailureClass.RATE_LIMIT, "openrouter_in_flight_budget"),
    _rule(
        FailureClass.BILLING,
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "payment_required",
        "weight_exceeds_budget",
        "openrouter_credits",
        "openrouter_key_limit",
        "openrouter_guardrail_budget",
        "openrouter_workspace_budget",
        "enforced_spend_limit_reached",
    ),
    _rule(
        FailureClass.BILLING,
        statuses=(400, 403),
        words=r"credit balance|spend(?:ing)? limit|api usage limit|key limit exceeded",
    ),
    _rule(
        FailureClass.CONTENT_POLICY,
        "content_policy_violation",
        "content_filter",
        "responsibleaipolicyviolation",
        "refusal",
        "moderation",
    ),
    _rule(FailureClass.CONTENT_POLICY, statuses=(403,), words="guardrail|moderation|flagged"),
    _rule(
        FailureClass.AUTH,
        "invalid_api_key",
        "api_key_invalid",
        "authentication",
        "authentication_error",
        "unauthenticated",
        "permission_denied",
        "permission_error",
    ),
    _rule(FailureClass.AUTH, statuses=(400,), words=r"api key (?:not valid|expired)|invalid api key"),
    _rule(
        FailureClass.CONTEXT_LENGTH,
        "context_length_exceeded",
        "token_limit_exceeded",
        "max_tokens_exceeded",
        "string_too_long",
    ),
    # Groq: one request larger than what a minute allows never fits.
    _rule(FailureClass.CONTEXT_LENGTH, "rate_limit_exceeded", statuses=(413,)),
    _rule(
        FailureClass.CONTEXT_LENGTH,
        statuses=(None, 400, 413, 422, 500),
        words="context (?:length|window|size)|too many tokens|input token count|prompt is too long",
    ),
    _rule(FailureClass.MALFORMED, "tool_use_failed", "json_validate_failed", statuses=(None, 400, 422)),
    _rule(FailureClass.OVERLOADED, "availability_passing"),
    _rule(FailureClass.CONFIG, "availability_lasting"),
    _rule(FailureClass.QUOTA, statuses=(None, 429), words=r"per[ _-]?day|\b[RT]PD\b|daily"),
    _rule(FailureClass.RATE_LIMIT, "rate_limit_exceeded", "rate_limit_error"),
    _rule(
        FailureClass.OVERLOADED,
        "provider_overloaded",
        "overloaded_error",
        "overloaded",
        "capacity_exceeded",
        "unavailable",
    ),
    _rule(FailureClass.TIMEOUT, "timeout", "timeout_error", "deadline_exceeded"),
    _rule(
        FailureClass.CONFIG,
        "model_not_found",
        "model_decommissioned",
        "not_found",
        "not_found_error",
        "failed_precondition",
    ),
    # Our requests are the same for all; what only this model can't do, another may.
    _rule(
        FailureClass.CONFIG,
        statuses=(400, 422),
        words=r"not support|unsupported|deprecated|(?:unknown|invalid|not a valid) model|does not exist|decommissioned",
    ),
    _rule(FailureClass.BAD_REQUEST, statuses=(400, 413, 422)),
    _rule(FailureClass.AUTH, statuses=(401, 403)),
    _rule(FailureClass.BILLING, statuses=(402,)),
    # A redirect is not followed, since the key would go along.
    _rule(FailureClass.CONFIG, statuses=(*range(300, 400), 404, 405, 410)),
    _rule(FailureClass.TIMEOUT, statuses=(408, 524)),
    _rule(FailureClass.RATE_LIMIT, statuses=(429,)),
    _rule(FailureClass.OVERLOADED, statuses=(498, 503, 529)),
    # 499 says that the call was cancelled, but when it was we who did that, nobody is left to read it.
    _rule(FailureClass.SERVER, statuses=(409, 424, 499)),
    _rule(FailureClass.BAD_REQUEST, statuses=range(400, 500)),
    _rule(FailureClass.BAD_REQUEST, "invalid_request", "invalid_request_error", "invalid_argument"),
    _rule(FailureClass.SERVER),
)


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderFailure:
    """Classify a response that is no answer.

    Args:
        status: HTTP status, 300 or more.
        body: Its beginning will do; need not be JSON.
        now: Time of the response, UTC, for hints that name a moment.
    """
    parsed = untrusted.parse(body)
    error = error_in(parsed) or {"message": _plain(body)}
    return _failure(status, headers, error, now)


def from_event(error: Mapping[str, Any], now: datetime) -> ProviderFailure:
    """Classify an error object that came inside a stream or in a body with status 200."""
    code = int(number(error.get("code")) or 0)
    status = code if 400 <= code < 600 else None
    return _failure(status, {}, error, now)


def from_exception(error: Exception, *, began: bool) -> ProviderFailure:
    """Classify what the HTTP client raised.

    Args:
        began: Whether the response had begun.
    """
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | ValueError():
            # Not the client's own words: they quote the header or address, and with it the key.
            return ProviderFailure(FailureClass.CONFIG, "the request can't be sent: its address or key is not valid")
        case httpx.ConnectTimeout():
            return ProviderFailure(FailureClass.CONNECT, "no connection in time")
        case httpx.TimeoutException():
            return ProviderFailure(FailureClass.TIMEOUT, "the provider was too slow")
        case httpx.DecodingError():
            return ProviderFailure(FailureClass.MALFORMED, "the response's encoding is broken")
        case httpx.RemoteProtocolError() if not began and "disconnected" not in str(error):
            return ProviderFailure(FailureClass.MALFORMED, "what came back is not HTTP")
        case _:
            failure = FailureClass.TRUNCATED if began else FailureClass.CONNECT
            what = "the connection broke inside the answer" if began else "no connection"
            return ProviderFailure(failure, f"{what}: {error}" if str(error) else what)


def error_in(body: object) -> Mapping[str, Any] | None:
    """Find the error object in a parsed body, whichever way it is wrapped; None where the body holds no error."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if isinstance(error, Mapping) and error:
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    # vLLM and its kin put the object at the top.
    return body if body.get("object") == "error" or (error and "message" in body) else None


def presentable(failure: ProviderFailure, secrets: Iterable[str]) -> ProviderFailure:
    """Copy a failure with its detail shortened, and with keys and the given texts hidden."""
    detail = " ".join(failure.detail.split())
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            detail = detail.replace(" ".join(secret.split()), "…")
    detail = _KEY.sub("…", detail)
    if len(detail) > MAX_DETAIL:
        detail = detail[: MAX_DETAIL - 1] + "…"
    return ProviderFailure(
        failure.failure,
        detail,
        status=failure.status,
        retry_after=failure.retry_after,
        usage=failure.usage,
        charged_usd=failure.charged_usd,
        limits=failure.limits,
    )


def _failure(
    status: int | None, headers: Mapping[str, str], error: Mapping[str, Any], now: datetime
) -> ProviderFailure:
    message = string(error.get("message")) or (f"status {status}" if status else "an error without words")
    upstream = string(mapping(error.get("metadata")).get("provider_name"))
    return ProviderFailure(
        _classify(status, error),
        f"{message} ({upstream})" if upstream else message,
        status=status,
        retry_after=retry_hint(headers, error, now),
        limits=rate_limits(headers, now),
    )


def _classify(status: int | None, error: Mapping[str, Any]) -> FailureClass:
    codes = frozenset(_codes(error))
    text = " ".join(_words(error))
    return next(rule.failure for rule in _RULES if rule.fits(status, codes, text))


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    metadata = mapping(error.get("metadata"))
    reasons = [mapping(detail).get("reason") for detail in items(error.get("details"))]
    named = [error.get("code"), error.get("type"), error.get("status"), metadata.get("error_type")]
    yield from (string(code).lower() for code in (*named, metadata.get("limit_source"), *reasons))
    if metadata.get("flagged_input") or metadata.get("reasons"):
        yield "moderation"
    match mapping(error.get("availability")).get("retryable"):
        case True:
            yield "availability_passing"
        case False:
            yield "availability_lasting"


def _words(error: Mapping[str, Any]) -> Iterator[str]:
    yield string(error.get("message"))
    for detail in items(error.get("details")):
        for violation in items(mapping(detail).get("violations")):
            yield string(mapping(violation).get("quotaId"))


def _plain(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    # A page for people (of a proxy, say) explains nothing in its first 300 characters.
    return "" if text.startswith("<") else text
