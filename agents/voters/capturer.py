"""A voter that buys the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.voters.capture import cheapest
from agents.voters.honest import Honest, Staking
from mechanisms.plugin import param
from mechanisms.vocabulary import Ballot, CaptureObservation, Purchase, VoterObservation


class Capturer(Honest):
    """Votes for its aim, and buys the cheapest ballots that turn the outcome, if it is worth it.

    It pays the reservation price of every ballot that it needs, and buys nothing where the sum is
    more than its budget, or than the outcome is worth to it. It buys whole ballots, or it leases
    stake: of each ballot only the part that it needs, at that part of the price.
    """

    name = "capturer"
    summary = "buys the cheapest ballots, or the cheapest stake, that turn the outcome"
    reference = (
        "Groseclose and Snyder 1996, American Political Science Review 90(2) (buying "
        "supermajorities); Daian et al. 2018, on-chain vote buying"
    )
    buys = True
    examples = ({}, {"aim": "pass", "budget": 50, "means": "stake"}, {"aim": "reject"})

    @dataclass(frozen=True)
    class Params(Staking):
        aim: str = param(
            "interest",
            help="the outcome that it buys; interest: what is worth something to it",
            choices=("interest", "pass", "reject"),
        )
        budget: int = param(
            0,
            help="base units that it spends on a proposal at most; 0: what the outcome is worth",
            unit="base units",
            ge=0,
            le=10**15,
        )
        means: str = param(
            "votes",
            help="buys whole ballots, or leases the stake behind them",
            choices=("votes", "stake"),
        )

    params: Params

    def vote(self, seen: VoterObservation) -> Ballot | None:
        if self.params.aim == "interest":
            return super().vote(seen)
        return self.ballot(seen, self._wants(seen.worth))

    def buy(self, seen: CaptureObservation) -> Sequence[Purchase]:
        indifferent = self.params.aim == "interest" and not seen.worth
        if indifferent or seen.passes == self._wants(seen.worth):
            return ()
        parts = seen.parts and self.params.means == "stake"
        found = cheapest(seen.asks, seen.needs, parts=parts)
        most = min(seen.balance, self.params.budget or int(abs(seen.worth)))
        if found is None or found[0] > most:
            return ()
        return found[1]

    def _wants(self, worth: float) -> bool:
        """Return whether it wants a proposal to pass."""
        return self.params.aim == "pass" or (self.params.aim == "interest" and worth > 0)
