"""A payout rule decides who is paid how much for a block."""

from __future__ import annotations

from abc import abstractmethod

from mechanisms.contract import Contract
from mechanisms.vocabulary import BlockObservation, Memory, Settlement


class PayoutRule(Contract):
    """Base of payout rules: `settle` for every block, between `open` and `close`."""

    def close(self, memory: Memory) -> Settlement:
        """Give back what is still held after the last round."""
        return Settlement()

    def most_issued(self, devices: int) -> int | None:
        """Return the most base units that it issues for one block to so many devices.

        None where that is not known before: then a supply that grows too large stops the run.
        """
        return None

    @abstractmethod
    def settle(self, seen: BlockObservation) -> Settlement:
        """Return payments for one block, in base units.

        Must not depend on the order of `seen.records`.
        """
