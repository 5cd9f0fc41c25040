"""What this worker knows of the providers: what storage said last, and what has happened here since."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import snapshots
from tertulia.domain.providers.configs import LoadBalanceStrategy
from tertulia.domain.providers.snapshots import Snapshot
from tertulia.domain.providers.state import Known, ProviderState, Sample
from tertulia.ports import ProviderStates
from tertulia.provider_service.registry import Registry

# What is older says nothing any more of how a provider is.
WINDOW = timedelta(minutes=5)

_NOTHING = Known()


@dataclass(frozen=True, slots=True)
class _Happened:
    at: datetime
    provider: ProviderName
    apply: Callable[[Known], Known]


class Live:
    """Serves reads without waiting for storage. What happened here counts at once, what happened elsewhere when read.

    Attributes:
        at: When storage was asked last, and answered.
        stale: Whether storage could not be reached since.
    """

    def __init__(
        self, states: ProviderStates, registry: Registry, strategy: LoadBalanceStrategy, now: Callable[[], datetime]
    ) -> None:
        self._states = states
        self._registry = registry
        self._strategy = strategy
        self._now = now
        self._known: dict[ProviderName, Known] = {}
        self._happened: list[_Happened] = []
        self._silent: dict[str, tuple[ProviderName, datetime]] = {}
        self._snapshot: Snapshot | None = None
        self.at = now()
        self.stale = True

    async def refresh(self) -> None:
        """Read what storage knows.

        Raises:
            Unavailable: It can't be reached; what is known stays.
        """
        asked_at = self._now()
        known = await self._states.read(asked_at - WINDOW, asked_at)
        if asked_at >= self.at:
            self._adopt(dict(known), asked_at)

    def known(self, provider: ProviderName) -> Known:
        """Return what is known of one provider."""
        known = self._known.get(provider, _NOTHING)
        ours = [since for silent, since in self._silent.values() if silent == provider]
        if not ours:
            return known
        theirs = known.oldest_silent_since
        return replace(known, oldest_silent_since=min([*ours, *([theirs] if theirs else [])]))

    @property
    def silent(self) -> Collection[str]:
        """The calls of this worker that have had no text yet."""
        return self._silent.keys()

    def snapshot(self) -> Snapshot:
        """Return what the selection needs.

        It is prepared anew after each reading, after a failure or a change, and when time alone changes something.
        Calls that begin and are answered here don't outdate it: they are many, and the rotation counts them.
        """
        now = self._now()
        if self._snapshot is None or (self._snapshot.valid_until and now >= self._snapshot.valid_until):
            providers = self._registry.providers
            known = {name: self.known(name) for name in providers}
            self._snapshot = snapshots.prepare(
                list(providers.values()), known, self._strategy, self._registry.prices, now
            )
        return self._snapshot

    def outdated(self) -> None:
        """Prepare again before the next decision: the configurations have changed."""
        self._snapshot = None

    def began(self, attempt_id: str, provider: ProviderName) -> None:
        """Count a call that begins here."""
        self._silent[attempt_id] = (provider, self._now())
        self._count(provider, 1)

    def spoke(self, attempt_id: str) -> None:
        """Note that a call has had text."""
        self._silent.pop(attempt_id, None)

    def ended(self, sample: Sample) -> None:
        """Take a call that ended here into account."""
        self._silent.pop(sample.attempt_id, None)
        self._count(sample.provider, -1)
        self._happen(sample.provider, lambda known: _with_sample(known, sample))
        if sample.failure is not None:
            self._snapshot = None

    def changed(self, provider: ProviderName, state: ProviderState) -> None:
        """Take a change of state into account that was made here."""
        self._happen(provider, lambda known: replace(known, state=state))
        self._snapshot = None

    def _adopt(self, known: dict[ProviderName, Known], asked_at: datetime) -> None:
        self._known, self.at, self.stale = known, asked_at, False
        # Whether the answer holds what happened while it was on its way is unknown; to apply it twice does no harm.
        self._happened = [event for event in self._happened if event.at >= asked_at]
        for event in self._happened:
            self._apply(event)
        self._snapshot = None

    def _happen(self, provider: ProviderName, apply: Callable[[Known], Known]) -> None:
        event = _Happened(self._now(), provider, apply)
        self._happened.append(event)
        self._apply(event)

    def _apply(self, event: _Happened) -> None:
        self._known[event.provider] = event.apply(self._known.get(event.provider, _NOTHING))

    def _count(self, provider: ProviderName, calls: int) -> None:
        known = self._known.get(provider, _NOTHING)
        self._known[provider] = replace(known, in_flight=max(0, known.in_flight + calls))


def _with_sample(known: Known, sample: Sample) -> Known:
    if any(sample.attempt_id == other.attempt_id for other in known.samples):
        return known
    return replace(known, samples=(*known.samples, sample))
