"""Voters that nobody pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agents.voters.base import Voter
from mechanisms.plugin import param
from mechanisms.vocabulary import Ballot, VoterObservation


@dataclass(frozen=True)
class Staking:
    """What all voters decide on that may stake."""

    stake: float = param(
        0.5, help="share of its money that it locks, under rules that count stakes", ge=0, le=1
    )
    conviction: int = param(
        1,
        help="multiplier that it votes with and accepts the lock of: 0 for 0.1, or 1 to 6",
        ge=0,
        le=6,
    )


class Honest(Voter):
    """Votes for what is worth something to it and against what costs it; else it abstains."""

    name = "honest"
    summary = "votes by preference"
    reference = "sincere voting: Downs 1957, An Economic Theory of Democracy"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"stake": 1.0, "conviction": 6})
    Params: ClassVar[type] = Staking
    params: Staking

    def vote(self, seen: VoterObservation) -> Ballot | None:
        return self.ballot(seen, seen.worth > 0) if seen.worth else None

    def told(self, seen: VoterObservation, approves: bool) -> Ballot:
        return self.ballot(seen, approves)

    def ballot(self, seen: VoterObservation, approves: bool) -> Ballot:
        """Return a ballot with the stake and conviction that it always votes with."""
        return Ballot(approves, int(seen.stake * self.params.stake), self.params.conviction)


class Abstaining(Honest):
    """Stays at home with some probability, else votes by preference."""

    name = "abstaining"
    summary = "stays at home, always or often, else votes by preference"
    reference = "rational abstention: Downs 1957, An Economic Theory of Democracy, ch. 14"
    stochastic = True
    examples = ({}, {"probability": 0.5})

    @dataclass(frozen=True)
    class Params(Staking):
        probability: float = param(1.0, help="that it does not vote on a proposal", ge=0, le=1)

    params: Params

    def vote(self, seen: VoterObservation) -> Ballot | None:
        return None if seen.rng.random() < self.params.probability else super().vote(seen)
