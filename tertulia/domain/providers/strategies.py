"""The four ways to order providers of one priority. Each one is a full look at all of them: there are few."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import LoadBalanceStrategy

# Providers this close to the best are equal, and one of them is drawn: else all workers would go to the same one.
_CLOSE = 1.05
_CLOSE_PRICE = 1.10

# So often the fastest provider gives way to the one heard of longest ago, or nobody would learn that it has improved.
_EXPLORE = 0.02

# How long a provider's cache keeps the beginning of a conversation, about.
_CACHE_S = 300.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a strategy compares of a provider.

    Attributes:
        weight: Its share among those of its priority.
        in_flight: Calls under way.
        limit: Of them, at a time.
        used_quota: The share of its rate limits that is used, 0 to 1.
        ttft_s: To expect until the first token, and `tpot_s` for each further one.
        contention: How much a call slows the others: 1 on a machine of its own, less in a cloud.
        heard_at: When it last answered or failed, seconds since 1970; 0 for never.
        input_usd: For a token, as those below; None where no price is known.
        failed_per_answer: Failures to expect for each answer.
    """

    provider: ProviderName
    weight: float
    in_flight: int
    limit: int
    used_quota: float
    ttft_s: float
    tpot_s: float
    contention: float
    heard_at: float
    input_usd: float | None
    cached_usd: float
    output_usd: float
    failed_per_answer: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked, as far as it makes a difference.

    Attributes:
        output_tokens: Expected of the answer.
        warm: Who has `warm_tokens` of the prompt in its cache, since `warm_age_s`.
        luck: Decides between equals; 0 up to 1.
        explore: Decides whether to try the least known one; 0 up to 1.
    """

    input_tokens: int
    output_tokens: float
    warm: ProviderName | None
    warm_tokens: int
    warm_age_s: float
    luck: float
    explore: float


# What each provider is owed of the round robin: its share of all calls so far less those it got. In units of weight, a
# call being worth all weights together; whole weights are then counted without rounding.
Owed = Mapping[ProviderName, float]

# In-flight calls that the offers don't count yet.
Picked = Mapping[ProviderName, int]


def order(
    strategy: LoadBalanceStrategy, offers: Sequence[Offer], question: Question, owed: Owed, picked: Picked
) -> tuple[list[ProviderName], Owed]:
    """Order providers of one priority, best first.

    Args:
        offers: In the order in which they are configured; at least one.

    Returns:
        The order, and what is owed after the first one of it was called.
    """
    match strategy:
        case LoadBalanceStrategy.ROUND_ROBIN:
            return round_robin(offers, owed)
        case LoadBalanceStrategy.LEAST_LOAD:
            return _ascending(offers, _loads(offers, picked), _CLOSE, question.luck), owed
        case LoadBalanceStrategy.FASTEST_RESPONSE:
            times = _times(offers, question.output_tokens, picked)
            fastest = _ascending(offers, times, _CLOSE, question.luck)
            if question.explore < _EXPLORE:
                _move_first(fastest, min(offers, key=lambda offer: offer.heard_at).provider)
            return fastest, owed
        case LoadBalanceStrategy.COST_OPTIMIZED:
            return _ascending(offers, _costs(offers, question), _CLOSE_PRICE, question.luck), owed


def round_robin(offers: Sequence[Offer], owed: Owed) -> tuple[list[ProviderName], Owed]:
    """Let providers take turns by their weights, as evenly as can be.

    After any number of calls to a fixed set each provider has got its share to less than one call: the one that has to
    be called soonest to stay within that goes first.

    Returns:
        The order, and what is owed after the first one of it was called.

    Source: R. Tijdeman, The chairman assignment problem, 1980. The usual smooth weighted round robin (nginx) always
        calls the one that is owed most, which lets others fall behind by more than a call.
    """
    names = [offer.provider for offer in offers]
    weights = [offer.weight for offer in offers]
    total = sum(weights)
    # What was owed in another set of providers is kept as a difference between those of this one.
    before = [owed.get(name, 0.0) for name in names]
    offset = sum(before) / len(names)
    due = [owes - offset + weight for owes, weight in zip(before, weights, strict=True)]
    slack = total / (2 * len(names) - 2) if len(names) > 1 else 0.0
    latest = total - slack
    deadlines = [(latest - owes) / weight for owes, weight in zip(due, weights, strict=True)]
    places = sorted(range(len(names)), key=deadlines.__getitem__)
    # Somebody is always owed that much, but for rounding.
    first = next((place for place in places if due[place] >= slack), places[0])
    places.remove(first)
    due[first] -= total
    return [names[first], *[names[place] for place in places]], {**owed, **dict(zip(names, due, strict=True))}


def _loads(offers: Sequence[Offer], picked: Picked) -> list[float]:
    loads = [(offer.in_flight + picked.get(offer.provider, 0) + 1) / offer.limit for offer in offers]
    return [
        (load if load > offer.used_quota else offer.used_quota) / offer.weight
        for load, offer in zip(loads, offers, strict=True)
    ]


def _times(offers: Sequence[Offer], output_tokens: float, picked: Picked) -> list[float]:
    return [
        (offer.ttft_s + output_tokens * offer.tpot_s)
        * math.pow(offer.in_flight + picked.get(offer.provider, 0) + 1, offer.contention)
        for offer in offers
    ]


def _costs(offers: Sequence[Offer], question: Question) -> list[float]:
    warm = min(question.warm_tokens, question.input_tokens) * math.exp(-question.warm_age_s / _CACHE_S)
    return [_cost(offer, question, warm if offer.provider == question.warm else 0.0) for offer in offers]


def _cost(offer: Offer, question: Question, cached: float) -> float:
    """Expect the cost of an answer, with the prompts that failed attempts waste on the way to it.

    Staying with a provider that has the conversation in its cache needs no rule of its own: it is cheaper.
    """
    if offer.input_usd is None:
        return math.inf
    prompt = offer.input_usd * (question.input_tokens - cached) + offer.cached_usd * cached
    answer = offer.output_usd * question.output_tokens
    return prompt + answer + offer.failed_per_answer * prompt


def _ascending(offers: Sequence[Offer], values: Sequence[float], close: float, luck: float) -> list[ProviderName]:
    places = sorted(range(len(offers)), key=values.__getitem__)
    nearly_best = values[places[0]] * close
    equals = 1
    while equals < len(places) and values[places[equals]] <= nearly_best:
        equals += 1
    places.insert(0, places.pop(int(luck * equals)))
    return [offers[place].provider for place in places]


def _move_first(names: list[ProviderName], name: ProviderName) -> None:
    names.remove(name)
    names.insert(0, name)
