"""Callers pay the authors of verified data."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.prediction_fees.proportional import Proportional


class Verified(Proportional):
    """floor(amount * n / N): of all data that were refunded, those of each device."""

    name = "verified"
    summary = "the payment is divided by what the market rule counts of each: its verified data"
    reference = "seed 001, simulator: distribute_payment_for_prediction"

    def weights(self, standing: Mapping[int, int], staked: Mapping[int, int]) -> Mapping[int, int]:
        return standing
