"""Options that several commands share, and the codes that they end with."""

from typing import Annotated

import typer

from tertulia.domain.ids import ApplicationId, JobId, ProviderName, SessionId

FAILED = 1
MISUSED = 2

ApiUrl = Annotated[
    str, typer.Option("--url", envvar="TERTULIA_URL", help="Where the API listens.", rich_help_panel="Connection")
]
API_URL = "http://127.0.0.1:8080"
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON document a line.")]
SessionArgument = Annotated[SessionId, typer.Argument(metavar="SESSION", help="The session's id.")]
JobArgument = Annotated[JobId, typer.Argument(metavar="JOB", help="The job's id.")]
ApplicationArgument = Annotated[ApplicationId, typer.Argument(metavar="APPLICATION", help="The application's id.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
ProviderArgument = Annotated[ProviderName, typer.Argument(metavar="NAME", help="The provider's name.")]
