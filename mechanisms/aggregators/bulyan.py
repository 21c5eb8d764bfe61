"""Bulyan: Krum chooses rows, then each coordinate is trimmed around its median."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import column_blocks, means, squared_distances
from mechanisms.krum import choose, tolerated
from mechanisms.plugin import param
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class Bulyan(AggregationRule):
    """The mean of the values closest to each coordinate's median, among rows chosen by Krum.

    Repeated Krum chooses theta = n - 2f rows; of each coordinate the theta - 2f values closest to
    the median of these are averaged. Of two equally close values the smaller one is taken.
    """

    name = "bulyan"
    summary = "repeated Krum, then the mean of the values closest to each coordinate's median"
    reference = "El Mhamdi et al. 2018, arXiv:1802.07927, section 4"
    examples = ({}, {"f": 0})

    @dataclass(frozen=True)
    class Params:
        f: int = param(
            2, help="malicious updates to tolerate; at most (n - 3) / 4 of n updates", ge=0
        )

    params: Params

    def used(self, n: int) -> Mapping[str, int]:
        return {"f": tolerated(self.params.f, n, (4, 3))}

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        n = len(seen.workers)
        f = self.used(n)["f"]
        theta = n - 2 * f
        chosen = np.arange(n) if f == 0 else choose(squared_distances(seen.updates), f, theta)
        beta = theta - 2 * f
        row = np.empty(seen.updates.shape[1], dtype=np.float32)
        for at in column_blocks(seen.updates):
            values = np.sort(np.ascontiguousarray(seen.updates[:, at][chosen].T), axis=1)
            row[at] = around_median(values, beta)
        return row


def around_median(values: FloatMatrix, beta: int) -> np.ndarray:
    """Return the mean of the beta values closest to the median of each sorted row `[m, theta]`.

    In a sorted row these values are a window. Only the values in it are added up: of a difference
    of running sums a far value before it would leave nothing.
    """
    theta = values.shape[1]
    wide = values.astype(np.float64)
    twice_median = wide[:, (theta - 1) // 2] + wide[:, theta // 2]
    # The window moves right while its first value is farther from the median than the value
    # behind its end.
    start = (wide[:, : theta - beta] + wide[:, beta:] < twice_median[:, None]).sum(axis=1)
    window = start[:, None] + np.arange(beta)
    return means(np.take_along_axis(values, window, axis=1))
