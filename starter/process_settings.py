"""The settings of a process that runs for long, and the log that it writes."""

import logging
import os
import sys

import structlog
import typer

from starter.options import MISUSED
from tertulia.config import Settings, load_settings
from tertulia.domain.errors import InvalidInput


def process_settings(**overrides: object) -> Settings:
    """Read the settings; options of the command line win over the environment. All problems are told at once."""
    given = {name: str(value) for name, value in overrides.items() if value is not None}
    try:
        settings = load_settings({**os.environ, **given})
    except InvalidInput as error:
        typer.echo(f"These settings can't be used:\n{error}", err=True)
        raise typer.Exit(MISUSED) from error
    _configure_logs(settings.log_level)
    return settings


def _configure_logs(level: str) -> None:
    """Log to standard error: for people on a terminal, JSON elsewhere."""
    for_people = sys.stderr.isatty()
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Libraries tell addresses and contents below a warning.
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
