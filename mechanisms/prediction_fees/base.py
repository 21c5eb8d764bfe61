"""A fee rule divides what a caller pays for a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from mechanisms.plugin import Plugin


class FeeRule(Plugin, ABC):
    """Base of prediction fees."""

    @abstractmethod
    def shares(
        self, amount: int, standing: Mapping[int, int], staked: Mapping[int, int]
    ) -> Mapping[int, int]:
        """Return by device its base units of a payment, at most `amount` together.

        What is left stays with the caller.

        Args:
            amount: what the caller offers, base units.
            standing: what the market rule counts of each device (`MarketRule.standing`).
            staked: base units by device of the deposits that are still held.
        """
