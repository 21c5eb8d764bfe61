"""A payout rule decides what a block is worth to whom."""

from __future__ import annotations

from abc import abstractmethod

from mechanisms.contract import Contract
from mechanisms.vocabulary import BlockObservation, Memory, Settlement


class PayoutRule(Contract):
    """`settle` for every block, between `open` and `close`; everything else has a default."""

    def close(self, memory: Memory) -> Settlement:
        """After the last round: give back what is still held."""
        return Settlement()

    @abstractmethod
    def settle(self, seen: BlockObservation) -> Settlement:
        """Payments for one block, in base units. Must not depend on the order of `seen.records`."""
