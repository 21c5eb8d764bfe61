"""A payout rule turns what a block shows into payments. It cannot touch the ledger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import BlockObservation, Payment


class PayoutRule(Plugin, ABC):
    """One method: `settle`. `observes`, of {"votes", "claims"}, says what the chain must show it: see `BlockObservation`."""

    observes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def settle(self, block: BlockObservation) -> tuple[Payment, ...]:
        """Payments for one block, in base units. Must not depend on the order of `block.records`."""
