"""Calls of every route with whatever its description allows and forbids, each answer checked against it."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

_ALWAYS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}
# Whether a thing exists, and what is refused beyond its form, no description tells.
_EXCLUDED = [checks.positive_data_acceptance, checks.negative_data_rejection, checks.unsupported_method]


def call_every_route(
    url: str,
    cases: int,
    *,
    headers: Mapping[str, str],
    always_the_same: bool = False,
    without: Collection[str] = (),
    known: Callable[[], Mapping[str, str]] = dict,
) -> int:
    """Call each operation so many times, and check each answer against the description; return the calls.

    Args:
        without: Paths that are not called.
        known: Gives values of parameters of paths, so that there is something under them; every other call takes them.
    """
    calls = 0
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.path in without:
            continue
        allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        forbidden = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

        @settings(max_examples=cases, derandomize=always_the_same, **_ALWAYS)
        @given(st.one_of(allowed, forbidden))
        def call(case: Any) -> None:
            nonlocal calls
            calls += 1
            if calls % 2:
                values = known()
                case.path_parameters |= {name: values[name] for name in case.path_parameters if name in values}
            case.call_and_validate(headers=headers, excluded_checks=_EXCLUDED, timeout=90)

        call()
    return calls
