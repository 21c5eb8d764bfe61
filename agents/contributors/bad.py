"""Wrong labels, always."""

from __future__ import annotations

from dataclasses import dataclass

from agents.contributors.base import Contributor
from agents.labels import wrong_label
from mechanisms.plugin import param
from mechanisms.vocabulary import Act, ContributorObservation, Offer


class Bad(Contributor):
    """Offers every sample with a wrong label: 1 - y of two classes, else any other one.

    It always takes part. Its own mistakes turn a wrong label into the true one.
    """

    name = "bad"
    summary = "offers every sample with a wrong label"
    reference = "0xDeCA10B simulation: an agent with good=False submits 1 - y"
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        mistake: float = param(0.0, help="probability of the true label, by mistake", ge=0, le=1)

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        if seen.label is None:
            return None
        mistake = self.params.mistake
        if mistake and seen.rng.random() < mistake:
            return Offer(seen.label, seen.budget)
        return Offer(wrong_label(seen.label, seen.classes, seen.rng), seen.budget)
