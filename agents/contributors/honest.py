"""An honest contributor."""

from __future__ import annotations

from agents.contributors.base import Contributor
from mechanisms.vocabulary import Act, ContributorObservation, Offer

MARGIN = 0.15
"""Added to the accuracy: an honest contributor takes part more readily than the model is right."""


class Honest(Contributor):
    """Offers the next sample with its true label, with probability accuracy + 0.15."""

    name = "honest"
    summary = "offers true labels, the more readily the better the model is"
    reference = "0xDeCA10B simulation: a good agent submits with probability accuracy + 0.15"
    stochastic = True

    def act(self, seen: ContributorObservation) -> Act:
        if seen.label is None or seen.rng.random() >= seen.accuracy + MARGIN:
            return None
        return Offer(seen.label, seen.budget)
