"""Charts as ECharts takes them, in the console's colours."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from tertulia.console.frame import FONT

Values = Sequence[float | int | None]

_COLOURS = ["#0f766e", "#d97706", "#4f6d8f", "#b4533c", "#7a8f3c", "#8a6fa8", "#5d6764"]
# What means the same looks the same in every chart.
_COLOURS_BY_NAME = {
    "went on": "#c3d5d0",
    "contained": "#0f766e",
    "handed over": "#d97706",
    "abandoned": "#b4533c",
    "in progress": "#4f6d8f",
}
_TEXT = {"color": "#5d6764", "fontFamily": FONT}


def add_chart(title: str, unit: str = "", *, sideways: bool = False) -> Any:
    """Add an empty chart under its title; `sideways` has room for long names at the left."""
    named = f"{title} ({unit})" if unit else title
    with ui.element("h3").classes("chart-title"):
        ui.label(named)
    return ui.echart(_options(named, sideways=sideways)).classes("chart")


def _options(title: str, *, sideways: bool) -> dict[str, Any]:
    category, value = {"type": "category", "data": []}, {"type": "value", "min": 0}
    return {
        "color": _COLOURS,
        "textStyle": _TEXT,
        "title": {"text": title, "show": False},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "legend": {"bottom": 0, "type": "scroll", "textStyle": _TEXT},
        "grid": {"left": 12, "right": 36, "top": 16, "bottom": 36, "containLabel": True},
        "xAxis": value if sideways else category,
        "yAxis": {**category, "inverse": True} if sideways else value,
        "series": [],
        # Said to those who can't see it, value by value.
        "aria": {"enabled": True, "label": {"data": {"maxCount": 100, "excludeDimensionId": [int(sideways)]}}},
        "animation": False,
    }


def plot(element: Any, names: Sequence[str], lines: Mapping[str, Values], kind: str, *, stacked: bool = False) -> None:
    """Show values by the names of the category axis; a chart shows the last ones it was given."""
    axis = next(each for each in ("xAxis", "yAxis") if element.options[each]["type"] == "category")
    more: dict[str, Any] = {"stack": "all"} if stacked else {}
    if kind == "line":
        more["connectNulls"] = True
    elif not stacked:
        more["label"] = {"show": True, "position": "right" if axis == "yAxis" else "top"}
    element.options[axis]["data"] = list(names)
    element.options["series"] = [
        {"name": name, "type": kind, "data": list(values), **more, **_colour(name)} for name, values in lines.items()
    ]
    element.update()


def _colour(name: str) -> dict[str, Any]:
    return {"itemStyle": {"color": _COLOURS_BY_NAME[name]}} if name in _COLOURS_BY_NAME else {}
