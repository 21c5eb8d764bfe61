"""Nearest-neighbour mixing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mechanisms.geometry import TIED, combine, far_apart, row_sizes, squared_distances
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

    def used(self, n: int) -> Mapping[str, int]:
        return {"f": min(self.params.f, (n - 1) // 2)}

    def apply(self, seen: AggregationObservation) -> FloatMatrix:
        n = len(seen.workers)
        keep = n - self.used(n)["f"]
        distances = squared_distances(seen.updates)
        np.fill_diagonal(distances, -1.0)
        # 0 for what is nearer than the last one that is kept, 1 for what is as near as that.
        last = np.partition(distances, keep - 1, axis=1)[:, keep - 1 : keep]
        place = (distances > last * (1 - TIED)).astype(np.int8) + (distances > last * (1 + TIED))
        nearest = np.argsort(place, axis=1, kind="stable")[:, :keep]
        weights = np.zeros((n, n), dtype=np.float32)
        np.put_along_axis(weights, nearest, np.float32(1 / keep), axis=1)
        mixed = weights @ seen.updates
        # Only who is as far as an attacker can have one among its nearest.
        sizes = row_sizes(seen.updates)
        for i in np.flatnonzero(far_apart(sizes[nearest])).tolist():
            chosen = (weights[i] > 0).astype(np.float64)
            mixed[i] = combine(chosen, seen.updates) / keep
        return mixed
