"""Users of the model, who pay for predictions."""

from __future__ import annotations

from agents.contributors.base import Contributor
from mechanisms.vocabulary import Act, ContributorObservation, Query


class Caller(Contributor):
    """Asks for the prediction of the next sample, with probability accuracy, and offers no data."""

    name = "caller"
    summary = "pays for predictions, the more often the better the model is"
    reference = "0xDeCA10B simulation: calls_model, with probability accuracy, for pay_to_call"
    stochastic = True

    def act(self, seen: ContributorObservation) -> Act:
        if seen.row is None or seen.rng.random() >= seen.accuracy:
            return None
        return Query(seen.budget)
