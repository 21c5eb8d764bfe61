"""Deposit, refund, take: a deposit per datum, back to its author while the model agrees with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.markets.base import AGREES, DISAGREES, OWN, TOO_YOUNG, MarketRule
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import TOKEN, Claim, MarketMemory, Offering, Refused

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
FOREVER = 1e12
"""Upper bound of waits, in seconds."""

TOO_SOON = Refused("the last datum was added in the same second")
TOO_LITTLE = Refused("offers less than the price")
NOTHING_LEFT = Refused("nothing of the deposit is left")
NOT_AUTHOR = Refused("only the author gets a refund")
CLAIMED = Refused("claims the datum a second time")
UNVERIFIED = Refused("the reporter has nothing by which shares are given")


class DepositRefundTake(MarketRule):
    """Self-assessment, by the model of the moment.

    An added datum costs a deposit d, which falls with the time since the last datum:

        simulation   d = max(1, floor(60 w / floor(sqrt(dt)))) tokens; refused where dt < 1 s
        chain        d = floor(3600 w / max(1, floor(sqrt(dt)))) base units

    with w `cost_weight` and dt in whole seconds. A claim on a datum is judged by what the model
    predicts when it is made, nobody knows the truth:

        refund   the author takes all that is left after T_r, if the model predicts the label
        report   another takes d * part after T_r, if the model predicts another label; where that
                 is nothing, or more than is left, all that is left
        sweep    anybody, the author too, takes all that is left after T_a; an owner after T_o

    As published the reporter's part is n / N: of all refunds, those of its own data. A reporter
    without any is refused. Parts of one deposit are taken at different times, so that they need
    not add up to it: the sweep takes the rest.
    """

    name = "deposit-refund-take"
    summary = "a deposit per datum: back to its author while the model agrees, else to reporters"
    reference = "Harris and Waggoner, arXiv:1907.07247 (self-assessment); seed 001, Stakeable"
    examples = (
        {},
        {"formula": "chain", "cost_weight": 0.001, "refund_wait_s": 15.0, "sweep_wait_s": 20.0},
        {
            "formula": "chain",
            "refund_wait_s": 1.0,
            "owner_wait_s": 2.0,
            "sweep_wait_s": 3.0,
            "owner": 2,
            "waits_end": "after",
        },
        {"share": "equal", "clock": "contributor"},
        {"share": "stake"},
        {"share": "reputation", "waits_end": "at"},
    )

    @dataclass(frozen=True)
    class Params:
        formula: str = param(
            "simulation",
            help="which of the two published formulas gives the deposit",
            choices=("simulation", "chain"),
        )
        cost_weight: float = param(
            1.0, help="w: weight of the deposit", unit="tokens", ge=0, le=10**6
        )
        refund_wait_s: float = param(
            float(DAY), help="T_r: age at which claims begin", unit="s", ge=0, le=FOREVER
        )
        owner_wait_s: float = param(
            -1.0,
            help="T_o: age at which the owner may take the rest; -1: that of everybody",
            unit="s",
            ge=-1,
            le=FOREVER,
        )
        sweep_wait_s: float = param(
            float(9 * DAY),
            help="T_a: age at which anybody may take the rest",
            unit="s",
            ge=0,
            le=FOREVER,
        )
        owner: int = param(
            -1,
            help="the device that may take the rest from T_o on, formula chain only; -1: nobody, "
            "as shipped, where the owner is a contract that cannot call",
            ge=-1,
            le=100_000,
            devices=True,
        )
        waits_end: str = param(
            "published",
            help="claims are in time at the age T_r, or only after it; published: at T_r on chain, "
            "after it in the simulation",
            choices=("published", "at", "after"),
        )
        share: str = param(
            "verified",
            help="a reporter's part of a deposit: its refunded data as published, the same for all "
            "with a refund, its deposits still held, or its refunded data less those taken from it",
            choices=("verified", "equal", "stake", "reputation"),
        )
        clock: str = param(
            "market",
            help="dt is counted from the last datum of anybody, as published, or of the same "
            "contributor",
            choices=("market", "contributor"),
        )

        def __post_init__(self) -> None:
            if self.formula == "chain":
                self._check_chain()
            else:
                self._check_simulation()

        def _check_simulation(self) -> None:
            least = self.refund_wait_s + WEEK
            if self.sweep_wait_s <= least:
                message = f"must be more than refund_wait_s + 7 days = {least:g}"
                raise PluginError(message, "sweep_wait_s", self.sweep_wait_s)
            for key in ("owner", "owner_wait_s"):
                if getattr(self, key) != -1:
                    message = 'must be -1: owners take only under formula = "chain"'
                    raise PluginError(message, key, getattr(self, key))

        def _check_chain(self) -> None:
            refund, sweep = self.refund_wait_s, self.sweep_wait_s
            if sweep < refund:
                message = f"must be at least refund_wait_s = {refund:g}"
                raise PluginError(message, "sweep_wait_s", sweep)
            if self.owner_wait_s != -1 and not refund <= self.owner_wait_s <= sweep:
                expected = f"refund_wait_s = {refund:g} to sweep_wait_s = {sweep:g}"
                message = f"must be -1, or from {expected}"
                raise PluginError(message, "owner_wait_s", self.owner_wait_s)

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        own = self.params
        # Asked for at every call, so kept as plain attributes.
        self._chain = own.formula == "chain"
        self._refund_s, self._sweep_s = own.refund_wait_s, own.sweep_wait_s
        self._owner = own.owner
        self._owner_s = own.sweep_wait_s if own.owner_wait_s == -1 else own.owner_wait_s
        published = own.waits_end == "published"
        self._at = self._chain if published else own.waits_end == "at"
        self._weight = own.cost_weight
        self._chain_weight = HOUR * round(own.cost_weight * TOKEN)
        self._own_clock = own.clock == "contributor"
        self._share = own.share
        self._counts_data = own.share == "verified"
        # Under `verified` the weights of shares are the counts of refunded data.
        self._weights, self._total = ("good", "goods")
        if not self._counts_data:
            self._weights, self._total = ("weight", "weights")

    @property
    def refund_wait_s(self) -> float:
        return self._refund_s

    @property
    def sweep_wait_s(self) -> float:
        return self._sweep_s

    @property
    def inclusive(self) -> bool:
        return self._at

    def sweeps_after_s(self, device: int) -> float:
        return self._owner_s if device == self._owner else self._sweep_s

    def start(self, time_s: float) -> MarketMemory:
        """Return the memory: when the last datum was added, and counters with their sums.

        last_s   of anybody; `lasts` by contributor, where each has its own clock
        good     data by device that were refunded to it, `goods` their sum
        weight   by which shares are given where that is not `good`, `weights` their sum
        """
        memory: MarketMemory = {"last_s": time_s, "good": {}, "goods": 0}
        if self._own_clock:
            memory["lasts"] = {}
        if not self._counts_data:
            memory |= {"weight": {}, "weights": 0}
        return memory

    # --- deposits ---------------------------------------------------------------------------------

    def price(self, memory: MarketMemory, time_s: float, device: int) -> int:
        """Return the deposit of a datum that is added now; in the first second as after one."""
        last_s = memory["last_s"]
        if self._own_clock:
            last_s = memory["lasts"].get(str(device), last_s)
        return self._deposit(int(time_s - last_s))

    def _deposit(self, elapsed_s: int) -> int:
        """Return the base units of the deposit after so many whole seconds."""
        root = math.isqrt(elapsed_s) or 1
        if self._chain:
            return self._chain_weight // root
        return (int(self._weight * 60 / root) or 1) * TOKEN

    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        device, time_s, offer, _, _ = seen
        last_s = memory["last_s"]
        if self._own_clock:
            last_s = memory["lasts"].get(str(device), last_s)
        elapsed_s = int(time_s - last_s)
        if elapsed_s < 1 and not self._chain:
            return TOO_SOON
        deposit = self._deposit(elapsed_s)
        if offer < deposit:
            return TOO_LITTLE
        if self._own_clock:
            memory["lasts"][str(device)] = time_s
        else:
            memory["last_s"] = time_s
        if self._share == "stake":
            self._weigh(memory, device, deposit)
        return deposit

    # --- claims -----------------------------------------------------------------------------------

    def refund(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        device, time_s, datum, agrees = seen
        if device != datum.author:
            return NOT_AUTHOR
        amount = datum.claimable
        if amount <= 0:
            return NOTHING_LEFT
        if device in datum.claimed_by:
            return CLAIMED
        age_s = time_s - datum.time_s
        if age_s < self._refund_s or (age_s == self._refund_s and not self._at):
            return TOO_YOUNG
        if not agrees:
            return DISAGREES
        key, good = str(device), memory["good"]
        good[key] = good.get(key, 0) + 1
        memory["goods"] += 1
        if not self._counts_data:
            self._weigh_refund(memory, device, amount)
        return amount

    def report(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        device, time_s, datum, agrees = seen
        left = datum.claimable
        if left <= 0:
            return NOTHING_LEFT
        age_s = time_s - datum.time_s
        if age_s >= self._sweep_s or (device == self._owner and age_s >= self._owner_s):
            if self._share == "stake":
                self._weigh(memory, datum.author, -left)
            return left
        if device == datum.author:
            return OWN
        if device in datum.claimed_by:
            return CLAIMED
        if age_s < self._refund_s or (age_s == self._refund_s and not self._at):
            return TOO_YOUNG
        if agrees:
            return AGREES
        part = memory[self._weights].get(str(device), 0)
        if part <= 0:
            return UNVERIFIED
        amount = datum.deposit * part // memory[self._total]
        if amount == 0 or amount > left:
            amount = left
        if not self._counts_data:
            self._weigh_report(memory, datum.author, amount, drained=amount == left)
        return amount

    def may_report(self, memory: MarketMemory, device: int) -> bool:
        return memory[self._weights].get(str(device), 0) > 0

    def standing(self, memory: MarketMemory) -> Mapping[int, int]:
        """Return by device how many of its data were refunded."""
        return {int(device): count for device, count in memory["good"].items()}

    # --- other weights than the published ones ----------------------------------------------------

    def _weigh_refund(self, memory: MarketMemory, author: int, amount: int) -> None:
        if self._share == "stake":
            self._weigh(memory, author, -amount)
        # Under `equal` everybody counts once.
        elif self._share == "reputation" or memory["good"][str(author)] == 1:
            self._weigh(memory, author, 1)

    def _weigh_report(
        self, memory: MarketMemory, author: int, amount: int, *, drained: bool
    ) -> None:
        if self._share == "stake":
            self._weigh(memory, author, -amount)
        elif self._share == "reputation" and drained:
            self._weigh(memory, author, -1)

    @staticmethod
    def _weigh(memory: MarketMemory, device: int, change: int) -> None:
        """Change the weight of a device, which does not fall below 0, and the sum of all."""
        key, weight = str(device), memory["weight"]
        before = weight.get(key, 0)
        weight[key] = max(0, before + change)
        memory["weights"] += weight[key] - before
