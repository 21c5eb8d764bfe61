"""Krum and multi-Krum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import combine, lowest, squared_distances
from mechanisms.krum import closest_sums, tolerated
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation

NEEDS = (2, 3)
"""Tolerating f malicious updates takes 2f + 3 of them."""


class Krum(AggregationRule):
    """The update with the smallest sum of squared distances to its n - f - 2 closest others.

    Of tied updates the first is taken.
    """

    name = "krum"
    summary = "the one update that lies closest to its neighbours"
    reference = "Blanchard et al. 2017, arXiv:1703.02757, section 3"
    examples = ({}, {"f": 0, "neighbours": "n-f-1"})

    @dataclass(frozen=True)
    class Params:
        f: int = param(
            3, help="malicious updates to tolerate; at most (n - 3) / 2 of n updates", ge=0
        )
        neighbours: str = param(
            "n-f-2",
            help="closest others that a score adds up: the paper's number, or one more as some "
            "libraries have it",
            choices=("n-f-2", "n-f-1"),
        )

    params: Params

    def used(self, n: int) -> Mapping[str, int]:
        return {"f": tolerated(self.params.f, n, NEEDS)}

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        return seen.updates[lowest(_scores(seen, self.params))].copy()


class MultiKrum(AggregationRule):
    """The mean of the `keep` updates with the smallest Krum scores; ties go to the first."""

    name = "multi-krum"
    summary = "mean of the updates with the smallest Krum scores"
    reference = "Blanchard et al. 2017, arXiv:1703.02757, section 4"
    examples = ({}, {"f": 2, "keep": 1})

    @dataclass(frozen=True)
    class Params(Krum.Params):
        keep: int = param(0, help="updates to average; 0: n - f", ge=0)

    params: Params

    def used(self, n: int) -> Mapping[str, int]:
        kept = {"keep": min(n, self.params.keep)} if self.params.keep else {}
        return {"f": tolerated(self.params.f, n, NEEDS), **kept}

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        n = len(seen.workers)
        used = self.used(n)
        keep = used.get("keep", n - used["f"])
        scores = _scores(seen, self.params)
        weights = np.zeros(n)
        for _ in range(keep):
            best = lowest(scores)
            weights[best], scores[best] = 1 / keep, np.inf
        return combine(weights, seen.updates)


def _scores(seen: AggregationObservation, params: Krum.Params) -> np.ndarray:
    n = len(seen.workers)
    f = tolerated(params.f, n, NEEDS)
    neighbours = n - f - 2 if params.neighbours == "n-f-2" else n - f - 1
    return closest_sums(squared_distances(seen.updates), max(1, neighbours))
