"""Geometric median by smoothed Weiszfeld iterations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import combine, gram, middle
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation


class GeometricMedian(AggregationRule):
    """argmin_z sum_i ||x_i - z||: z <- sum_i w_i x_i with w_i proportional to 1 / ||x_i - z||.

    z is always a weighted mean of the rows, so that the iterations run on n weights and the Gram
    matrix around the coordinate-wise median m, where they begin. The scale of all that is small is
    the median of ||x_i - m||, which less than half of the rows cannot move far.
    """

    name = "geometric-median"
    summary = "the point with the smallest sum of distances to the updates"
    reference = "Pillutla, Kakade and Harchaoui 2022, arXiv:1912.13445, algorithm 2"

    @dataclass(frozen=True)
    class Params:
        smoothing: float = param(
            1e-6, help="distances below this part of the median one count as this", gt=0, le=1
        )
        iterations: int = param(1_000, help="Weiszfeld steps at most", ge=1, le=10_000)
        tolerance: float = param(1e-10, help="stop when z moves by less, in median distances", gt=0)

    params: Params

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        centre = middle(seen.updates)
        inner = gram(seen.updates, centre)
        own = np.diag(inner)
        scale = float(np.sqrt(np.median(own)))
        if scale == 0:  # half of the rows or more lie at the median: it is the minimum
            return centre
        floor, enough = self.params.smoothing * scale, (self.params.tolerance * scale) ** 2
        distance, weights = np.sqrt(own), np.zeros(len(own))
        for _ in range(self.params.iterations):
            pull = 1 / np.maximum(distance, floor)
            before, weights = weights, pull / pull.sum()
            moved = weights - before
            if moved @ inner @ moved < enough:
                break
            reach = inner @ weights
            distance = np.sqrt(np.maximum(own - 2 * reach + weights @ reach, 0.0))
        return combine(weights, seen.updates)
