"""One member, one vote."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.vocabulary import Ballot
from mechanisms.voting.base import VotingRule


class OneMemberOneVote(VotingRule):
    """Every ballot is one vote, whatever its owner holds."""

    name = "one-member-one-vote"
    summary = "every member has one vote"
    reference = "May 1952, Econometrica 20(4) (majority rule); DecentralML grant (seed 000)"
    examples = ({}, {"threshold": 0.6, "quorum": 0.4, "counted": "all"})
    stakes = False

    def votes(self, ballot: Ballot) -> int:
        return 1

    def support(self, ballot: Ballot) -> int:
        return 1

    def electorate(self, stakes: Mapping[int, int]) -> int:
        return len(stakes)
