"""A voting rule decides what a ballot weighs, and whether a proposal passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from mechanisms.plugin import Plugin, param
from mechanisms.vocabulary import Ballot, Tally

COUNTED = ("ayes", "all")


@dataclass(frozen=True)
class Majority:
    """The parameters that all voting rules have."""

    threshold: float = param(
        0.5, help="a proposal needs more than this share of the votes cast", ge=0, lt=1
    )
    quorum: float = param(0.0, help="share of the electorate that must have voted", ge=0, le=1)
    counted: str = param(
        "ayes",
        help="who counts towards the quorum: those in favour, as in Governor and OpenGov, or all "
        "who vote",
        choices=COUNTED,
    )


class VotingRule(Plugin, ABC):
    """Base of voting rules. They are exact: shares are fractions as they are written.

    A proposal passes when ayes > threshold * (ayes + nays) and support >= quorum * electorate.
    """

    Params = Majority
    params: Majority
    stakes: bool = True
    """Whether ballots lock the stake that stands behind them."""
    convictions: bool = False
    """Whether a ballot may offer to stay locked after the vote."""

    @abstractmethod
    def votes(self, ballot: Ballot) -> int:
        """Return the votes of a ballot."""

    def support(self, ballot: Ballot) -> int:
        """Return what a ballot counts towards the quorum: its stake, before any multiplier."""
        return ballot.stake

    def electorate(self, stakes: Mapping[int, int]) -> int:
        """Return the largest support that there could be, of base units by device."""
        return sum(stakes.values())

    def lock_s(self, ballot: Ballot) -> float:
        """Return how long the stake of a ballot that won stays locked after the vote, seconds."""
        return 0.0

    def tally(self, ballots: Sequence[Ballot], stakes: Mapping[int, int]) -> Tally:
        """Return the count of ballots, of an electorate that holds `stakes` by device."""
        ayes = [b for b in ballots if b.approves]
        nays = [b for b in ballots if not b.approves]
        counted = ayes if self.params.counted == "ayes" else [*ayes, *nays]
        return Tally(
            ayes=sum(self.votes(b) for b in ayes),
            nays=sum(self.votes(b) for b in nays),
            support=sum(self.support(b) for b in counted),
            electorate=self.electorate(stakes),
        )

    def passes(self, tally: Tally) -> bool:
        """Return whether a proposal with this count passes."""
        margin, quorum = self._standing(tally)
        return margin > 0 and quorum >= 0

    # --- the price of another outcome ---------------------------------------------------------

    def needs(self, tally: Tally) -> Sequence[tuple[int, int]]:
        """Return what would turn the outcome: alternatives of (margin, quorum) to gain.

        A proposal that would be rejected passes once both are gained. One that would pass is
        rejected once one of them is lost: two alternatives, with 0 for what does not matter.
        """
        margin, quorum = self._standing(tally)
        if not self.passes(tally):
            return [(max(0, 1 - margin), max(0, -quorum))]
        wanting = [(margin, 0)]
        return [*wanting, (0, quorum + 1)] if self.params.quorum else wanting

    def gains(self, told: Ballot, cast: Ballot | None) -> tuple[int, int]:
        """Return what a ballot as told moves margin and quorum towards its own side.

        `cast` is what its owner would vote otherwise, None for nothing.
        """
        before, after = self._of(cast), self._of(told)
        sign = 1 if told.approves else -1
        return sign * (after[0] - before[0]), sign * (after[1] - before[1])

    @cached_property
    def _threshold(self) -> Fraction:
        return Fraction(repr(self.params.threshold))

    @cached_property
    def _quorum(self) -> Fraction:
        return Fraction(repr(self.params.quorum))

    def _standing(self, tally: Tally) -> tuple[int, int]:
        """Return by how much a count is above the threshold and the quorum, in whole numbers."""
        t, q = self._threshold, self._quorum
        margin = tally.ayes * t.denominator - (tally.ayes + tally.nays) * t.numerator
        return margin, tally.support * q.denominator - tally.electorate * q.numerator

    def _of(self, ballot: Ballot | None) -> tuple[int, int]:
        """Return what a ballot adds to both parts of the standing."""
        if ballot is None:
            return 0, 0
        return self._standing(self.tally([ballot], {}))
