"""Learning from a peer."""

from __future__ import annotations

from agents.learners.base import Learner
from mechanisms.vocabulary import ChoiceObservation


class Imitation(Learner):
    """Meets one peer at random and takes over its strategy with probability max(0, its payoff - own) / range of payoffs.

    In a large population the shares of strategies then follow the replicator equation. The first strategy is spread over the
    group by number.
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
        return (
            theirs if spread > 0 and seen.rng.random() < max(0.0, paid - payoff) / spread else mine
        )
