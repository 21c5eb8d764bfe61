"""Coordinate-wise median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import middle
from mechanisms.vocabulary import AggregationObservation


class Median(AggregationRule):
    """The median of each coordinate; of an even number, the mean of the two in the middle."""

    name = "median"
    summary = "median of each coordinate"
    reference = "Yin et al. 2018, arXiv:1803.01498, definition 1"

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        return middle(seen.updates)
