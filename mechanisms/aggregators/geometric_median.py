"""Geometric median by smoothed Weiszfeld iterations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import combine, gram
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation


class GeometricMedian(AggregationRule):
    """argmin_z sum_i ||x_i - z||: z <- sum_i w_i x_i with w_i proportional to 1 / ||x_i - z||.

    z is always a weighted mean of the rows, so that the iterations run on n weights and the Gram
    matrix; the rows are read twice.
    """

    name = "geometric-median"
    summary = "the point with the smallest sum of distances to the updates"
    reference = "Pillutla, Kakade and Harchaoui 2022, arXiv:1912.13445, algorithm 2"

    @dataclass(frozen=True)
    class Params:
        smoothing: float = param(
            1e-6, help="distances below this part of the mean distance count as this", gt=0, le=1
        )
        iterations: int = param(1_000, help="Weiszfeld steps at most", ge=1)
        tolerance: float = param(1e-10, help="stop when no weight moves by more", gt=0)

    params: Params

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        n = len(seen.workers)
        inner = gram(seen.updates)
        own = np.diag(inner)
        weights = np.full(n, 1 / n)
        floor = self.params.smoothing * float(np.sqrt(own).mean())
        if floor == 0:  # all rows are the same
            return seen.updates[0].copy()
        for _ in range(self.params.iterations):
            reach = inner @ weights
            distance = np.sqrt(np.maximum(own - 2 * reach + weights @ reach, 0.0))
            pull = 1 / np.maximum(distance, floor)
            before, weights = weights, pull / pull.sum()
            if np.abs(weights - before).max() < self.params.tolerance:
                break
        return combine(weights, seen.updates)
