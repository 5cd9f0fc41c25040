"""Which provider is asked next, and what follows from a failure. Pure functions of what is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import strategies
from tertulia.domain.providers.configs import Feature, LoadBalanceStrategy
from tertulia.domain.providers.snapshots import Snapshot, Target
from tertulia.domain.providers.strategies import Owed, Picked, Question
from tertulia.domain.turns import PassedOver, Ranking

# Three of the questions that each class of failure is asked; the whole table stands in docs/providers.md.
_SAME_PROVIDER_AGAIN = frozenset(
    {
        FailureClass.CONNECT,
        FailureClass.SERVER,
        FailureClass.OVERLOADED,
        FailureClass.MALFORMED,
        FailureClass.RATE_LIMIT,
        FailureClass.LOST,
    }
)
_NO_OTHER_PROVIDER = frozenset({FailureClass.BAD_REQUEST, FailureClass.CANCELLED})
_NEVER_AGAIN = _NO_OTHER_PROVIDER | {FailureClass.CONTENT_POLICY, FailureClass.CONTEXT_LENGTH}

# Longer than this nobody waits for one provider while others are ready.
PATIENCE = timedelta(seconds=10)

# Our count of a prompt's tokens may be this much too low.
_TOKEN_MARGIN = 1.1

# So often a degraded provider goes before the healthy ones, or it could not show that it is well again.
_TRICKLE = 0.05

_MASK = (1 << 64) - 1


def again_here(failure: FailureClass) -> bool:
    """Tell whether the same provider may be asked the same again within moments."""
    return failure in _SAME_PROVIDER_AGAIN


def try_again_here(failure: ProviderFailure) -> bool:
    """Tell whether the same provider may be asked again, after the wait it asked for."""
    return again_here(failure.failure) and (failure.retry_after or timedelta(0)) <= PATIENCE


def again_later(failure: FailureClass) -> bool:
    """Tell whether the same provider may answer the same at some other time."""
    return failure not in _NEVER_AGAIN


def try_elsewhere(failure: FailureClass) -> bool:
    """Tell whether another provider could do better."""
    return failure not in _NO_OTHER_PROVIDER


@dataclass(frozen=True, slots=True)
class Demand:
    """What a question asks of a provider.

    Attributes:
        input_tokens: Of the prompt, as estimated.
        max_tokens: Of the answer.
        warm: Who has the last `warm_tokens` of the prompt in its cache, since `warm_age_s` ago.
        tried: Who has failed already and is not to be asked again.
        prefer: Asked before others who may be asked, whatever their priorities; the first one first.
        only: Nobody else may be asked; everybody may where it is empty.
    """

    input_tokens: int = 0
    max_tokens: int = 1024
    needs: frozenset[Feature] = frozenset()
    warm: ProviderName | None = None
    warm_tokens: int = 0
    warm_age_s: float = 0.0
    tried: frozenset[ProviderName] = frozenset()
    prefer: tuple[ProviderName, ...] = ()
    only: frozenset[ProviderName] = frozenset()


@dataclass(frozen=True, slots=True)
class Rotation:
    """What one worker has decided since its last snapshot: it keeps its own calls from all going to the same provider.

    Attributes:
        owed: The phase of the round robin; outlives the snapshot.
        picked: Calls that the snapshot does not count yet.
    """

    at: datetime | None = None
    owed: Owed = field(default_factory=dict)
    picked: Picked = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whom to ask, best first; whom not, and why.

    Attributes:
        retry_at: Earliest time at which one of those passed over may be asked; None where that can't be foreseen.
        rotation: To be handed to the next decision.
    """

    order: tuple[ProviderName, ...]
    passed_over: tuple[PassedOver, ...]
    retry_at: datetime | None
    strategy: LoadBalanceStrategy
    rotation: Rotation


def decide(snapshot: Snapshot, demand: Demand, rotation: Rotation, seed: int) -> Decision:
    """Order the providers for one question.

    By priority, and within one by the strategy, the healthy before the degraded; those that the question prefers before
    all of these. Behind them all come those who start
    slowly after an outage, and those without room as far as is known. Who is on trial goes first where somebody of no
    better priority stands behind it, else last. Where nobody is left, the one whose breaker lets a trial through
    soonest is asked, and nobody else.

    Args:
        rotation: Of the last decision on this worker; `Rotation()` for the first.
        seed: Any number; draws between equals.
    """
    if rotation.at != snapshot.at:
        rotation = _renewed(rotation, snapshot)
    slow, trickle, luck, explore = _chances(seed)
    question = Question(
        input_tokens=demand.input_tokens,
        output_tokens=min(snapshot.output_tokens, demand.max_tokens),
        warm=demand.warm,
        warm_tokens=demand.warm_tokens,
        warm_age_s=demand.warm_age_s,
        luck=luck,
        explore=explore,
    )
    standing, owed = _standing(snapshot, demand, question, rotation, slow, trickle=trickle < _TRICKLE)
    order = _with_trials(standing, snapshot, demand, rotation.picked) or _last_resort(snapshot, demand)
    fitting = [shut for shut in snapshot.shut if _unfit(shut.target, demand) is None]
    return Decision(
        order=tuple(order),
        passed_over=_left_out(snapshot, demand, order),
        retry_at=min([shut.opens_at for shut in fitting if shut.opens_at is not None], default=None),
        strategy=snapshot.strategy,
        rotation=_turned(rotation, order, owed if order[:1] == standing[:1] else rotation.owed),
    )


