"""Contributors that mean well: with true labels, or with a mistake now and then."""

from __future__ import annotations

from dataclasses import dataclass

from agents.contributors.base import Contributor
from agents.labels import wrong_label
from mechanisms.plugin import param
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


class Careless(Honest):
    """Takes part as an honest one, and mistakes the label with probability `mistake`."""

    name = "careless"
    summary = "offers as an honest contributor, sometimes with a wrong label by mistake"
    reference = "0xDeCA10B simulation: prob_mistake of an agent (1e-4 in its presets)"

    @dataclass(frozen=True)
    class Params:
        mistake: float = param(0.1, help="probability of a wrong label", ge=0, le=1)

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        if seen.label is None or seen.rng.random() >= seen.accuracy + MARGIN:
            return None
        if seen.rng.random() >= self.params.mistake:
            return Offer(seen.label, seen.budget)
        return Offer(wrong_label(seen.label, seen.classes, seen.rng), seen.budget)
