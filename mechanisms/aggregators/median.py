"""Coordinate-wise median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import column_blocks
from mechanisms.vocabulary import AggregationObservation


class Median(AggregationRule):
    """The median of each coordinate; of an even number, the mean of the two in the middle."""

    name = "median"
    summary = "median of each coordinate"
    reference = "Yin et al. 2018, arXiv:1803.01498, definition 1"

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        row = np.empty(seen.updates.shape[1], dtype=np.float32)
        for at in column_blocks(seen.updates, itemsize=4):
            # Contiguous columns: partitioning along rows would stride through memory.
            columns = np.array(seen.updates[:, at].T, order="C")
            row[at] = np.median(columns, axis=1, overwrite_input=True)
        return row
