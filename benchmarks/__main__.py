"""`make bench`: measure everything in one run, and write docs/performance.md."""

import asyncio
import platform
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.analytics_section import analytics_section
from benchmarks.api_section import api_section
from benchmarks.definitions import definition_section
from benchmarks.pages import pages_section
from benchmarks.provider_section import provider_section
from benchmarks.turn_section import turn_section

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

_BEGINNING = """\
# Performance

Written by `make bench`. A ratio is taken pair by pair, what is compared in turn, in one run.
"""

_SECTIONS: dict[str, Callable[[Path], Awaitable[str]]] = {
    "Turns": turn_section,
    "Providers": provider_section,
    "Definitions": definition_section,
    "API": api_section,
    "Analytics": analytics_section,
    "Pages": pages_section,
}


async def main(wanted: Sequence[str]) -> None:
    """Run the measurements one after the other; nothing else should run on the machine.

    Args:
        wanted: Sections to measure anew; none for all of them.
    """
    page = PAGE.read_text()
    written = dict(re.findall(r"^## (\w+)\n\n(.*?)\n*(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, measure in _SECTIONS.items():
        if not wanted or name.lower() in wanted:
            with tempfile.TemporaryDirectory() as directory:
                Path(directory).chmod(0o755)
                written[name] = f"{_circumstances()}\n\n{(await measure(Path(directory))).strip()}"
            PAGE.write_text("\n".join([_BEGINNING, *(f"## {name}\n\n{text}\n" for name, text in written.items())]))


def _circumstances() -> str:
    return f"{datetime.now(UTC).date()}, Python {platform.python_version()}, {platform.machine()}, 2 shared cores."


if __name__ == "__main__":
    asyncio.run(main([name.lower() for name in sys.argv[1:]]))
