"""The creator's stake: pools of the parties, and what comes back at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mechanisms.payouts.base import PayoutRule
from mechanisms.split import part, split
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement
from sim.money.treasury import Treasury

CONTRIBUTORS, ENGINEERS, ANNOTATORS = "contributors", "engineers", "annotators"
"""The parties that have a pool, in the order of their device numbers."""
POOLS = {ENGINEERS: "pool:engineers", ANNOTATORS: "pool:annotators"}
"""Accounts of the pools; the contributors' pool is in accounts of the payout rule's own."""
PAID = tuple(POOLS)
"""The parties that are paid out of these."""
FUNDED, REFUND = "pool.funded", "pool.refund"


class Funded(PayoutRule):
    """A payout rule whose deposits a device pays: the creator, out of its own balance.

    Args:
        rule: pays the contributors.
        pools: base units of the other pools by account, which the creator pays as well.
        creator: the device.
    """

    def __init__(self, rule: PayoutRule, pools: Mapping[str, int], creator: int) -> None:
        super().__init__(rule.params)
        self.rule, self.pieces = rule, (rule,)
        self.observes, self.anonymous = rule.observes, False
        self._pools, self._creator = dict(pools), creator

    @property
    def deposits(self) -> dict[str, int]:
        """Base units by account that the creator puts in at the start."""
        own = {account: amount for account, amount in self.rule.accounts().items() if amount}
        return own | self._pools

    def accounts(self) -> Mapping[str, int]:
        return dict.fromkeys([*self.rule.accounts(), *self._pools], 0)

    def open(self, seen: OpeningObservation) -> Settlement:
        paid = [Payment(a, amount, FUNDED, self._creator) for a, amount in self.deposits.items()]
        opening = self.rule.open(seen)
        return Settlement((*(p for p in paid if p.amount), *opening.payments), opening.memory)

    def members(self, memory: Memory) -> frozenset[int] | None:
        return self.rule.members(memory)

    def locked(self, memory: Memory) -> Mapping[int, int]:
        return self.rule.locked(memory)

    def settle(self, seen: BlockObservation) -> Settlement:
        return self.rule.settle(seen)

    def close(self, memory: Memory) -> Settlement:
        return self.rule.close(memory)


class Purse:
    """The pools of a run, and who gets what the model earns.

    Args:
        treasury: where the money is.
        rule: who funded them.
        staked: base units of each pool at the start, by party.
        creator: the device that gets what no pool does.
    """

    def __init__(
        self, treasury: Treasury, rule: Funded, staked: Mapping[str, int], creator: int
    ) -> None:
        self._treasury, self._rule, self._creator = treasury, rule, creator
        self.weigh(staked)

    def weigh(self, staked: Mapping[str, int]) -> None:
        """Let income top up pools in proportion of these base units by party."""
        self._weights = {i: staked[party] for i, party in enumerate(PAID) if staked[party]}

    def left(self, locked: Mapping[int, int]) -> dict[str, int]:
        """Return by party the base units that are left of its pool.

        `locked`: what the payout rule holds for devices, which is no part of the pool.
        """
        held = self._treasury.held
        own = sum(held(account) for account in self._rule.rule.accounts())
        others = {party: held(account) for party, account in POOLS.items()}
        return {CONTRIBUTORS: own - sum(locked.values()), **others}

    def held(self, party: str) -> int:
        """Return the base units that are left of the pool of engineers or annotators."""
        return self._treasury.held(POOLS[party])

    def pay(self, device: int, amount: int, reason: str, party: str) -> None:
        """Pay a device out of the pool of engineers or annotators."""
        self._treasury.post([Payment(device, amount, reason, POOLS[party])])

    def earn(self, payer: int, amount: int, reason: str, top_up: float) -> None:
        """Take what a device pays for the model: a part for the pools, the rest for the creator.

        Pools are topped up in proportion of their stakes; the creator gets what rounding leaves.
        """
        parts = split(part(amount, top_up), self._weights) if self._weights else {}
        rest = amount - sum(parts.values())
        payments = [Payment(POOLS[PAID[i]], more, reason, payer) for i, more in parts.items()]
        self._treasury.post([*payments, Payment(self._creator, rest, reason, payer)])

    def move(self, party: str, amount: int) -> None:
        """Move base units to a party's pool from the other one: at most what is left there."""
        (other,) = (name for name in PAID if name != party)
        moved = min(amount, self.held(other))
        self._treasury.post([Payment(POOLS[party], moved, "pool.redivided", POOLS[other])])

    def expire(self) -> None:
        """Pay what is left of the pools of engineers and annotators to the creator."""
        self._give_back(POOLS.values())

    def refund(self, round: int) -> None:
        """Pay what is left of all deposits to the creator; `round` is that of the entries."""
        self._give_back(self._rule.deposits, round)

    def _give_back(self, accounts: Iterable[str], round: int | None = None) -> None:
        left = {account: self._treasury.held(account) for account in accounts}
        payments = [Payment(self._creator, amount, REFUND, a) for a, amount in left.items()]
        self._treasury.post(payments, round=round)
