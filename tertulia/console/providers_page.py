"""`/console/providers`: how each one is, what it costs, and what operators can do about it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from nicegui import ui
from pydantic import ValidationError

from tertulia.api.provider_inputs import AddProvider, ChangeProvider
from tertulia.console.charts import add_chart, plot
from tertulia.console.door import Operator, console_page
from tertulia.console.frame import ago, badge, confirmed, dollars, done, facts, frame, heading, milliseconds, panel
from tertulia.console.ports import pages
from tertulia.domain.access import Scope
from tertulia.domain.errors import Forbidden, InvalidInput
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import breaker
from tertulia.domain.providers.configs import ProviderKind
from tertulia.domain.providers.health import ProviderStatus
from tertulia.domain.providers.reports import Metrics, ProviderReport

_EVERY_S = 3.0
_WINDOWS = {
    "15 minutes": timedelta(minutes=15),
    "1 hour": timedelta(hours=1),
    "24 hours": timedelta(hours=24),
    "7 days": timedelta(days=7),
}
_POINTS = 12
_TONES = {
    ProviderStatus.HEALTHY: "good",
    ProviderStatus.DEGRADED: "fair",
    ProviderStatus.UNHEALTHY: "bad",
    ProviderStatus.MAINTENANCE: "quiet",
}
_PHASES = {breaker.Phase.CLOSED: "closed", breaker.Phase.OPEN: "open", breaker.Phase.HALF_OPEN: "half open"}
# What an operator usually sets; whatever else there is can be set by HTTP and on the command line.
_FIELDS = {
    "base_url": "Address",
    "model": "Model",
    "api_key": "Key (write only)",
    "priority": "Priority (1 is asked first)",
    "weight": "Weight",
    "max_concurrent": "Calls at a time",
    "timeout_s": "Timeout, seconds",
    "max_retries": "Further attempts",
    "input_price": "USD a million tokens in",
    "output_price": "USD a million tokens out",
    "daily_budget_usd": "USD a day",
}
_NUMBERS = {"priority": int, "max_concurrent": int, "max_retries": int, "weight": float, "timeout_s": float}


def add() -> None:
    """Add the page to the application."""
    console_page("/console/providers")(_providers)


async def _providers(operator: Operator) -> None:
    with frame("Providers", "Providers"):
        if not operator.caller.is_of_house:
            heading("Providers", hint="They are shared by all tenants, and looked after by the house.")
            return
        shown = _Providers(operator)
        shown.build()
    await done(shown.look())
    await done(shown.draw())
    operator.every(_EVERY_S, shown.look)


class _Providers:
    """The providers as one browser sees them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._window = "1 hour"
        self._shown: dict[ProviderName, _Card] = {}

    def build(self) -> None:
        with ui.element("div").classes("heading-row"):
            heading(
                "Providers",
                hint="In the order in which they are preferred. Changes reach every worker within a second.",
            )
            if self._may_change:
                ui.button("Add a provider", on_click=lambda: self._edit(None)).props("no-caps unelevated")
        self._stale = ui.label("Storage can't be reached; this is what was known last.").classes("problem")
        self._cards = ui.element("div").classes("cards")
        with panel("What it took"):
            windows = ui.select(list(_WINDOWS), value=self._window, label="Within", on_change=self._look_back)
            windows.props("dense outlined options-dense")
            with ui.element("div").classes("halves even"):
                with ui.element("div"):
                    self._latency = add_chart("Answers, 95th percentile", "s")
                with ui.element("div"):
                    self._cost = add_chart("Cost", "USD")

    @property
    def _may_change(self) -> bool:
        return self._operator.caller.scope.includes(Scope.ADMIN)

    async def look(self) -> None:
        """Read how the providers are, and show what has changed."""
        await self._operator.still_in()
        now = pages().api.now()
        report = await pages().api.providers.get_provider_status()
        metrics = await pages().api.providers.get_provider_metrics(now - _WINDOWS["1 hour"], now)
        self._stale.set_visibility(report.stale)
        names = [provider.config.provider for provider in report.providers]
        if names != list(self._shown):
            self._cards.clear()
            with self._cards:
                self._shown = {name: _Card(name, self._buttons) for name in names}
        for provider in report.providers:
            name = provider.config.provider
            self._shown[name].show(provider, metrics.get(name, Metrics()), now)

    def _buttons(self, report: ProviderReport) -> None:
        name, rests = report.config.provider, report.state.maintenance is not None
        if rests:
            self._button("Back into service", lambda: self._maintain(name, None))
        else:
            self._button("Maintenance", lambda: self._maintain(name, "by an operator"))
        self._button("Probe now", lambda: self._probe(name))
        if self._may_change:
            self._button("Edit", lambda: self._edit(report))
            self._button("Remove", lambda: self._remove(name))

    def _button(self, text: str, act: Callable[[], Awaitable[None]]) -> None:
        ui.button(text, on_click=act).props("no-caps dense outline size=sm")

    # --- acts ---------------------------------------------------------------------------------------------------------

    async def _maintain(self, name: ProviderName, note: str | None) -> None:
        told = f"{name} is back in service." if note is None else f"{name} is in maintenance; calls under way end."
        await self._done(lambda: pages().api.providers.set_maintenance(name, note), told)

    async def _probe(self, name: ProviderName) -> None:
        async def probe() -> None:
            found = await pages().api.providers.check_provider(name)
            how = (
                f"{name} answers within {milliseconds(found.latency_ms)}."
                if found.reachable
                else f"{name}: {found.detail}"
            )
            ui.notify(how, type="positive" if found.reachable else "warning")

        await self._done(probe)

    async def _remove(self, name: ProviderName) -> None:
        question = f"Remove {name}? Its configuration is forgotten; what it did and cost stays on record."
        if await confirmed(question, "Remove"):
            await self._done(lambda: pages().api.providers.remove_provider(name), f"{name} is removed.", change=True)

    async def _edit(self, report: ProviderReport | None) -> None:
        with ui.dialog() as dialog, ui.card().classes("sheet"):
            with ui.element("h2"):
                ui.label(f"Edit {report.config.name}" if report else "Add a provider")
            boxes = self._form(report)

            async def save() -> None:
                given = {field: box.value for field, box in boxes.items() if _changed(report, field, box.value)}
                if await self._done(lambda: _stored(report, given), "Saved.", change=True):
                    dialog.close()

            with ui.row():
                ui.button("Save", on_click=save).props("no-caps unelevated")
                ui.button("Cancel", on_click=dialog.close).props("no-caps flat")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _form(self, report: ProviderReport | None) -> dict[str, Any]:
        boxes: dict[str, Any] = {}
        with ui.element("div").classes("form"):
            if report is None:
                boxes["name"] = ui.input("Name").props("dense outlined")
                boxes["kind"] = ui.select([kind.value for kind in ProviderKind], label="Kind", value="openai")
                boxes["kind"].props("dense outlined")
            for field, label in _FIELDS.items():
                value = "" if report is None else _written(getattr(report.config, field))
                boxes[field] = ui.input(label, value=value, password=field == "api_key").props("dense outlined")
            if report is not None:
                boxes["enabled"] = ui.checkbox("May be asked", value=report.config.enabled)
        return boxes

    async def _done(self, act: Callable[[], Awaitable[object]], told: str = "", *, change: bool = False) -> bool:
        async def allowed() -> None:
            await self._operator.still_in()
            if change and not self._may_change:
                raise Forbidden("only administrators may change providers")
            await act()

        succeeded = await done(allowed(), told)
        await done(self.look())
        return succeeded

    # --- charts -------------------------------------------------------------------------------------------------------

    async def _look_back(self, event: Any) -> None:
        self._window = event.value
        await done(self.draw())

    async def draw(self) -> None:
        """Draw what the providers took within the chosen time."""
        await self._operator.still_in()
        now, window = pages().api.now(), _WINDOWS[self._window]
        edges = [now - window + window / _POINTS * number for number in range(_POINTS + 1)]
        measured = [await pages().api.providers.get_provider_metrics(since, until) for since, until in pairwise(edges)]
        form = "%H:%M" if window <= timedelta(days=1) else "%d %b"
        times = [edge.strftime(form) for edge in edges[1:]]
        names = sorted({name for moment in measured for name in moment})
        plot(self._latency, times, {name: [_p95_s(moment.get(name)) for moment in measured] for name in names}, "line")
        plot(
            self._cost,
            times,
            {name: [_usd(moment.get(name)) for moment in measured] for name in names},
            "bar",
            stacked=True,
        )


