"""Nearest-neighbour mixing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechanisms.geometry import squared_distances
from mechanisms.plugin import param
from mechanisms.transforms.base import Transform
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class NearestNeighbourMixing(Transform):
    """Replaces each update by the mean of its n - f nearest, itself included.

    Of tied updates the first is taken.
    """

    name = "nearest-neighbour-mixing"
    summary = "replaces each update by the mean of those nearest to it"
    reference = "Allouah et al. 2023, arXiv:2302.01772, algorithm 2"
    examples = ({}, {"f": 0})

    @dataclass(frozen=True)
    class Params:
        f: int = param(
            3, help="malicious updates to tolerate; at most (n - 1) / 2 of n updates", ge=0
        )

    params: Params

    def apply(self, seen: AggregationObservation) -> FloatMatrix:
        n = len(seen.workers)
        keep = n - min(self.params.f, (n - 1) // 2)
        distances = squared_distances(seen.updates)
        np.fill_diagonal(distances, -1.0)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :keep]
        weights = np.zeros((n, n), dtype=np.float32)
        np.put_along_axis(weights, nearest, np.float32(1 / keep), axis=1)
        return weights @ seen.updates
