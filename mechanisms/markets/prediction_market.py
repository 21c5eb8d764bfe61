"""The prediction market: contributors bet a stake on what their data do to a hidden test set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mechanisms.markets.base import POT, MarketRule
from mechanisms.plugin import PluginError, param
from mechanisms.reward_phase import RewardPhase, ShippedRewardPhase
from mechanisms.vocabulary import (
    TOKEN,
    Datum,
    MarketMemory,
    Offering,
    Payment,
    Refused,
    Stage,
)

BOUNTY = "escrow:market-bounty"
"""The account that holds the bounty."""
MOST = 2**63

ENDED = Refused("the market has ended")
TOO_LITTLE = Refused("offers less than the stake of one token")


class PredictionMarket(MarketRule):
    """A bounty of B tokens is paid for what data do to the accuracy on a committed test set.

    Commitment     the provider sets the bounty aside and commits to the bytes of K pieces of the
                   test set; one piece, drawn at random, is revealed.
    Participation  a datum costs a stake of one token and is not learned. It ends as soon as one of
                   the two minimums is reached; without any, when no data are left.
    Reward         the other pieces are revealed. Data are learned in their order; with accuracy a,

                       score s_t = a_t - a_{t-1},   sum of s = a_T - a_0 <= 1.

                   Every token of the bounty pays one round, in which a contribution of score s wins
                   or loses s tokens. Rounds are played at once until somebody has lost its stake:

                       k = min(rounds left, min over s < 0 of balance / -s).

                   Who cannot stake again leaves with what it has, and a pass over the others
                   follows, until no round is left or nobody. What is left returns to the provider.

    A test set that does not match its commitment pays nobody: stakes and bounty are returned.

    Options, with their effect on B = 100 and data that change accuracy by +0.2 (good), -0.1 (bad),
    +0.1 (good), as balances of good, bad and the bounty after 100, 100 and 100:

        reset_model            accuracies are measured anew after every restart, on a model that has
                               learned the remaining data only: 130, 99, 71. Otherwise those of the
                               first pass stay, and the drop that a bad datum caused is charged to
                               whoever comes after it: 121, 99, 80.
        group_contributions    one score and one stake per contributor instead of per datum: who has
                               less than a token for each of its data leaves with all of them.
        allow_greater_deposit  a datum may be staked with more than a token, and lasts for longer.
        as_shipped             copies the accounts of the published simulator: gains of a datum
                               before the last pass are never paid, who leaves keeps its first
                               stake, after a restart with `reset_model` the accuracy is compared
                               with the last one of the pass before, the bounty returns to nobody:

                                   118, 100, 82             109, 100, 91 (reset)
                                   121,  99, 80 (grouped)   112,  99, 89 (grouped, reset)

                               More may be promised than there is; who collects first is paid.
    """

    name = "prediction-market"
    summary = (
        "a bounty for improving the accuracy on a committed test set, stakes lost by harming it"
    )
    reference = (
        "Harris and Waggoner, arXiv:1907.07247 (prediction markets); Abernethy and Frongillo 2011"
    )
    learns = False
    claimable = False
    examples = (
        {},
        {"bounty": 100, "group_contributions": True, "provider": 3},
        {"bounty": 40, "reset_model": False, "min_contributions": 3},
        {"bounty": 7, "allow_greater_deposit": True, "min_length_s": 50.0, "unit": 1},
        {"bounty": 100, "as_shipped": True, "reset_model": False},
        {"bounty": 9, "as_shipped": True, "group_contributions": True, "unit": 1},
    )

    @dataclass(frozen=True)
    class Params:
        bounty: int = param(
            100_000, help="B: tokens set aside, one for each round", unit="tokens", ge=1, le=10**9
        )
        pieces: int = param(
            10, help="K: pieces of the test set that are committed to", ge=2, le=10_000
        )
        min_length_s: float = param(
            -1.0,
            help="the market ends after this time; -1: not by time",
            unit="s",
            ge=-1,
            le=10**12,
        )
        min_contributions: int = param(
            0,
            help="the market ends with this many contributions; 0: not by their number",
            ge=0,
            le=10**9,
        )
        reset_model: bool = param(
            True, help="accuracies are measured anew after every restart, without who has left"
        )
        group_contributions: bool = param(
            False, help="scores and stakes are those of a contributor, not of each datum"
        )
        allow_greater_deposit: bool = param(
            False, help="all that is offered is staked, not one token"
        )
        as_shipped: bool = param(
            False, help="copies what is wrong in the accounts of the published simulator"
        )
        provider: int = param(
            -1,
            help="the device to which the unspent bounty returns; -1: it stays where it is",
            ge=-1,
            le=100_000,
            devices=True,
        )
        unit: int = param(TOKEN, help="base units of a token", unit="base units", ge=1, le=10**15)

        def __post_init__(self) -> None:
            if self.bounty * self.unit >= MOST:
                most = (MOST - 1) // self.unit
                raise PluginError(
                    f"must be at most {most} tokens of this unit", "bounty", self.bounty
                )
            if self.as_shipped and self.provider != -1:
                message = "must be -1: as shipped the bounty returns to nobody"
                raise PluginError(message, "provider", self.provider)

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {POT: 0, BOUNTY: self.params.bounty * self.params.unit}

    def test_pieces(self, samples: int) -> Sequence[tuple[int, int]]:
        pieces = self.params.pieces
        if samples < pieces:
            message = f"must be at most {samples}, the test samples: every piece needs one"
            raise PluginError(message, "pieces", pieces)
        bounds = [i * samples // pieces for i in range(pieces + 1)]
        return list(pairwise(bounds))

    # --- participation ----------------------------------------------------------------------------

    def start(self, time_s: float) -> MarketMemory:
        """Return the memory: when the market opened and reached its number of contributions.

        After the reward phase also how many `passes` it took, how many `evaluations` of the model
        they needed, and the base units that are `unspent`.
        """
        return {"opened_s": time_s, "contributions": 0, "reached_s": None, "ended": False}

    def price(self, memory: MarketMemory, time_s: float, device: int) -> int:
        return self.params.unit

    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        own = self.params
        if memory["ended"]:
            return ENDED
        if seen.offer < own.unit:
            return TOO_LITTLE
        memory["contributions"] += 1
        if memory["contributions"] == own.min_contributions:
            memory["reached_s"] = seen.time_s
        return seen.offer if own.allow_greater_deposit else own.unit

    def closed(self, memory: MarketMemory) -> bool:
        return memory["ended"]

    def deadline_s(self, memory: MarketMemory) -> float:
        if memory["ended"]:
            return math.inf
        if memory["reached_s"] is not None:
            return memory["reached_s"]
        length_s = self.params.min_length_s
        return math.inf if length_s == -1 else memory["opened_s"] + length_s

    def locked(self, memory: MarketMemory, data: Sequence[Datum]) -> Mapping[int, int]:
        return {} if memory["ended"] else super().locked(memory, data)

    # --- reward -----------------------------------------------------------------------------------

    def advance(self, memory: MarketMemory, seen: Stage) -> Sequence[Payment]:
        """End the market when it is due, and pay everybody."""
        if memory["ended"] or not (seen.ended or self.deadline_s(memory) <= seen.time_s):
            return ()
        memory["ended"] = True
        stakes: Counter[int] = Counter()
        for datum in seen.data:
            stakes[datum.author] += datum.deposit
        balances: Mapping[int, int] = stakes
        if seen.tested:
            phase = self._reward_phase(seen)
            balances = phase.play()
            memory |= {"passes": phase.passes, "evaluations": phase.evaluations}
        payments, memory["unspent"] = self._payments(stakes, balances)
        return payments

    def _reward_phase(self, seen: Stage) -> RewardPhase:
        own = self.params
        kind = ShippedRewardPhase if own.as_shipped else RewardPhase
        return kind(
            seen.data,
            seen.accuracies,
            bounty=own.bounty * own.unit,
            unit=own.unit,
            grouped=own.group_contributions,
            again=own.reset_model,
        )

    def _payments(
        self, stakes: Mapping[int, int], balances: Mapping[int, int]
    ) -> tuple[list[Payment], int]:
        """Return what is paid, lost stakes first, and the base units that nobody has earned."""
        forfeits, payments = [], []
        left = self.params.bounty * self.params.unit
        for device, stake in sorted(stakes.items()):
            lost = stake - min(stake, balances[device])
            left += lost
            forfeits.append(Payment(BOUNTY, lost, "market.forfeit", POT, holder=device))
            payments.append(Payment(device, stake - lost, "market.stake", POT))
        for device, stake in sorted(stakes.items()):
            # Only as shipped can more be promised than there is.
            gained = min(left, max(0, balances[device] - stake))
            left -= gained
            payments.append(Payment(device, gained, "market.reward", BOUNTY))
        if self.params.provider != -1:
            payments.append(Payment(self.params.provider, left, "market.bounty", BOUNTY))
        return [p for p in (*forfeits, *payments) if p.amount], left
