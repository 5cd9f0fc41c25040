"""What commands print for people."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Without a terminal nothing is cut off.
_PIPED_WIDTH = 400


def console() -> Console:
    """Standard output, as wide as it is."""
    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings; what cells hold is shown as it stands."""
    table = Table(*headings, box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)
