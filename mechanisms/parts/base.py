"""A part wraps a payout rule: it may hold deposits, refuse devices, and change payments."""

from __future__ import annotations

from mechanisms.contract import Contract
from mechanisms.vocabulary import BlockObservation, Memory, Payment, Settlement


class Part(Contract):
    """Base of parts; every default changes nothing. `seen.memory` is the part's own memory."""

    def rejects(self, seen: BlockObservation) -> frozenset[int]:
        """Return workers whose updates count as rejected for later parts and for the rule."""
        return frozenset()

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        """Return all payments of the block: those before it, kept or changed, and its own."""
        return Settlement(payments)

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        """Return all payments after the last round, with the remaining deposits given back."""
        return Settlement(payments)
