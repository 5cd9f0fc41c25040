"""What is asked of the figures."""

from datetime import timedelta
from typing import ClassVar

from pydantic import AwareDatetime, ConfigDict, Field

from tertulia.api.recruiting_views import FileFormat
from tertulia.api.windows import Span, Window
from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import Identifier, TenantId

# A chart has no use for more points.
_LONGEST_BY_HOUR = timedelta(days=31)


class FiguresQuery(Window):
    """Of which conversations, from `since` to before `until`; what is left out matches all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"window": "7d", "definition": "recruiting"}]})
    default_window: ClassVar[timedelta] = timedelta(days=30)

    window: Span | None = Field(None, description="1h, 7d or P1W; 30 days by default", examples=["7d"])
    definition: Identifier | None = None
    job_id: Identifier | None = None
    channel: Identifier | None = None
    format: FileFormat = FileFormat.JSON

    def selection(self, tenant: TenantId, now: AwareDatetime) -> Selection:
        """Return it as storage takes it.

        Raises:
            InvalidInput: There is no such time.
        """
        since, until = self.bounds(now)
        return Selection(
            tenant=tenant,
            since=since,
            until=until,
            definition=self.definition,
            job_id=self.job_id,
            channel=self.channel,
        )


class DailyQuery(FiguresQuery):
    """The same, in all or day by day."""

    by: ByDay = ByDay.ALL


class VolumesQuery(FiguresQuery):
    """The same, told apart by time."""

    by: By = By.DAY

    def selection(self, tenant: TenantId, now: AwareDatetime) -> Selection:
        """Return it as storage takes it.

        Raises:
            InvalidInput: There is no such time, or it has too many hours.
        """
        of = super().selection(tenant, now)
        if self.by is By.HOUR and of.until - of.since > _LONGEST_BY_HOUR:
            raise InvalidInput("takes at most 31 days by the hour", field="query.by")
        return of
