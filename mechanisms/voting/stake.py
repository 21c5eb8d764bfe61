"""Votes by stake, and by stake and conviction as on Substrate."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.plugin import param
from mechanisms.vocabulary import Ballot
from mechanisms.voting.base import Majority, VotingRule

WEEK = 604_800.0


class StakeWeighted(VotingRule):
    """A base unit is a vote; the stake is locked until the vote is over."""

    name = "stake-weighted"
    summary = "a vote per base unit that is locked during the vote"
    reference = "OpenZeppelin Governor, GovernorCountingSimple and GovernorVotes"
    examples = ({}, {"threshold": 0.6, "quorum": 0.04, "counted": "all"})

    def votes(self, ballot: Ballot) -> int:
        return ballot.stake


class Conviction(VotingRule):
    """A stake weighs more, the longer its owner agrees to leave it locked.

    | conviction | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
    |---|---|---|---|---|---|---|---|
    | votes per base unit | 0.1 | 1 | 2 | 3 | 4 | 5 | 6 |
    | lock periods after the vote | 0 | 1 | 2 | 4 | 8 | 16 | 32 |

    A tenth is rounded down, as on chain. Only stakes on the side that won stay locked. The quorum
    counts stakes without multipliers.
    """

    name = "conviction"
    summary = "stake times 0.1, or 1 to 6 for 1 to 32 periods that it stays locked after the vote"
    reference = "Substrate pallet-conviction-voting: Conviction::votes and lock_periods"
    examples = ({}, {"threshold": 0.6, "quorum": 0.1, "lock_period_s": 60.0})
    convictions = True

    @dataclass(frozen=True)
    class Params(Majority):
        lock_period_s: float = param(
            WEEK, help="one lock period: a week on Polkadot", unit="s", ge=0, le=1e9
        )

    params: Params

    def votes(self, ballot: Ballot) -> int:
        return ballot.stake * ballot.conviction if ballot.conviction else ballot.stake // 10

    def lock_s(self, ballot: Ballot) -> float:
        periods = 2 ** (ballot.conviction - 1) if ballot.conviction else 0
        return periods * self.params.lock_period_s
