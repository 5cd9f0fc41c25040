"""Tables of figures, for charts and for spreadsheets."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from pydantic import AwareDatetime

from tertulia.api.views import View
from tertulia.domain.analytics import FigureRow

R = TypeVar("R", bound=FigureRow)


class Figures(View, Generic[R]):
    """A table, for the time from `since` to before `until`. `rows` can be the source of a chart's data set as it is."""

    since: AwareDatetime
    until: AwareDatetime
    rows: tuple[R, ...]


def sheet(kind: type[FigureRow], rows: Sequence[FigureRow]) -> Iterator[Sequence[object]]:
    """Yield the lines of a spreadsheet, its headings first."""
    columns = (*kind.model_fields, *kind.model_computed_fields)
    yield columns
    for row in rows:
        values = row.model_dump(mode="json")
        yield [_plain(values[column]) for column in columns]


def _plain(value: object) -> object:
    return ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else value
