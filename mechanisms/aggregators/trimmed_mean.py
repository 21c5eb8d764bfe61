"""Coordinate-wise trimmed mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import column_blocks, means
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation


class TrimmedMean(AggregationRule):
    """The mean of each coordinate without its f smallest and f largest values."""

    name = "trimmed-mean"
    summary = "mean of each coordinate without the f smallest and largest values"
    reference = "Yin et al. 2018, arXiv:1803.01498, definition 2"
    examples = ({}, {"f": 0})

    @dataclass(frozen=True)
    class Params:
        f: int = param(
            3,
            help="values to drop at each end of a coordinate; at most (n - 1) / 2 of n updates",
            ge=0,
        )

    params: Params

    def used(self, n: int) -> Mapping[str, int]:
        return {"f": min(self.params.f, (n - 1) // 2)}

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        n = len(seen.workers)
        f = self.used(n)["f"]
        row = np.empty(seen.updates.shape[1], dtype=np.float32)
        for at in column_blocks(seen.updates, itemsize=4):
            columns = np.array(seen.updates[:, at].T, order="C")
            if f:
                columns.partition([f, n - f - 1], axis=1)
            row[at] = means(columns[:, f : n - f])
        return row
