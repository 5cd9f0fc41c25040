"""What `tertulia providers …` prints for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.text import Text

from starter.tables import console, print_table
from tertulia.api.provider_views import (
    DecisionView,
    ProbeView,
    ProviderMetricsView,
    ProviderStatusView,
    ProviderView,
    Quantiles,
    Spread,
    StateChangeView,
)
from tertulia.domain.providers.state import Gate, GateKind, ProviderState

_NOTHING = "-"


def print_configurations(providers: Sequence[ProviderView]) -> None:
    """Print each provider's configuration on a line."""
    print_table(
        ("provider", "kind", "model", "priority", "weight", "timeout", "retries", "at a time", "key", "from", "note"),
        (
            (
                each.name,
                each.kind,
                each.model,
                each.priority,
                f"{each.weight:g}",
                f"{each.timeout_s:g} s",
                each.max_retries,
                each.max_concurrent,
                each.key_fingerprint or _NOTHING,
                each.origin,
                each.unusable or ("" if each.enabled else "disabled"),
            )
            for each in providers
        ),
    )


def print_provider(config: ProviderView, status: ProviderStatusView) -> None:
    """Print all of one provider, a fact on a line."""
    on = console()
    on.print(Text(config.name, style="bold"))
    facts = {**config.model_dump(mode="json", exclude={"name"}), **_facts(status)}
    for fact, value in facts.items():
        on.print(Text(f"  {fact.replace('_', ' '):<20}{_plain(value)}"))


def print_status(statuses: Sequence[ProviderStatusView]) -> None:
    """Print how each provider is on a line; milliseconds are the median and the 95th percentile."""
    print_table(
        ("provider", "status", "score", "breaker", "in flight", "ttft ms", "latency ms", "last probe", "passed over"),
        (
            (
                each.provider,
                each.status,
                f"{each.score:.0f}",
                _breaker(each),
                f"{each.in_flight}/{each.limit}",
                _milliseconds(each.ttft_ms),
                _milliseconds(each.latency_ms),
                _last_probe(each),
                each.passed_over or _NOTHING,
            )
            for each in statuses
        ),
    )


def print_metrics(metrics: Sequence[ProviderMetricsView]) -> None:
    """Print what came of each provider's attempts on a line; milliseconds are the median and the 95th percentile."""
    print_table(
        ("provider", "attempts", "answered", "failed", "ttft ms", "latency ms", "tokens", "cost", "wasted"),
        (
            (
                each.provider,
                each.attempts,
                _answered(each),
                ", ".join(f"{count} {failure}" for failure, count in each.failures.items()) or _NOTHING,
                _milliseconds(each.ttft_ms),
                _milliseconds(each.latency_ms),
                f"{each.input_tokens} → {each.output_tokens}",
                f"${each.cost_usd}",
                f"${each.wasted_usd}",
            )
            for each in metrics
        ),
    )


def probe_line(probe: ProbeView) -> str:
    """Tell what a probe found out."""
    if probe.reachable:
        return f"✓ {probe.provider}: answers in {probe.latency_ms:.0f} ms"
    return f"✗ {probe.provider}: {probe.detail}"


def change_line(change: StateChangeView) -> str:
    """Tell when and why something was decided, and what."""
    now = _state(change.after)
    return f"[{time(change.at)}] {change.reason}: {'; '.join(now[part] for part in change.changed if part in now)}"


def decision_lines(decision: DecisionView) -> Iterable[str]:
    """Tell who would be asked, who wouldn't and why, and when that may change."""
    yield f"{decision.strategy}: {' → '.join(decision.order) or 'nobody'}"
    for passed in decision.passed_over:
        yield f"passed over: {passed.provider} ({passed.reason})"
    if decision.retry_at is not None:
        yield f"may change at {time(decision.retry_at)} UTC"


def time(at: datetime) -> str:
    """Write a time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _plain(value: object) -> str:
    match value:
        case None:
            return _NOTHING
        case list():
            return ", ".join(map(str, value)) or _NOTHING
        case _:
            return str(value)


def _facts(status: ProviderStatusView) -> Mapping[str, object]:
    return {
        "status": f"{status.status}, score {status.score:.0f} by {status.confidence:g} calls",
        "breaker": _breaker(status),
        "gates": _gates({gate.kind: Gate(until=gate.until) for gate in status.gates}),
        "in flight": f"{status.in_flight} of {status.limit}",
        "maintenance": status.maintenance,
        "last probe": _last_probe(status),
        "ttft ms": _milliseconds(status.ttft_ms),
        "latency ms": _milliseconds(status.latency_ms),
        "spent today": f"${status.spent_usd}",
        "passed over": status.passed_over,
    }


def _breaker(status: ProviderStatusView) -> str:
    breaker = status.breaker
    phase = breaker.phase.replace("_", " ")
    return phase if breaker.open_until is None else f"{phase}, until {time(breaker.open_until)} ({breaker.reason})"


def _gates(gates: Mapping[GateKind, Gate]) -> str:
    closed = [f"{kind} until {time(gate.until) if gate.until else 'mended'}" for kind, gate in gates.items()]
    return ", ".join(closed) or "open"


def _last_probe(status: ProviderStatusView) -> str:
    probe = status.probe
    if probe is None:
        return _NOTHING
    return f"{probe.latency_ms:.0f} ms" if probe.reachable else f"failed ({probe.detail})"


def _milliseconds(of: Quantiles | Spread | None) -> str:
    return _NOTHING if of is None or of.p50 is None else f"{of.p50:.0f} / {of.p95:.0f}"


def _answered(metrics: ProviderMetricsView) -> str:
    rate = "" if metrics.success_rate is None else f" ({metrics.success_rate:.1%})"
    return f"{metrics.answered}{rate}"


def _state(state: ProviderState) -> Mapping[str, str]:
    breaker, probe = state.breaker, state.probe
    return {
        "breaker": f"breaker open until {time(breaker.open_until)}" if breaker.open_until else "breaker closed",
        "gates": f"gates {_gates(state.gates)}",
        "limit": "limit as configured" if state.limit is None else f"limit {state.limit:.0f}",
        "maintenance": "in service" if state.maintenance is None else f"out of service: {state.maintenance}",
        "probe": "probe passed" if probe is not None and probe.reachable else "probe failed",
    }
