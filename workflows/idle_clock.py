"""The clock of a quiet session: wakes it for its reminder and its expiry, by one durable timer at a time."""

from contextlib import suppress
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tertulia.domain import idle
    from tertulia.domain.definitions.definition import Timers
    from tertulia.domain.events import ReminderDue, SessionExpired

_NO_TIMERS = Timers()


class IdleClock:
    """Knows when the person was last heard, and whether they have been reminded since.

    A message costs no timer: the one that runs is only set anew after it has rung.
    """

    def __init__(self, last_activity_at: datetime, *, reminded: bool = False, stopped: bool = False) -> None:
        self._set_timers = _NO_TIMERS
        self._stopped = stopped
        self.last_activity_at = last_activity_at
        self.reminded = reminded

    def set_timers(self, timers: Timers) -> None:
        self._set_timers = timers

    def stop(self, *, stopped: bool) -> None:
        """Let nothing become due, or go on from now."""
        if self._stopped and not stopped:
            self.touch()
        self._stopped = stopped

    def touch(self) -> None:
        """The person was heard."""
        self.last_activity_at = workflow.now()
        self.reminded = False

    def event_due(self) -> ReminderDue | SessionExpired | None:
        return idle.event_due(self._timers, self.last_activity_at, reminded=self.reminded, now=workflow.now())

    @property
    def reminder_at(self) -> datetime | None:
        return idle.reminder_at(self._timers, self.last_activity_at, reminded=self.reminded)

    @property
    def expires_at(self) -> datetime | None:
        return idle.expires_at(self._timers, self.last_activity_at)

    async def run(self) -> None:
        """Ring for as long as the session lives; whoever waits for `event_due` is woken."""
        while True:
            await workflow.wait_condition(self._has_nothing_due_yet)
            if due := self._next_due():
                await self._sleep_until(due)

    async def _sleep_until(self, due: datetime) -> None:
        """Sleep, or less where something is due earlier meanwhile: after a reminder, the next one is again."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: (self._next_due() or due) < due,
                timeout=due - workflow.now(),
                timeout_summary="until the chat has been quiet for long",
            )

    def _has_nothing_due_yet(self) -> bool:
        return self._next_due() is not None and self.event_due() is None

    @property
    def _timers(self) -> Timers:
        return _NO_TIMERS if self._stopped else self._set_timers

    def _next_due(self) -> datetime | None:
        return idle.next_due(self._timers, self.last_activity_at, reminded=self.reminded)
