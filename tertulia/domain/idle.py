"""When a session that has gone quiet is due for its reminder, and when it expires."""

from datetime import datetime

from tertulia.domain.definitions.definition import Timers
from tertulia.domain.events import ReminderDue, SessionExpired


def reminder_at(timers: Timers, last_activity_at: datetime, *, reminded: bool) -> datetime | None:
    """Return when the reminder is due; None where there is none, or it has been said."""
    return None if reminded or timers.reminder_after is None else last_activity_at + timers.reminder_after


def expires_at(timers: Timers, last_activity_at: datetime) -> datetime | None:
    """Return when the session expires; None where it never does."""
    return None if timers.expire_after is None else last_activity_at + timers.expire_after


def next_due(timers: Timers, last_activity_at: datetime, *, reminded: bool) -> datetime | None:
    """Return the next time at which something is due; None where nothing ever is."""
    times = (reminder_at(timers, last_activity_at, reminded=reminded), expires_at(timers, last_activity_at))
    return min((time for time in times if time), default=None)


def event_due(
    timers: Timers, last_activity_at: datetime, *, reminded: bool, now: datetime
) -> ReminderDue | SessionExpired | None:
    """Return what is due by now. After a long outage a session expires without a late reminder."""
    expiry = expires_at(timers, last_activity_at)
    reminder = reminder_at(timers, last_activity_at, reminded=reminded)
    if expiry and now >= expiry:
        return SessionExpired()
    if reminder and now >= reminder:
        return ReminderDue()
    return None
