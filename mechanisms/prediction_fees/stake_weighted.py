"""Callers pay whoever has deposits at risk."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.prediction_fees.proportional import Proportional


class StakeWeighted(Proportional):
    """floor(amount * own / all): of the deposits that are still held."""

    name = "stake-weighted"
    summary = "the payment is divided by the deposits that are still held"
    reference = "variant of seed 001's split by verified data"

    def weights(self, standing: Mapping[int, int], staked: Mapping[int, int]) -> Mapping[int, int]:
        return staked
