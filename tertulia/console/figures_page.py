"""`/console/figures`: what many conversations come to. `docs/analytics.md` says of each figure what it counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from nicegui import ui
from pydantic import ValidationError

from tertulia.api.analytics import as_they_follow
from tertulia.api.analytics_inputs import FiguresQuery
from tertulia.api.analytics_views import sheet
from tertulia.api.export import csv_lines
from tertulia.console.charts import add_chart, plot
from tertulia.console.door import Operator, console_page
from tertulia.console.frame import dollars, done, frame, heading, milliseconds, percent
from tertulia.console.ports import pages
from tertulia.domain.analytics import (
    By,
    ByDay,
    CostRow,
    FigureRow,
    FunnelRow,
    KnockOutRow,
    OutcomeRow,
    ProviderRow,
    ResponseTimeRow,
    Selection,
    SlotRow,
    StateTimeRow,
    VolumeRow,
)
from tertulia.domain.errors import InvalidInput

_OUTCOMES = ("contained", "handed_over", "abandoned", "in_progress")


@dataclass(frozen=True, slots=True)
class _Figures:
    """All that the page shows, of one selection."""

    funnel: Sequence[FunnelRow]
    state_times: Sequence[StateTimeRow]
    slots: Sequence[SlotRow]
    knock_outs: Sequence[KnockOutRow]
    response_times: Sequence[ResponseTimeRow]
    daily_response_times: Sequence[ResponseTimeRow]
    volumes: Sequence[VolumeRow]
    outcomes: Sequence[OutcomeRow]
    daily_outcomes: Sequence[OutcomeRow]
    costs: Sequence[CostRow]
    providers: Sequence[ProviderRow]


def add() -> None:
    """Add the page to the application."""
    console_page("/console/figures")(_figures)


async def _figures(operator: Operator) -> None:
    with frame("Figures", "Figures"):
        shown = _Charts(operator)
        shown.build()
    await done(shown.draw())


class _Charts:
    """The figures as one browser sees them, for the conversations that it has chosen."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._chosen: dict[str, str] = {}
        self._draws = 0
        self._charts: dict[str, Any] = {}
        self._sheets: dict[str, tuple[type[FigureRow], Sequence[FigureRow]]] = {}

    def build(self) -> None:
        heading("Figures", hint="Of the sessions opened, and of what happened, on these days; UTC.")
        with ui.element("div").classes("filters"):
            today = pages().api.now().date()
            self._day("From", "since", today - FiguresQuery.default_window)
            self._day("To", "until", today)
            names = {"": "any", **{str(name): str(name) for name in sorted(pages().api.definitions.names())}}
            choose = self._choose("definition")
            select = ui.select(names, label="Application", value="", on_change=lambda event: choose(event.value))
            select.props("dense outlined options-dense")
            for field, label in {"job_id": "Job", "channel": "Channel"}.items():
                self._write(label, self._choose(field))
        self._tiles = ui.element("div").classes("tiles")
        with ui.element("div").classes("halves even"):
            self._chart("outcomes", OutcomeRow, "Sessions by day, and what became of them")
            self._chart("funnel", FunnelRow, "How far sessions come", "sessions", sideways=True)
            self._chart("slots", SlotRow, "Put again, and not understood, by question", "%", sideways=True)
            self._chart("state-times", StateTimeRow, "Time in a state, median", "min", sideways=True)
            self._chart("volumes", VolumeRow, "Messages by hour of the day and channel")
            self._chart("response-times", ResponseTimeRow, "Time to the reply, by day", "s")
            self._chart("knock-outs", KnockOutRow, "Applications that a must-have turns away", "%", sideways=True)
            self._chart("providers", ProviderRow, "Attempts answered, by provider", "%", sideways=True)

    def _day(self, label: str, field: str, day: date) -> None:
        self._chosen[field] = day.isoformat()
        choose = self._choose(field)
        box = ui.input(label, value=day.isoformat(), on_change=lambda event: choose(event.value or ""))
        box.props("type=date dense outlined stack-label")

    def _write(self, label: str, act: Callable[[str], Any]) -> None:
        box = ui.input(label).props("dense outlined clearable")
        box.on("keydown.enter", lambda: act(box.value or ""))
        box.on("clear", lambda: act(""))

    def _chart(self, name: str, kind: type[FigureRow], title: str, unit: str = "", *, sideways: bool = False) -> None:
        with ui.element("section").classes("panel").props(f'data-figure="{name}"'):
            self._charts[name] = add_chart(title, unit, sideways=sideways)
            self._sheets[name] = (kind, ())
            ui.button("CSV", on_click=lambda: self._export(name)).props("flat dense no-caps size=sm").classes(
                "chart-file"
            )

    def _choose(self, field: str) -> Callable[[str], Any]:
        async def choose(value: str) -> None:
            self._chosen[field] = value.strip()
            await done(self.draw())

        return choose

    def _export(self, name: str) -> None:
        kind, rows = self._sheets[name]
        ui.download.content(csv_lines(sheet(kind, rows)), f"{name}.csv", "text/csv")

    async def draw(self) -> None:
        """Read the figures of what is chosen, and show them.

        Raises:
            InvalidInput: No conversation can be chosen so.
        """
        await self._operator.still_in()
        of = _selection(self._operator, self._chosen)
        self._draws += 1
        draw = self._draws
        figures = await _read(of)
        if draw != self._draws:
            return  # Something else has been chosen meanwhile.
        self._show_tiles(figures)
        self._show_ways(figures)
        self._show_times(figures)
        self._show_shares(figures)
        for name in self._sheets:
            rows = getattr(figures, {"outcomes": "daily_outcomes"}.get(name, name).replace("-", "_"))
            self._sheets[name] = (self._sheets[name][0], rows)

    def _show_tiles(self, figures: _Figures) -> None:
        sessions = sum(row.sessions for row in figures.outcomes)
        completed, contained, over = (
            sum(getattr(row, name) for row in figures.outcomes) for name in ("completed", "contained", "handed_over")
        )
        ended = sessions - sum(row.in_progress for row in figures.outcomes)
        waits = figures.response_times[0] if figures.response_times else None
        cost = sum((row.completed_cost_usd for row in figures.costs), start=Decimal(0))
        told = {
            "Sessions": str(sessions),
            "Completed": percent(completed / sessions if sessions else None),
            "Without a human": percent(contained / ended if ended else None),
            "Handed over": str(over),
            "Reply, median": milliseconds(None if waits is None else waits.p50_ms),
            "Reply, 95th percentile": milliseconds(None if waits is None else waits.p95_ms),
            "Cost of a completed one": dollars(cost / completed if completed else None),
        }
        self._tiles.clear()
        with self._tiles:
            for name, value in told.items():
                with ui.element("div").classes("tile"):
                    ui.label(value).classes("tile-value")
                    ui.label(name).classes("soft")

    def _show_ways(self, figures: _Figures) -> None:
        days = sorted({row.at for row in figures.daily_outcomes if row.at})
        plot(
            self._charts["outcomes"],
            [day.strftime("%d %b") for day in days],
            {
                outcome.replace("_", " "): [
                    sum(getattr(row, outcome) for row in figures.daily_outcomes if row.at == day) for day in days
                ]
                for outcome in _OUTCOMES
            },
            "bar",
            stacked=True,
        )
        plot(
            self._charts["funnel"],
            [_state(row.definition, row.state, figures.funnel) for row in figures.funnel],
            {
                "went on": [row.went_on for row in figures.funnel],
                **{
                    outcome.replace("_", " "): [getattr(row, outcome) for row in figures.funnel]
                    for outcome in _OUTCOMES
                },
            },
            "bar",
            stacked=True,
        )
        channels = sorted({row.channel for row in figures.volumes})
        plot(
            self._charts["volumes"],
            [f"{hour:02}" for hour in range(24)],
            {
                channel: [
                    sum(row.messages for row in figures.volumes if (row.channel, row.hour) == (channel, hour))
                    for hour in range(24)
                ]
                for channel in channels
            },
            "bar",
            stacked=True,
        )

    def _show_times(self, figures: _Figures) -> None:
        plot(
            self._charts["state-times"],
            [_state(row.definition, row.state, figures.state_times) for row in figures.state_times],
            {"minutes": [round(row.p50_s / 60, 2) for row in figures.state_times]},
            "bar",
        )
        rows = [row for row in figures.daily_response_times if row.at]
        plot(
            self._charts["response-times"],
            [_day(row.at) for row in rows],
            {"median": [_s(row.p50_ms) for row in rows], "95th percentile": [_s(row.p95_ms) for row in rows]},
            "line",
        )

    def _show_shares(self, figures: _Figures) -> None:
        slots = [row for row in figures.slots if row.heard]
        plot(
            self._charts["slots"],
            [row.slot for row in slots],
            {
                "put again": [_percent(row.re_ask_rate) for row in slots],
                "not understood": [_percent(row.no_match_rate) for row in slots],
            },
            "bar",
        )
        plot(
            self._charts["knock-outs"],
            [row.question or row.qid for row in figures.knock_outs],
            {"turned away": [_percent(row.knock_out_rate) for row in figures.knock_outs]},
            "bar",
        )
        plot(
            self._charts["providers"],
            [row.provider for row in figures.providers],
            {"answered": [_percent(row.success_rate) for row in figures.providers]},
            "bar",
        )


