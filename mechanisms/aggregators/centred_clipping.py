"""Centred clipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import clip_factors, combine, squared_norms
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation


class CentredClipping(AggregationRule):
    """v <- v + mean_i (x_i - v) min(1, tau / ||x_i - v||), beginning at the global model."""

    name = "centred-clipping"
    summary = "mean of updates clipped to a ball around the current estimate"
    reference = "Karimireddy, He and Jaggi 2021, arXiv:2012.10333, equation (CC)"
    convex = False
    examples = ({}, {"radius": 0.1, "iterations": 1})

    @dataclass(frozen=True)
    class Params:
        radius: float = param(
            10.0, help="tau: how far an update can pull the result", unit="weight units", gt=0
        )
        iterations: int = param(
            3, help="steps, each from the result of the one before", ge=1, le=10_000
        )

    params: Params

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        n = len(seen.workers)
        centre = seen.global_model.astype(np.float64)
        for _ in range(self.params.iterations):
            distances = np.sqrt(squared_norms(seen.updates, centre))
            factors = clip_factors(distances, self.params.radius) / n
            centre = centre + combine(factors, seen.updates, centre)
        return centre
