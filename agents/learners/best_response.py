"""Learning from all plays of the group."""

from __future__ import annotations

from dataclasses import dataclass

from agents.learners.base import Learner, means
from mechanisms.plugin import param
from mechanisms.vocabulary import ChoiceObservation


class BestResponse(Learner):
    """Plays the strategy with the best mean payoff in the group so far; untried ones first.

    Observed payoffs stand for expected ones: the choice is a best response to past play.
    """

    name = "best-response"
    summary = "plays what has paid best on average in its group"
    reference = "Brown 1951 (fictitious play), on observed payoffs"
    stochastic = True
    examples = ({}, {"tremble": 1.0})

    @dataclass(frozen=True)
    class Params:
        tremble: float = param(
            0.05, help="probability of another strategy, so that none is forgotten", ge=0, le=1
        )

    params: Params

    def choose(self, seen: ChoiceObservation) -> int:
        n = len(seen.strategies)
        average = means((*seen.own, *seen.history), n)
        untried = [i for i, value in enumerate(average) if value is None]
        if untried:
            return untried[seen.index % len(untried)]
        if seen.rng.random() < self.params.tremble:
            return int(seen.rng.integers(n))
        return max(range(n), key=lambda i: (average[i], -i))
