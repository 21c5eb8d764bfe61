"""The prediction market: contributors bet a stake on what their data do to a hidden test set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mechanisms.markets.base import BOUNTY, POT, MarketRule
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
    Withdrawal,
)

WEEK = 604_800.0

ENDED = Refused("the market has ended")
TOO_LITTLE = Refused("offers less than the stake of one token")
NOTHING_KEPT = Refused("nothing is kept for the owner of the balance")
NOT_YET = Refused("only its owner can collect the balance yet")


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
    Collection     everybody collects its balance; what has not been collected after a week goes to
                   whoever asks for it first.

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

                               More may be promised than there is: who collects first is paid. Who
                               takes a balance of another loses its own instead of the other, so
                               that it can take the same again and again.
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
        {"bounty": 100, "group_contributions": True, "collect_wait_s": 0.0},
        {"bounty": 40, "reset_model": False, "min_contributions": 3},
        {"bounty": 7, "allow_greater_deposit": True, "min_length_s": 50.0},
        {"bounty": 100, "as_shipped": True, "reset_model": False, "collect_wait_s": 20.0},
        {"bounty": 9, "as_shipped": True, "group_contributions": True},
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
        collect_wait_s: float = param(
            WEEK,
            help="after the rewards, when anybody may take a balance that its owner has not "
            "collected",
            unit="s",
            ge=0,
            le=10**12,
        )

    params: Params

    def bounty(self) -> int:
        return self.params.bounty * TOKEN

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

        After the reward phase also

            ended_s      when that was
            passes       over the data, and `evaluations` of the model in them
            owed         base units by device that it has not collected
            pot          base units from which they are paid
            unspent      base units of bounty and lost stakes that nobody has earned
        """
        return {"opened_s": time_s, "contributions": 0, "reached_s": None, "ended": False}

    def price(self, memory: MarketMemory, time_s: float, device: int) -> int:
        return TOKEN

    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        own = self.params
        if memory["ended"]:
            return ENDED
        if seen.offer < TOKEN:
            return TOO_LITTLE
        memory["contributions"] += 1
        if memory["contributions"] == own.min_contributions:
            memory["reached_s"] = seen.time_s
        return seen.offer if own.allow_greater_deposit else TOKEN

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
        if not memory["ended"]:
            return super().locked(memory, data)
        held, left = {}, memory["pot"]
        for device, amount in sorted(self.balances(memory).items()):
            held[device] = min(amount, left)
            left -= held[device]
        return held

    # --- reward -----------------------------------------------------------------------------------

    def advance(self, memory: MarketMemory, seen: Stage) -> Sequence[Payment]:
        """End the market when it is due, and set aside what everybody may collect."""
        if memory["ended"] or not (seen.ended or self.deadline_s(memory) <= seen.time_s):
            return ()
        memory |= {"ended": True, "ended_s": seen.time_s}
        stakes: Counter[int] = Counter()
        for datum in seen.data:
            stakes[datum.author] += datum.deposit
        balances: Mapping[int, int] = stakes
        if seen.tested:
            phase = self._reward_phase(seen)
            balances = phase.play()
            memory |= {"passes": phase.passes, "evaluations": phase.evaluations}
        memory["owed"] = {str(device): held for device, held in balances.items() if held}
        whole, promised = self.bounty() + stakes.total(), sum(balances.values())
        memory["unspent"] = max(0, whole - promised)
        # As shipped stakes and bounty stay in one pot, whatever is promised.
        memory["pot"] = whole if self.params.as_shipped else promised
        return self._payments(stakes, balances, seen.provider, memory["pot"])

    def _reward_phase(self, seen: Stage) -> RewardPhase:
        own = self.params
        kind = ShippedRewardPhase if own.as_shipped else RewardPhase
        return kind(
            seen.data,
            seen.accuracies,
            bounty=self.bounty(),
            grouped=own.group_contributions,
            again=own.reset_model,
        )

    def _payments(
        self,
        stakes: Mapping[int, int],
        balances: Mapping[int, int],
        provider: int | str,
        pot: int,
    ) -> list[Payment]:
        """Return what fills the pot, lost stakes first, and what returns to the provider."""
        lost = {device: max(0, stake - balances[device]) for device, stake in stakes.items()}
        held = sum(stakes.values()) - sum(lost.values())
        left = self.bounty() + sum(lost.values()) - (pot - held)
        payments = [
            Payment(BOUNTY, amount, "market.forfeit", POT, holder=device)
            for device, amount in sorted(lost.items())
        ]
        payments.append(Payment(POT, pot - held, "market.reward", BOUNTY))
        payments.append(Payment(provider, left, "market.bounty", BOUNTY))
        return [p for p in payments if p.amount]

    # --- collection -------------------------------------------------------------------------------

    def balances(self, memory: MarketMemory) -> Mapping[int, int]:
        """Return what each device may still collect; as shipped that may be too much together."""
        pot, owed = memory.get("pot", 0), memory.get("owed", {})
        return {int(device): min(amount, pot) for device, amount in owed.items() if pot}

    def open_to_all_s(self, memory: MarketMemory) -> float:
        return memory.get("ended_s", math.inf) + self.params.collect_wait_s

    def collect(self, memory: MarketMemory, seen: Withdrawal) -> int | Refused:
        """Pay the balance of an owner once: to itself, or after the wait to anybody."""
        owed = memory.get("owed", {})
        amount = min(owed.get(str(seen.owner), 0), memory.get("pot", 0))
        if amount <= 0:
            return NOTHING_KEPT
        if seen.device != seen.owner and seen.time_s < self.open_to_all_s(memory):
            return NOT_YET
        memory["pot"] -= amount
        owed.pop(str(seen.device if self.params.as_shipped else seen.owner), None)
        return amount
