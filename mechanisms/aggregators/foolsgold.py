"""FoolsGold-like weights: updates that resemble each other too much count less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import Float64, combine, cosines
from mechanisms.vocabulary import AggregationObservation


class FoolsGold(AggregationRule):
    """A mean with weights that fall with an update's highest cosine to another one.

    Cosines are between steps from the global model. The paper adds up each device's updates over
    rounds; this rule uses one round, so that it has no memory that attackers could exploit or that
    could fork. The model stays when every weight is 0.
    """

    name = "foolsgold"
    summary = "mean weighted against updates that point the same way (one round, no memory)"
    reference = "Fung, Yoon and Beschastnikh 2020, arXiv:1808.04866, algorithm 1"
    convex = False

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        # Rounded, so that updates that point the same way are not told apart by rounding.
        weights = _weights(cosines(seen.updates, seen.global_model).round(12))
        if weights.sum() == 0:
            return seen.global_model
        return combine(weights / weights.sum(), seen.updates)


def _weights(similar: Float64) -> Float64:
    if len(similar) == 1:
        return np.ones(1)
    similar = similar.copy()
    np.fill_diagonal(similar, -np.inf)
    highest = similar.max(axis=1)
    # Pardoning: an honest device next to one that is more alike to others keeps its weight.
    with np.errstate(divide="ignore", invalid="ignore"):
        pardon = np.where(
            (highest[:, None] < highest[None, :]) & (highest[None, :] > 0),
            highest[:, None] / highest[None, :],
            1.0,
        )
    weights = np.clip(1 - (similar * np.maximum(pardon, 0.0)).max(axis=1), 0.0, 1.0)
    if weights.max() == 0:
        return weights
    weights /= weights.max()
    with np.errstate(divide="ignore"):
        return np.clip(np.log(weights / (1 - weights)) + 0.5, 0.0, 1.0)
