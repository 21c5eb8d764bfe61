"""Norm clipping of updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechanisms.geometry import clip_factors, column_blocks, squared_norms
from mechanisms.plugin import param
from mechanisms.transforms.base import Transform
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class NormClipping(Transform):
    """x <- g + (x - g) min(1, C / ||x - g||)."""

    name = "norm-clipping"
    summary = "shortens updates that go farther than a bound from the global model"
    reference = "Sun et al. 2019, arXiv:1911.07963, section 5"
    examples = ({}, {"bound": 0.1})

    @dataclass(frozen=True)
    class Params:
        bound: float = param(
            10.0,
            help="largest distance of an update to the global model",
            unit="weight units",
            gt=0,
        )

    params: Params

    def apply(self, seen: AggregationObservation) -> FloatMatrix:
        base = seen.global_model.astype(np.float64)
        distances = np.sqrt(squared_norms(seen.updates, base))
        factors = clip_factors(distances, self.params.bound)
        rows, long = seen.updates.copy(), np.flatnonzero(factors < 1)
        for at in column_blocks(rows):
            step = rows[long, at] - base[at]
            step *= factors[long, None]
            rows[long, at] = base[at] + step
        return rows
