"""Learning from a better paid peer."""

from __future__ import annotations

from agents.learners.base import Learner
from mechanisms.vocabulary import ChoiceObservation


class Imitation(Learner):
    """Meets a random peer and copies it with probability max(0, its payoff - own) / payoff range.

    In a large population the shares of strategies then follow the replicator equation. The first
    strategy of a device is its index in the group modulo the number of strategies.
    """

    name = "imitation"
    summary = "copies better paid peers (replicator dynamics)"
    reference = "Schlag 1998, J. Econ. Theory 78 (proportional imitation)"
    stochastic = True

    def choose(self, seen: ChoiceObservation) -> int:
        if not seen.own:
            return seen.index % len(seen.strategies)
        mine, payoff = seen.own[-1]
        if not seen.peers:
            return mine
        theirs, paid = seen.peers[int(seen.rng.integers(len(seen.peers)))]
        payoffs = [payoff, *(p for _, p in seen.peers)]
        spread = max(payoffs) - min(payoffs)
        if spread == 0:
            return mine
        copies = seen.rng.random() < max(0.0, paid - payoff) / spread
        return theirs if copies else mine
