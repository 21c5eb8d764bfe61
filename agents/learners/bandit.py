"""Learning from one's own payoffs alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.learners.base import Learner, means
from mechanisms.plugin import param
from mechanisms.vocabulary import ChoiceObservation


class Bandit(Learner):
    """Tries every strategy once, then plays the best mean so far, and explores.

    epsilon-greedy: a random strategy with probability epsilon. ucb1: the highest mean + range *
    sqrt(2 ln t / n), means over t plays, n of them of the strategy; `range` is the range of the
    payoffs so far.
    """

    name = "bandit"
    summary = "learns from its own payoffs alone"
    reference = "Auer, Cesa-Bianchi and Fischer 2002, Machine Learning 47 (UCB1, epsilon-greedy)"
    stochastic = True
    examples = ({}, {"rule": "ucb1"}, {"epsilon": 1.0})

    @dataclass(frozen=True)
    class Params:
        rule: str = param(
            "epsilon-greedy", help="how it explores", choices=("epsilon-greedy", "ucb1")
        )
        epsilon: float = param(
            0.1, help="probability of trying a strategy at random (epsilon-greedy)", ge=0, le=1
        )

    params: Params

    def choose(self, seen: ChoiceObservation) -> int:
        n = len(seen.strategies)
        average = means(seen.own, n)
        for i, value in enumerate(average):
            if value is None:
                return i
        known = [value for value in average if value is not None]
        if self.params.rule == "ucb1":
            payoffs = [payoff for _, payoff in seen.own]
            spread = max(payoffs) - min(payoffs) or 1.0
            plays = [sum(choice == i for choice, _ in seen.own) for i in range(n)]
            known = [
                v + spread * math.sqrt(2 * math.log(len(payoffs)) / k)
                for v, k in zip(known, plays, strict=True)
            ]
        elif seen.rng.random() < self.params.epsilon:
            return int(seen.rng.integers(n))
        return max(range(n), key=lambda i: (known[i], -i))
