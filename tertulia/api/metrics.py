"""What Prometheus is told: counts and times, by route and by provider; no ids, no texts, no tenants."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.responses import Response

from tertulia.api.access import allow_house
from tertulia.api.ports import Ports
from tertulia.api.problems import documented
from tertulia.domain.access import Scope
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.breaker import Phase, phase
from tertulia.domain.providers.health import ProviderStatus
from tertulia.domain.providers.reports import Metrics, StatusReport
from tertulia.domain.tallies import TURN_SECONDS, Tallied

router = APIRouter(tags=["operations"])

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# From a read that finds all in memory to a reply that a provider takes its time for.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Long enough for several scrapes, short enough to show what is going on now.
_LATELY = timedelta(minutes=5)


class RequestMetrics:
    """Requests as this process has served them.

    Attributes:
        streams: How many streams of events are open.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "tertulia_http_request_seconds",
            "Requests, up to the last byte of their answer",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("tertulia_open_streams", "Streams of events that are open", registry=self.registry)

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        # Anybody can make up a method.
        self._seconds.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)


@router.get(
    "/metrics",
    dependencies=[allow_house(Scope.OPERATE)],
    response_class=Response,
    responses={
        200: {"description": "In Prometheus's text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(),
    },
)
async def read_metrics(request: Request, ports: Ports) -> Response:
    """Tell Prometheus of this process, the sessions and the providers. What storage can't tell now is left out."""
    requests: RequestMetrics = request.app.state.request_metrics
    told = generate_latest(requests.registry)
    now = ports.now()
    with suppress(Unavailable):
        told += generate_latest(_OfSessions(await ports.tallies.read()))
    with suppress(Unavailable):
        status = await ports.providers.get_provider_status()
        lately = await ports.providers.get_provider_metrics(now - _LATELY, now)
        told += generate_latest(_of_providers(status, lately, now))
    return Response(told, media_type=CONTENT_TYPE_PLAIN_1_0_0)


@dataclass(frozen=True, slots=True)
class _OfSessions(Collector):
    """What storage has counted, which no process could by itself."""

    tallied: Tallied

    def collect(self) -> Iterator[Metric]:
        tallied = self.tallied
        yield CounterMetricFamily("tertulia_sessions_opened", "Sessions, over all workers", value=tallied.opened)
        yield CounterMetricFamily("tertulia_sessions_closed", "Sessions that have ended", value=tallied.closed)
        begun = CounterMetricFamily("tertulia_turns_begun", "Turns, over all workers", labels=["made_by"])
        for made_by, count in sorted(tallied.begun.items()):
            begun.add_metric([made_by], count)
        yield begun
        ended = HistogramMetricFamily(
            "tertulia_turn_seconds", "Turns that have ended, from beginning to end", labels=["made_by", "status"]
        )
        bounds = [*map(floatToGoString, TURN_SECONDS), "+Inf"]
        for each in tallied.ended:
            buckets = list(zip(bounds, accumulate(each.buckets), strict=True))
            ended.add_metric([each.made_by, each.status], buckets, sum_value=each.seconds)
        yield ended


def _of_providers(report: StatusReport, lately: Mapping[ProviderName, Metrics], now: datetime) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, told: str, *labels: str) -> Gauge:
        return Gauge(f"tertulia_provider_{name}", told, ("provider", *labels), registry=registry)

    status = gauge("status", "1 for the status that it has", "status")
    breaker = gauge("breaker", "1 for the phase that its breaker is in", "phase")
    in_flight = gauge("in_flight", "Calls under way, over all workers")
    limit = gauge("limit", "Calls under way that are allowed now, over all workers")
    spent = gauge("spent_usd", "Spent and reserved since midnight UTC")
    attempts = gauge("attempts_5m", "Attempts that have ended in the last five minutes, over all workers", "outcome")
    for each in report.providers:
        name = each.config.name
        for known in ProviderStatus:
            status.labels(name, known).set(each.health.status is known)
        for known_phase in Phase:
            breaker.labels(name, known_phase).set(phase(each.state.breaker, now) is known_phase)
        in_flight.labels(name).set(each.in_flight)
        limit.labels(name).set(each.limit)
        spent.labels(name).set(float(each.spent_usd))
    for provider, metrics in lately.items():
        attempts.labels(provider, "answered").set(metrics.answered)
        for failure, count in metrics.failures.items():
            attempts.labels(provider, failure).set(count)
    return registry