def _selection(operator: Operator, chosen: dict[str, str]) -> Selection:
    """Read what is chosen, just as the API does; the last day belongs to it."""
    given = {field: value for field, value in chosen.items() if value}
    try:
        if last := given.get("until"):
            given["until"] = (date.fromisoformat(last) + timedelta(days=1)).isoformat()
        return FiguresQuery.model_validate(given).selection(operator.tenant, pages().api.now())
    except InvalidInput as error:
        raise InvalidInput(f"the first day {error.problem}") from error
    except (ValidationError, ValueError, OverflowError):
        raise InvalidInput("no conversation can be chosen by this; a name has no blanks, a day has a year") from None


async def _read(of: Selection) -> _Figures:
    analytics = pages().api.analytics
    return _Figures(
        funnel=as_they_follow(pages().api, await analytics.funnel(of)),
        state_times=as_they_follow(pages().api, await analytics.state_times(of)),
        slots=await analytics.slots(of),
        knock_outs=await analytics.knock_outs(of),
        response_times=await analytics.response_times(of, ByDay.ALL),
        daily_response_times=await analytics.response_times(of, ByDay.DAY),
        volumes=await analytics.volumes(of, By.HOUR_OF_DAY),
        outcomes=await analytics.outcomes(of, ByDay.ALL),
        daily_outcomes=await analytics.outcomes(of, ByDay.DAY),
        costs=await analytics.costs(of),
        providers=await analytics.providers(of),
    )


def _state(definition: str, state: str, rows: Sequence[FunnelRow] | Sequence[StateTimeRow]) -> str:
    """Name a state, with its application where there are several."""
    return state if len({row.definition for row in rows}) == 1 else f"{definition} · {state}"


def _day(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%d %b")


def _s(value: int | None) -> float | None:
    return None if value is None else round(value / 1000, 2)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
