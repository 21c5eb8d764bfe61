"""Callers pay every verified contributor the same."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.prediction_fees.proportional import Proportional


class Equal(Proportional):
    """floor(amount / k) to each of the k devices that the market rule counts anything of."""

    name = "equal"
    summary = "the payment is divided equally among all with verified data"
    reference = "variant of seed 001's split by verified data"

    def weights(self, standing: Mapping[int, int], staked: Mapping[int, int]) -> Mapping[int, int]:
        return {device: 1 for device, counted in standing.items() if counted > 0}
