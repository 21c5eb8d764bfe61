"""Predictions cost nothing, as on a public chain, where reading is free."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.prediction_fees.base import FeeRule


class FreePredictions(FeeRule):
    """Nobody is paid for predictions."""

    name = "free"
    summary = "predictions cost nothing"
    reference = "seed 001: reading the model on chain is free"

    def shares(
        self, amount: int, standing: Mapping[int, int], staked: Mapping[int, int]
    ) -> Mapping[int, int]:
        return {}
