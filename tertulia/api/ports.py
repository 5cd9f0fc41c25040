"""What the API is given: the ports behind it, and how long it waits for them."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request

from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.recruiting_ports import RecruitingPorts
from tertulia.api.waiting import within
from tertulia.domain.channels import ChannelName
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import ProviderName, TenantId
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.reports import Configured, Metrics, StateChange, StatusReport, TenantBudget
from tertulia.domain.providers.routing import Decision, Demand
from tertulia.domain.recruiting.resumes import MAX_FILE_BYTES
from tertulia.ports import (
    Analytics,
    Completions,
    Definitions,
    DeliveryRecords,
    Intake,
    SessionEvents,
    SessionRecords,
    Sessions,
    Tallies,
    Transcripts,
    Webhook,
)

T = TypeVar("T")


class ProviderAdministration(Protocol):
    """What operators do with the providers. Where a provider is named, NotFound is raised where there is none.

    What is changed here reaches every worker within a second, and is Unavailable while storage is.
    """

    def configured(self) -> Sequence[Configured]:
        """Return the configurations in use, in the order of preference."""
        ...

    async def add_provider(self, config: ProviderConfig) -> Configured:
        """Add a provider.

        Raises:
            InvalidInput: The name is in use, or it can't be asked at that address.
        """
        ...

    async def update_provider_config(self, name: ProviderName, patch: Mapping[str, Any]) -> Configured:
        """Change a provider, field by field; None puts one back to its default.

        Raises:
            InvalidInput: It can't be used so.
        """
        ...

    async def remove_provider(self, name: ProviderName) -> None:
        """Remove a provider; calls under way end.

        Raises:
            InvalidInput: It is the last one that can be asked.
        """
        ...

    async def get_provider_status(self) -> StatusReport:
        """Tell how all providers are. Never Unavailable: without storage it is what was known last, and stale."""
        ...

    async def get_provider_metrics(
        self, since: datetime, until: datetime, tenant: TenantId | None = None
    ) -> Mapping[ProviderName, Metrics]:
        """Count the attempts that ended from `since` to before `until`, of a tenant or of all.

        Every provider in use is there.
        """
        ...

    async def provider_history(self, name: ProviderName, limit: int) -> Sequence[StateChange]:
        """Return what was decided about a provider, newest first."""
        ...

    async def set_maintenance(self, name: ProviderName, note: str | None) -> None:
        """Take a provider out of service, with a note; None puts it back in."""
        ...

    async def check_provider(self, name: ProviderName) -> ProbeResult:
        """Probe a provider now, at no cost."""
        ...

    async def get_best_provider(self, demand: Demand) -> Decision:
        """Decide who would be asked now, and nothing more."""
        ...

    async def budget(self, tenant: TenantId) -> TenantBudget | None: ...

    async def set_budget(self, tenant: TenantId, daily_usd: Decimal) -> TenantBudget: ...

    async def remove_budget(self, tenant: TenantId) -> None: ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ChannelPorts:
    """What is behind the calls about messengers.

    Attributes:
        webhooks: Those of the channels that are set up.
    """

    webhooks: Mapping[ChannelName, Webhook]
    intake: Intake
    deliveries: DeliveryRecords


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """Everything behind the API.

    Attributes:
        channels: None where there are no messengers.
        parts: What has to be reached for the API to be of use, by name; a check raises where it isn't.
        reply_wait: Longest time that a request waits for its reply before it gets a receipt.
        engine_wait: Longest time for the engine to take something in.
        cors_origins: The pages, by scheme, host and port, whose scripts may call from a browser.
        max_body_bytes: Longest body of a request.
        max_file_bytes: The same, where the body is a file.
        user_is_session: Whether OpenAI's field `user` names a session.
        now: Tells the time, UTC.
    """

    sessions: Sessions
    records: SessionRecords
    transcripts: Transcripts
    events: SessionEvents
    definitions: Definitions
    providers: ProviderAdministration
    completions: Completions
    recruiting: RecruitingPorts
    doorkeeper: Doorkeeper
    analytics: Analytics
    tallies: Tallies
    parts: Mapping[str, Callable[[], Awaitable[None]]]
    channels: ChannelPorts | None = None
    # Most proxies cut a silent request after 60 s; a reply that is too late for that becomes a receipt, for which the
    # engine may be waited for once more.
    reply_wait: timedelta = timedelta(seconds=45)
    engine_wait: timedelta = timedelta(seconds=10)
    cors_origins: Sequence[str] = ()
    max_body_bytes: int = 1024 * 1024
    max_file_bytes: int = MAX_FILE_BYTES
    user_is_session: bool = False
    now: Callable[[], datetime] = _utc_now

    async def taken(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for the engine to take something in.

        Raises:
            Unavailable: It did not within `engine_wait`; the client may send the same again, under the same id.
        """
        try:
            return await within(self.engine_wait, call)
        except TimeoutError as error:
            raise Unavailable("the engine", "no worker has answered in time") from error

    async def after_the_turn(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for what the engine does once the running turn has ended, as long as one waits for the turn's reply.

        Raises:
            Unavailable: It did not in time.
        """
        try:
            return await within(self.reply_wait, call)
        except TimeoutError as error:
            raise Unavailable("the engine", "no worker has answered in time") from error


async def _ports(request: Request) -> ApiPorts:
    ports: ApiPorts = request.app.state.ports
    return ports


Ports = Annotated[ApiPorts, Depends(_ports)]