def ranking(snapshot: Snapshot, decision: Decision) -> Ranking:
    """Tell a turn what was decided."""
    return Ranking(
        candidates=tuple(snapshot.candidates[name] for name in decision.order),
        passed_over=decision.passed_over,
        retry_at=decision.retry_at,
    )


def _standing(
    snapshot: Snapshot, demand: Demand, question: Question, rotation: Rotation, slow: float, *, trickle: bool
) -> tuple[list[ProviderName], Owed]:
    """Order those who are not on trial; also return what the round robin owes after the first was asked."""
    picked = rotation.picked
    order: list[ProviderName] = []
    behind: list[ProviderName] = []
    owed = rotation.owed
    for tier in snapshot.tiers:
        for group in (tier.degraded, tier.healthy) if trickle else (tier.healthy, tier.degraded):
            if not group:
                continue
            able = _able(group, demand)
            front = [t.offer for t in able if picked.get(t.provider, 0) < t.room and slow < t.share]
            if front:
                names, after = strategies.order(snapshot.strategy, front, question, rotation.owed, picked)
                owed = owed if order else after
                order += names
            if len(front) < len(able):
                behind += [t.provider for t in able if picked.get(t.provider, 0) >= t.room or slow >= t.share]
    if demand.prefer and order:
        preferred = _preferred(order, demand.prefer)
        # Who goes first by preference has not had its turn.
        return preferred + behind, owed if preferred[0] == order[0] else rotation.owed
    return order + behind, owed


def _preferred(order: list[ProviderName], prefer: Sequence[ProviderName]) -> list[ProviderName]:
    return [name for name in prefer if name in order] + [name for name in order if name not in prefer]


def _with_trials(
    standing: list[ProviderName], snapshot: Snapshot, demand: Demand, picked: Picked
) -> list[ProviderName]:
    """Give those on trial their places: the best one the first, where its failure would cost nobody an answer."""
    trials = [target for target in _able(snapshot.trials, demand) if target.provider not in picked]
    names = [target.provider for target in trials]
    if trials and standing and trials[0].priority <= snapshot.priorities[standing[0]]:
        return [names[0], *standing, *names[1:]]
    return standing + names


def _last_resort(snapshot: Snapshot, demand: Demand) -> list[ProviderName]:
    resorts = [
        (shut.last_resort, place)
        for place, shut in enumerate(snapshot.shut)
        if shut.last_resort is not None and _unfit(shut.target, demand) is None
    ]
    return [snapshot.shut[min(resorts)[1]].target.provider] if resorts else []


def _able(targets: Sequence[Target], demand: Demand) -> Sequence[Target]:
    # The same as `_unfit`, in a shape that takes a tenth of the time.
    tokens, needs, tried, only = _tokens(demand), demand.needs, demand.tried, demand.only
    return [
        target
        for target in targets
        if tokens <= target.window
        and (not needs or needs <= target.features)
        and (not tried or target.provider not in tried)
        and (not only or target.provider in only)
    ]


def _unfit(target: Target, demand: Demand) -> str | None:
    """Tell why a provider can't answer a question; None where it can."""
    if target.provider in demand.tried:
        return "it has been asked already"
    if demand.only and target.provider not in demand.only:
        return "the application does not use it"
    if _tokens(demand) > target.window:
        return f"its window of {target.window:.0f} tokens is too small"
    if lacking := demand.needs - target.features:
        return f"it lacks {', '.join(sorted(lacking))}"
    return None


def _tokens(demand: Demand) -> float:
    return demand.input_tokens * _TOKEN_MARGIN + demand.max_tokens


def _left_out(snapshot: Snapshot, demand: Demand, order: Sequence[ProviderName]) -> tuple[PassedOver, ...]:
    if len(order) == len(snapshot.candidates):
        return snapshot.unusable
    targets = [*(target for tier in snapshot.tiers for target in (*tier.healthy, *tier.degraded)), *snapshot.trials]
    asked = set(order)
    reasons = [
        (t.provider, _unfit(t, demand) or "a trial call is under way") for t in targets if t.provider not in asked
    ]
    reasons += [(shut.target.provider, shut.reason) for shut in snapshot.shut if shut.target.provider not in asked]
    return (*snapshot.unusable, *(_passed_over(name, reason) for name, reason in reasons))


def _renewed(rotation: Rotation, snapshot: Snapshot) -> Rotation:
    """Go on with a new snapshot, which counts the calls that were picked; who was away meanwhile is owed nothing."""
    standing = {target.provider for tier in snapshot.tiers for target in (*tier.healthy, *tier.degraded)}
    return Rotation(at=snapshot.at, owed={name: owed for name, owed in rotation.owed.items() if name in standing})


def _turned(rotation: Rotation, order: Sequence[ProviderName], owed: Owed) -> Rotation:
    if not order:
        return rotation
    first = order[0]
    return Rotation(rotation.at, owed, {**rotation.picked, first: rotation.picked.get(first, 0) + 1})


def _chances(seed: int) -> tuple[float, float, float, float]:
    """Draw four numbers, 0 up to 1.

    Source: the finalizer of splitmix64; 16 of its bits for each.
    """
    bits = (seed * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    bits ^= bits >> 31
    return (
        (bits & 0xFFFF) / 65536,
        (bits >> 16 & 0xFFFF) / 65536,
        (bits >> 32 & 0xFFFF) / 65536,
        (bits >> 48) / 65536,
    )


@lru_cache(maxsize=4096)
def _passed_over(provider: ProviderName, reason: str) -> PassedOver:
    """Make each once: they are the dearest part of a decision."""
    return PassedOver(provider=provider, reason=reason)