class _Card:
    """One provider; shows anew only what has changed, since a button that is made anew under a finger does nothing."""

    def __init__(self, name: ProviderName, buttons: Callable[[ProviderReport], None]) -> None:
        self._add_buttons = buttons
        self._told: object = None
        self._offered: object = None
        with ui.element("section").classes("card").props(f'data-provider="{name}"'):
            self._state = ui.element("div").classes("card-state")
            self._buttons = ui.element("div").classes("actions")

    def show(self, report: ProviderReport, metrics: Metrics, now: datetime) -> None:
        if (told := (report, metrics)) != self._told:
            self._told = told
            self._state.clear()
            with self._state:
                _show_state(report, metrics, now)
        if (offered := (report.config, report.state.maintenance)) != self._offered:
            self._offered = offered
            self._buttons.clear()
            with self._buttons:
                self._add_buttons(report)


def _show_state(report: ProviderReport, metrics: Metrics, now: datetime) -> None:
    config, state = report.config, report.state
    with ui.element("div").classes("line-head"):
        with ui.element("h2"):
            ui.label(config.name)
        badge(report.health.status, _TONES[report.health.status])
        if not config.enabled:
            badge("switched off", "quiet")
        ui.label(f"{report.health.score:.0f}").classes("score").props('title="Score, of 100"')
    ui.label(f"{config.kind} · {config.model}").classes("soft")
    if report.passed_over:
        ui.label(f"Not asked: {report.passed_over}").classes("problem")
    with ui.element("div").classes("load").props(f'aria-label="{report.in_flight} of {report.limit} calls"'):
        share = min(100, round(100 * report.in_flight / max(1, report.limit)))
        ui.element("span").style(f"width: {share}%")
    phase = _PHASES[breaker.phase(state.breaker, now)]
    facts(
        {
            "Calls now": f"{report.in_flight} of {report.limit}",
            "Breaker": phase + (f" ({state.breaker.reason})" if state.breaker.reason else ""),
            "Last hour": f"{metrics.answered} of {metrics.attempts} answered",
            "Answers (p95)": milliseconds(None if metrics.latency_ms is None else metrics.latency_ms.p95),
            "Cost": f"{dollars(metrics.cost_usd)} this hour, {dollars(report.spent_usd)} today",
            "Probed": ago(state.probe.at, now) if state.probe else "never",
        }
    )


