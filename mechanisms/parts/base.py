"""A part stands around a payout rule: it may hold deposits, refuse devices, and change what the rule sees and pays."""

from __future__ import annotations

from mechanisms.contract import Contract
from mechanisms.vocabulary import BlockObservation, Memory, Payment, Settlement


class Part(Contract):
    """Every method has a default that changes nothing. `seen.memory` is the part's own memory."""

    def rejects(self, seen: BlockObservation) -> frozenset[int]:
        """Workers whose updates count as rejected for the parts after it and for the rule."""
        return frozenset()

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        """All payments of the block: those decided so far, kept, changed or left out, and its own."""
        return Settlement(payments)

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        """After the last round: all payments decided so far, kept or changed, and what is still held given back."""
        return Settlement(payments)
