"""Words of referenda: ballots, their tally, what voters see, votes that are for sale.

A ballot is for or against a proposal to change parameters of a game. Votes are whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mechanisms.vocabulary.observation import ABSENT, Observation


class Ballot(NamedTuple):
    """The vote of a participant on a proposal.

    approves    for or against
    stake       base units that stand behind it, locked while the vote is open
    conviction  0 to 6: how long they stay locked after it, under a rule that asks for that
    """

    approves: bool
    stake: int = 0
    conviction: int = 0


class Tally(NamedTuple):
    """Ballots, counted.

    ayes, nays   votes for and against
    support      votes that count towards the quorum, before multipliers
    electorate   all that could be, in the same unit
    """

    ayes: int
    nays: int
    support: int
    electorate: int


class Ask(NamedTuple):
    """A ballot that is for sale.

    voter   the device that sells
    ballot  what it would cast as told
    price   base units for all of it
    gains   what it adds to the margin and to the quorum of the outcome that is told, see
            `VotingRule.needs`; both 0 where it would vote so anyway
    """

    voter: int
    ballot: Ballot
    price: int
    gains: tuple[int, int]


class Purchase(NamedTuple):
    """A decision to buy a ballot, or a part of the stake behind it."""

    voter: int
    stake: int


@dataclass(frozen=True, kw_only=True)
class VoterObservation(Observation):
    """What a participant sees of a proposal.

    device, round, time_s   who, when
    proposal    its number
    proposer    the device that proposed it
    changes     new values by name of the parameter
    worth       base units that it is worth to the device if the proposal passes, may be negative
    stake       base units that it could lock at most
    coalition   devices of its own group; nobody for an honest one
    rng         its own stream, the same whatever others do

    Behaviours that name "tally" in `knows` are shown `tally`, the ballots cast so far.
    """

    groups = MappingProxyType({"tally": ("tally",)})
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    device: int
    round: int
    time_s: float
    proposal: int
    proposer: int
    changes: Mapping[str, float]
    worth: float
    stake: int
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    tally: Tally = ABSENT


@dataclass(frozen=True, kw_only=True)
class CaptureObservation(Observation):
    """What a buyer of votes sees: the vote as it stands, and what the ballots of others cost.

    passes   whether the proposal would pass as it stands
    needs    by which of the alternatives the outcome would be the other one: for each alternative,
             what the gains must add up to, (margin, quorum)
    asks     ballots for sale, as they would be cast for the other outcome
    parts    whether a part of a ballot's stake can be bought, at its part of the price
    balance  base units that the buyer can spend
    """

    actor = "device"

    device: int
    round: int
    time_s: float
    proposal: int
    worth: float
    passes: bool
    needs: Sequence[tuple[int, int]]
    asks: Sequence[Ask]
    parts: bool
    balance: int
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
