"""The next provider to ask, chosen from what this worker knows."""

import random
from dataclasses import replace

from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import routing
from tertulia.domain.providers.routing import Decision, Demand, Rotation
from tertulia.domain.turns import Candidate, Ranking
from tertulia.provider_service.live import Live


class Choice:
    """Decides without waiting for anything."""

    def __init__(self, live: Live, chance: random.Random) -> None:
        self._live = live
        self._chance = chance
        self._rotation = Rotation()

    def look(self, demand: Demand) -> Decision:
        """Tell who would be asked, and leave whose turn it is as it is."""
        return routing.decide(self._live.snapshot(), demand, self._rotation, self._chance.getrandbits(32))

    def decide(self, demand: Demand) -> Decision:
        """Choose who is asked."""
        decision = self.look(demand)
        self._rotation = decision.rotation
        return decision

    def ended(self, provider: ProviderName) -> None:
        """Note that a call has ended which the snapshot, or the rotation, counts as under way."""
        picked = self._rotation.picked
        self._rotation = replace(self._rotation, picked={**picked, provider: picked.get(provider, 0) - 1})

    def rank(self, demand: Demand) -> Ranking:
        """Choose who is asked, in the words of a turn."""
        return routing.ranking(self._live.snapshot(), self.decide(demand))

    def candidate(self, provider: ProviderName) -> Candidate:
        """Return how a provider is to be asked."""
        return self._live.snapshot().candidates[provider]
