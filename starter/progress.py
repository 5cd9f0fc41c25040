"""What `tertulia up` shows: a spinner and a time for each step on a terminal, plain lines elsewhere."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn


class Steps:
    """Shows steps that may run side by side."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.elapsed:.1f} s"),
            console=console,
            disable=not console.is_terminal,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw the steps while the block lasts."""
        with self._progress:
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step as running while the block lasts, then as done or failed."""
        began = time.monotonic()
        task = self._progress.add_task(name, total=1)
        self._plain(f"{name} …")
        try:
            yield
        except BaseException as error:
            outcome = "stopped" if isinstance(error, asyncio.CancelledError) else "failed"
            self._progress.update(task, description=f"[red]{name}: {outcome}")
            self._progress.stop_task(task)
            self._plain(f"{name}: {outcome}")
            raise
        self._progress.advance(task)
        self._progress.stop_task(task)
        self._plain(f"{name}: ready ({time.monotonic() - began:.1f} s)")

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            say(self._console, line)


def say(console: Console, line: str) -> None:
    """Print a line as it is: not wrapped, not coloured, nothing in it taken for markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