def _p95_s(metrics: Metrics | None) -> float | None:
    return None if metrics is None or metrics.latency_ms is None else round(metrics.latency_ms.p95 / 1000, 3)


def _usd(metrics: Metrics | None) -> float:
    return 0.0 if metrics is None else float(metrics.cost_usd)


def _written(value: object) -> str:
    return "" if value is None else str(value)


def _changed(report: ProviderReport | None, field: str, value: object) -> bool:
    if report is None or field == "api_key":
        return bool(value)
    before = getattr(report.config, field)
    return value != (before if isinstance(value, bool) else _written(before))


async def _stored(report: ProviderReport | None, given: dict[str, Any]) -> None:
    fields = {field: _read(field, value) for field, value in given.items()}
    try:
        if report is None:
            await pages().api.providers.add_provider(AddProvider.model_validate(fields).config())
        else:
            patch = ChangeProvider.model_validate(fields).patch(report.config)
            await pages().api.providers.update_provider_config(report.config.provider, patch)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, each['loc'][:1]))}: {each['msg']}" for each in error.errors(include_input=False)
        ]
        raise InvalidInput("; ".join(problems)) from None


def _read(field: str, value: Any) -> Any:
    if value == "":
        return None
    try:
        return _NUMBERS[field](value) if field in _NUMBERS else value
    except ValueError:
        raise InvalidInput("is no number", field=_FIELDS[field]) from None
