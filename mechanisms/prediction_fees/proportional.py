"""What prediction fees in proportion to something have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from mechanisms.prediction_fees.base import FeeRule


class Proportional(FeeRule):
    """floor(amount * weight / sum of weights) to each device; the rest stays with the caller."""

    @abstractmethod
    def weights(self, standing: Mapping[int, int], staked: Mapping[int, int]) -> Mapping[int, int]:
        """Return by device the weight of its share, an integer of at least 0."""

    def shares(
        self, amount: int, standing: Mapping[int, int], staked: Mapping[int, int]
    ) -> Mapping[int, int]:
        weights = self.weights(standing, staked)
        whole = sum(weights.values())
        if not whole:
            return {}
        return {device: amount * weight // whole for device, weight in weights.items()}
