"""The creator's stake: pools of the parties, and what comes back at the end."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement
from sim.money.treasury import Treasury

CONTRIBUTORS, ENGINEERS, ANNOTATORS = "contributors", "engineers", "annotators"
"""The parties that have a pool, in the order of their device numbers."""
POOLS = {ENGINEERS: "pool:engineers", ANNOTATORS: "pool:annotators"}
"""Accounts of the pools; the contributors' pool is in accounts of the payout rule's own."""
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
    """The pools of a run.

    Args:
        treasury: where the money is.
        rule: who funded them.
    """

    def __init__(self, treasury: Treasury, rule: Funded) -> None:
        self._treasury, self._rule = treasury, rule

    def left(self, locked: Mapping[int, int]) -> dict[str, int]:
        """Return by party the base units that are left of its pool.

        `locked`: what the payout rule holds for devices, which is no part of the pool.
        """
        held = self._treasury.held
        own = sum(held(account) for account in self._rule.rule.accounts())
        others = {party: held(account) for party, account in POOLS.items()}
        return {CONTRIBUTORS: own - sum(locked.values()), **others}

    def refund(self, *, to: int, round: int) -> None:
        """Pay what is left of all deposits to a device; `round` is that of the entries."""
        left = {account: self._treasury.held(account) for account in self._rule.deposits}
        payments = [Payment(to, amount, REFUND, account) for account, amount in left.items()]
        self._treasury.post(payments, round=round)
